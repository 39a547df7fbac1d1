"""Names and keywords of emoji in many languages: emojibase, emojilib and Unicode's CLDR.

All are npm packages at pinned versions: emojibase-data and emojilib are MIT, the two packages of
CLDR (https://cldr.unicode.org) have Unicode's licence.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from undiffuse.data import npm
from undiffuse.data.emoji_names import normalize_code, readable_name
from undiffuse.data.emoji_sets import EMOJIBASE, Package
from undiffuse.errors import UserError

EMOJILIB = Package("emojilib", "4.0.3")
CLDR = Package("cldr-annotations-full", "48.2.0")
CLDR_DERIVED = Package("cldr-annotations-derived-full", "48.2.0")
PACKAGES = (EMOJIBASE, EMOJILIB, CLDR, CLDR_DERIVED)
# The ten languages that are evaluated, most speakers of which type prompts in them.
LANGUAGES = {
    "de": "German", "fr": "French", "es": "Spanish", "it": "Italian", "pt": "Portuguese",
    "nl": "Dutch", "pl": "Polish", "ru": "Russian", "zh": "Chinese", "ja": "Japanese",
}  # fmt: skip
# Further languages with at least 1,500 emoji named in CLDR, for the lexicon.
MORE_LANGUAGES = {
    "ar": "Arabic", "bg": "Bulgarian", "ca": "Catalan", "cs": "Czech", "da": "Danish",
    "el": "Greek", "et": "Estonian", "fa": "Persian", "fi": "Finnish", "he": "Hebrew",
    "hi": "Hindi", "hr": "Croatian", "hu": "Hungarian", "id": "Indonesian", "ko": "Korean",
    "lt": "Lithuanian", "lv": "Latvian", "nb": "Norwegian", "ro": "Romanian", "sk": "Slovak",
    "sl": "Slovenian", "sr": "Serbian", "sv": "Swedish", "sw": "Swahili", "th": "Thai",
    "tr": "Turkish", "uk": "Ukrainian", "vi": "Vietnamese",
}  # fmt: skip
_CLDR_NAMES = {"nb": "no"}  # CLDR's own code of a language where it differs


@dataclass(frozen=True)
class EmojiWords:
    """The name of one emoji in one language, and its keywords; both in lower case."""

    name: str
    keywords: tuple[str, ...]


def code_of(characters: str) -> str:
    """An emoji's code points as `Emoji.code` spells them."""
    return normalize_code("-".join(f"{ord(one):04x}" for one in characters))


def read_emojibase_words(folder: Path) -> dict[str, EmojiWords]:
    """Code -> English name and tags of emojibase, without skin tones."""
    (entries,) = npm.read_json(EMOJIBASE, folder, "en/data.json")
    return {
        normalize_code(entry["hexcode"]): EmojiWords(
            readable_name(entry["label"]), _clean(entry.get("tags", ()))
        )
        for entry in entries
    }


def read_emojilib(folder: Path) -> dict[str, EmojiWords]:
    """Code -> English name and keywords of emojilib."""
    (table,) = npm.read_json(EMOJILIB, folder, "dist/emoji-en-US.json")
    words = {code_of(emoji): _clean(w.replace("_", " ") for w in k) for emoji, k in table.items()}
    return {code: EmojiWords(found[0], found[1:]) for code, found in words.items() if found}


def read_cldr(folder: Path, languages: Iterable[str]) -> dict[str, dict[str, EmojiWords]]:
    """Language -> code -> name and keywords of CLDR. UserError for a language that it lacks."""
    wanted = list(languages)
    found: dict[str, dict[str, EmojiWords]] = {language: {} for language in wanted}
    for package, part in ((CLDR, "annotations"), (CLDR_DERIVED, "annotationsDerived")):
        paths = {
            f"{part}/{_CLDR_NAMES.get(language, language)}/annotations.json": language
            for language in wanted
        }
        files = npm.read_files(package, folder, paths.__contains__)
        for path, language in paths.items():
            if path in files:
                data = npm.parse_json(package, path, files[path])
                found[language] |= _annotations(data[part]["annotations"])
    for language, words in found.items():
        if not words:
            raise UserError(f"CLDR has no language {language!r}: choose from {', '.join(found)}")
    return found


def _annotations(table: dict[str, Any]) -> dict[str, EmojiWords]:
    return {
        code_of(emoji): EmojiWords(_clean(entry["tts"])[0], _clean(entry.get("default", ())))
        for emoji, entry in table.items()
        if entry.get("tts") and _clean(entry["tts"])
    }


def _clean(words: Iterable[str]) -> tuple[str, ...]:
    """Words in lower case, with plain apostrophes and single spaces, without what has no letter."""
    plain = (re.sub(r"\s+", " ", word.lower().replace("’", "'")).strip() for word in words)
    return tuple(dict.fromkeys(word for word in plain if any(map(str.isalpha, word))))
