"""Words of other languages -> English names and words, from Unicode's names and keywords.

A name of an emoji translates to its English name. A word that occurs with many emoji translates to
the English word that occurs with the same ones: "rotes" with the emoji whose names have "red".
"""

import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from undiffuse.clip.lexicon import Candidate
from undiffuse.data.composites import remove_colors
from undiffuse.data.emoji_words import EmojiWords

MAX_CANDIDATES = 5
# A word translates to an English word if both occur in at least MIN_COUNT kinds of emoji and the
# cosine of the two sets of kinds is at least MIN_COSINE; or, by names alone, if the English name
# of nearly every emoji that has the word in its name has the English word.
MIN_COUNT, MIN_COSINE = 3, 0.5
MANY, MOST = 5, 0.7  # or as many kinds as this, and this share of the word's
MIN_NAMES, MIN_SHARE = 2, 0.8
_GENDER = re.compile(
    r"\b(?:wo)?m[ae]n\b|\bperson\b|\bpeople\b"
)  # in the names of one kind of emoji
MAX_EMOJI = 12  # a keyword of more emoji says too little of each
_WORD = re.compile(r"[^\W\d_]+")
_KATAKANA = {code: code + 0x60 for code in range(0x3041, 0x3097)}
_HIRAGANA = {code: code - 0x60 for code in range(0x30A1, 0x30F7)}
# Function words, which have no emoji: word -> English; "" for what English leaves out.
FUNCTION_WORDS = {
    "de": "ein: eine: einen: einem: einer: eines: der: die: das: den: dem: des: und:and mit:with "
    "ohne:without auf:on in:in im:in am:at an:at von:of vor:in_front_of hinter:behind "
    "über:above unter:under neben:next_to zwei:two drei:three vier:four fünf:five",
    "fr": "un: une: des: le: la: les: l: d: du: de:of et:and avec:with sans:without sur:on dans:in "
    "en:in au:at à:at devant:in_front_of derrière:behind sous:under deux:two trois:three "
    "quatre:four cinq:five",
    "es": "un: una: unos: unas: el: la: los: las: y:and e:and con:with sin:without en:in sobre:on "
    "de:of del:of detrás:behind bajo:under dos:two tres:three cuatro:four cinco:five",
    "it": "un: uno: una: il: lo: la: i: gli: le: l: e:and ed:and con:with senza:without su:on "
    "sul:on sulla:on in:in nel:in nella:in di:of del:of della:of dietro:behind sotto:under "
    "due:two tre:three quattro:four cinque:five",
    "pt": "um: uma: uns: umas: o: a: os: as: e:and com:with sem:without em:in no:in na:in sobre:on "
    "de:of do:of da:of sob:under dois:two duas:two três:three quatro:four cinco:five",
    "nl": "een: de: het: en:and met:with zonder:without op:on in:in van:of voor:in_front_of "
    "achter:behind onder:under naast:next_to twee:two drie:three vier:four vijf:five",
    "pl": "i:and oraz:and z:with ze:with bez:without na:on w:in we:in pod:under nad:above "
    "za:behind dwa:two dwie:two trzy:three cztery:four pięć:five",
    "ru": "и:and с:with со:with без:without на:on в:in во:in под:under над:above за:behind у:at "
    "два:two две:two три:three четыре:four пять:five",
    "zh": "的: 一只: 一个: 一条: 一匹: 一辆: 和:and 在:in 两:two 三:three 四:four 五:five",
    "ja": "の: が: は: を: に: と:and で:in 二:two 三:three 四:four 五:five",
}


def function_words() -> Iterator[tuple[str, str, Candidate]]:
    """(language, word, candidate) of `FUNCTION_WORDS`."""
    for language, listed in FUNCTION_WORDS.items():
        for item in listed.split():
            word, _, english = item.partition(":")
            text = english.replace("_", " ")
            yield language, word, Candidate(text, "function word", language)


