"""The tokenizer of a pretrained CLIP: tokenizer.json, or vocab.json and merges.txt as OpenAI's."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from undiffuse.clip.tokenizer import END, END_OF_WORD, OPENAI, START, Tokenizer
from undiffuse.errors import UserError
from undiffuse.pretrained.layouts import VitConfig
from undiffuse.pretrained.settings import Settings, read_text

PIECES = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
SPECIAL = r"<\|startoftext\|>|<\|endoftext\|>|"  # some files have these before it
NORMALISED = ["NFC", {"Regex": r"\s+"}, "Lowercase"]
CLASSES = ("CLIPTokenizer", "CLIPTokenizerFast")
NAMED = {"bos_token": START, "eos_token": END, "pad_token": END}  # by CLIP's own tokenizer


def read_tokenizer(folder: Path, config: VitConfig) -> tuple[Tokenizer, list[Path]]:
    """The tokenizer, and the files that it was read from.

    UserError for files that are missing, are no CLIP's tokenizer, or do not fit the text tower.
    """
    whole, words, pairs = (folder / n for n in ("tokenizer.json", "vocab.json", "merges.txt"))
    if whole.is_file():
        vocabulary, merges = _from_whole(Settings.read(whole))
        read = [whole]
    elif words.is_file() and pairs.is_file():
        vocabulary, merges = Settings.read(words).values, _lines(pairs)
        read = [words, pairs]
    else:
        raise UserError(f"{folder} has no tokenizer.json, nor vocab.json and merges.txt")
    names, more = _special(folder)
    numbers = _numbered(vocabulary, read[0])
    for name in (*names.values(), START, END):
        if name not in numbers:
            raise UserError(f"{read[0]} has no token {name!r}")
    start, end, pad = (names[name] for name in NAMED)
    tokenizer = Tokenizer(
        numbers, merges, config.context, start=start, end=end, pad=numbers[pad], rules=OPENAI
    )
    tokenizer.check()
    if max(numbers.values()) >= config.vocabulary:
        raise UserError(f"{read[0]} has more tokens than the text tower, {config.vocabulary}")
    # Else the text tower would read its vector off another token.
    wanted = max(numbers.values()) if config.end is None else config.end
    if numbers[end] != wanted:
        raise UserError(f"{read[0]}: {end!r} is {numbers[end]}; the text tower's end is {wanted}")
    return tokenizer, read + more


def _numbered(vocabulary: Any, path: Path) -> dict[str, int]:
    if not isinstance(vocabulary, Mapping) or not all(type(n) is int for n in vocabulary.values()):
        raise UserError(f"{path} does not number its tokens")
    return dict(vocabulary)


def _lines(path: Path) -> list[tuple[str, str]]:
    """The pairs of merges.txt, one a line, after a line with the version."""
    pairs = []
    # Not splitlines: a token may hold what it takes for the end of a line.
    for number, line in enumerate(read_text(path).split("\n")):
        line = line.rstrip("\r")
        if line and not (number == 0 and line.startswith("#version")):
            pairs.append(_pair(line.split(" "), str(path)))
    return pairs


def _pair(parts: Any, where: str) -> tuple[str, str]:
    if len(parts) != 2 or not all(isinstance(part, str) and part for part in parts):
        raise UserError(f"{where}: {parts!r:.60} is no pair to merge")
    return parts[0], parts[1]


def _from_whole(settings: Settings) -> tuple[Any, list[tuple[str, str]]]:
    """Vocabulary and merges of tokenizer.json; UserError unless it cuts texts as CLIP's does."""
    model = settings.part("model")
    model.one_of("type", ("BPE",))
    model.one_of("end_of_word_suffix", (END_OF_WORD,))
    for name in ("continuing_subword_prefix", "dropout", "byte_fallback", "ignore_merges"):
        if model.values.get(name):
            raise model.refuse(name, "none")
    merges = model.values.get("merges")
    if not isinstance(merges, list):
        raise model.refuse("merges", "a list")
    if _steps(settings.values.get("normalizer"), "normalizers") != NORMALISED:
        raise settings.refuse("normalizer", "CLIP's: NFC, white space, lower case")
    steps = _steps(settings.values.get("pre_tokenizer"), "pretokenizers")
    if steps not in ([{"Regex": PIECES}, "ByteLevel"], [{"Regex": SPECIAL + PIECES}, "ByteLevel"]):
        raise settings.refuse("pre_tokenizer", "CLIP's own pieces")
    pairs = [_pair(m.split(" ") if isinstance(m, str) else m, model.where) for m in merges]
    return model.values.get("vocab"), pairs


def _steps(given: Any, inner: str) -> list[Any]:
    """What each step of a sequence is: its pattern, or else its kind."""
    steps = given.get(inner) if isinstance(given, dict) else None
    if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
        return []
    return [step.get("pattern", step.get("type")) for step in steps]


def _special(folder: Path) -> tuple[dict[str, str], list[Path]]:
    """Names of the tokens for start, end and padding, and the file that says them."""
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        path = folder / name
        if not path.is_file():
            continue
        said = Settings.read(path)
        if "tokenizer_class" in said.values:
            said.one_of("tokenizer_class", CLASSES)
        if said.values.get("do_lower_case") is False:
            raise said.refuse("do_lower_case", "true")
        return {kind: _name(said, kind, usual) for kind, usual in NAMED.items()}, [path]
    return dict(NAMED), []


def _name(said: Settings, kind: str, usual: str) -> str:
    value = said.values.get(kind, usual)
    if isinstance(value, dict):  # with how it takes white space, which plays no part here
        value = value.get("content")
    if not isinstance(value, str):
        raise said.refuse(kind, "a token's name")
    return value