def language_table(
    language: str,
    words: Mapping[str, EmojiWords],
    english: Mapping[str, EmojiWords],
    names: Mapping[str, str],
    known: Collection[str],
    keywords: bool = True,
) -> dict[str, list[Candidate]]:
    """Word or phrase -> candidates, best first.

    words, english: code -> name and keywords in the language and in English. names: code -> the
    name that can be drawn. known: English words that the model knows. keywords: whether to keep
    what is only a keyword.
    """
    by_name: dict[str, list[str]] = defaultdict(list)
    by_keyword: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for code in sorted(names.keys() & words.keys()):
        one = words[code]
        by_name[one.name].append(names[code])
        for keyword in one.keywords if keywords else ():
            by_keyword[keyword].append((_fit(keyword, one), names[code]))
    aligned = _align(words, english, known)
    found: dict[str, list[Candidate]] = {}
    for word in sorted({*by_name, *by_keyword, *aligned}):
        ranked = [(name, "name") for name in by_name.get(word, ())]
        if word in aligned:
            ranked.append((aligned[word], "translation"))
        listed = sorted(by_keyword.get(word, ()), key=lambda item: (-item[0], item[1]))
        if not ranked and (noun := _common_noun([name for _, name in listed])) in known:
            ranked.append((noun, "translation"))
        if len(listed) <= MAX_EMOJI or not ranked:
            ranked += [(name, "keyword") for _, name in listed]
        unique: dict[str, str] = {}
        for text, reason in ranked:
            unique.setdefault(text, reason)
        best = list(unique.items())[:MAX_CANDIDATES]
        found[word] = [Candidate(text, reason, language) for text, reason in best]
    return found | _other_spellings(found)


def _common_noun(names: Sequence[str]) -> str:
    """The noun of things that differ by their color alone, "apple" of "red apple" and "green
    apple"; "" if the first name is of no such thing.
    """
    noun = remove_colors(names[0]) if names else ""
    same = [name for name in names if name != noun and remove_colors(name) == noun]
    return noun if len(same) > 1 else ""


def _fit(keyword: str, one: EmojiWords) -> float:
    """How well a keyword fits an emoji: it is in the name, and there are few others."""
    parts = _WORD.findall(one.name)
    share = 1 / (1 + len(parts)) if keyword in parts else 0.0
    near = len(keyword) / len(one.name) / 4 if keyword in one.name else 0.0  # "pferd" in a compound
    return share + near + 1 / (4 + len(one.keywords))


def _align(
    words: Mapping[str, EmojiWords], english: Mapping[str, EmojiWords], known: Collection[str]
) -> dict[str, str]:
    """Word -> the known English word that occurs with the same emoji."""
    found = _best_pairs(
        _kinds_of(words, english, keywords=True),
        _kinds_of(english, english, keywords=True),
        lambda shared, share, cosine: (
            (shared >= MIN_COUNT and cosine >= MIN_COSINE) or (shared >= MANY and share >= MOST)
        ),
    )
    found |= _best_pairs(
        _kinds_of(words, english, keywords=False),
        _kinds_of(english, english, keywords=False),
        lambda shared, share, cosine: shared >= MIN_NAMES and share >= MIN_SHARE,
    )
    return {word: one for word, one in found.items() if one in known}


def _best_pairs(
    words: Mapping[str, set[str]],
    english: Mapping[str, set[str]],
    is_good: Callable[[int, float, float], bool],
) -> dict[str, str]:
    """Word -> the English word with the highest cosine of the sets of kinds, among the good ones.

    is_good: tells by the number of shared kinds, their share of the word's, and the cosine.
    """
    of_kind: dict[str, list[str]] = defaultdict(list)
    for one, kinds in english.items():
        for kind in kinds:
            of_kind[kind].append(one)
    found = {}
    for word, kinds in words.items():
        shared = Counter(one for kind in kinds for one in of_kind[kind])
        cosines = {
            one: count / math.sqrt(len(kinds) * len(english[one])) for one, count in shared.items()
        }
        good = [one for one, n in shared.items() if is_good(n, n / len(kinds), cosines[one])]
        if good:
            found[word] = min(good, key=lambda one: (-cosines[one], len(one), one))
    return found


def _kinds_of(
    words: Mapping[str, EmojiWords], english: Mapping[str, EmojiWords], keywords: bool
) -> dict[str, set[str]]:
    """Word -> the kinds of emoji that have it in their name, or also as a keyword. Man, woman and
    person of one occupation are one kind."""
    found = defaultdict(set)
    for code in words.keys() & english.keys():
        kind = _GENDER.sub("", english[code].name).strip()
        for word in {*_WORD.findall(words[code].name), *(words[code].keywords if keywords else ())}:
            found[word].add(kind)
    return found


def _other_spellings(found: Mapping[str, list[Candidate]]) -> dict[str, list[Candidate]]:
    """The words that are typed without accents, and Japanese ones in the other syllabary, where
    that is no word itself."""
    other: dict[str, list[Candidate]] = {}
    for word, candidates in found.items():
        marks = unicodedata.normalize("NFKD", word)
        text = "".join(one for one in marks if not unicodedata.combining(one))
        texts = [text] if word.isalpha() and text.isascii() else []
        texts += [word.translate(_HIRAGANA), word.translate(_KATAKANA)]
        other |= {text: candidates for text in texts if text not in found}
    return other
