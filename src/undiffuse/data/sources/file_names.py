"""Captions out of file names, and labels out of folders."""

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

from undiffuse.data.sources.item import SPLITS, clean_text

_SCALE = re.compile(r"@\dx\b")
_SIZE = r"\d+x\d+|\d+px"
_CAMEL = re.compile(r"(?<=[a-zà-ÿ])(?=[A-Z][a-z])")
_SPLIT = re.compile(r"[\s_\-.,;()\[\]{}@#~+]+")
_NUMBER = re.compile(r"\d+")
# 1f34e, u1f34e, DSC00123, n01440764, a checksum: a numeral with letters, no word.
_CODE = re.compile(rf"(?i){_SIZE}|[a-z]?(?=[0-9a-f]*\d)[0-9a-f]{{4,}}|[a-z]{{1,4}}\d{{3,}}")
_NO_WORDS = frozenset({
    "img", "image", "dsc", "dscn", "pxl", "photo", "pic", "picture", "scan", "screenshot",
    "untitled", "file", "icon", "emoji",
})  # fmt: skip


def readable_name(name: str) -> str:
    """A file name as Unicode. Bytes that are no UTF-8 are read in Windows' Western code page."""
    try:
        name.encode()
    except UnicodeEncodeError:
        name = os.fsencode(name).decode("cp1252", "replace")
    return unicodedata.normalize("NFC", name)


def caption_from_name(name: str) -> str:
    """ "fruit/red_apple-02.png" -> "red apple"; "" for a name without words: "IMG_1234.jpg"."""
    stem = os.path.splitext(readable_name(name).rpartition("/")[2])[0]
    spaced = _CAMEL.sub(" ", _SCALE.sub(" ", stem))
    words = [w for w in _SPLIT.split(spaced) if w and not _is_code(w)]
    while words and (_NUMBER.fullmatch(words[-1]) or (words[-1] == "copy" and len(words) > 1)):
        words.pop()
    while words and _NUMBER.fullmatch(words[0]) and (words[0][0] == "0" or len(words[0]) > 2):
        del words[0]
    if all(word.lower() in _NO_WORDS or _NUMBER.fullmatch(word) for word in words):
        return ""
    return clean_text(" ".join(words))


def _is_code(word: str) -> bool:
    return bool(_CODE.fullmatch(word)) and not _NUMBER.fullmatch(word)


def has_words(text: str) -> bool:
    """Whether a label says something: "cat" does, "3" and "n01440764" don't."""
    return bool(caption_from_name(text.replace("/", " ")))


def captions_from_label(label: str) -> list[str]:
    """ "big_dog" -> ["big dog"]; none of a label without words."""
    return [clean_text(label.replace("_", " "))] if has_words(label) else []


class Folders:
    """What the folders of a data set mean: splits at the top, labels at the bottom."""

    def __init__(self, names: Iterable[str]) -> None:
        folders = Counter(name.rpartition("/")[0] for name in names)
        tops = {SPLITS.get(folder.partition("/")[0].lower(), "") for folder in folders}
        # One split alone ("train/") splits nothing.
        self.splits = len(tops - {""}) > 1
        self.named = tops != {""}
        labels = {self._label(folder) for folder in folders}
        self.labels = sorted(labels) if len(labels) > 1 else []

    def _label(self, folder: str) -> str:
        parts = folder.split("/")
        if self.named and parts[0].lower() in SPLITS:
            del parts[0]
        return printable_label(parts[-1]) if parts else ""

    def label(self, name: str) -> str:
        """The last folder's name, if there are different ones."""
        return self._label(name.rpartition("/")[0]) if self.labels else ""

    def split(self, name: str) -> str:
        """The split that the first folder names, if there are different ones."""
        return SPLITS.get(name.partition("/")[0].lower(), "") if self.splits else ""


def printable_label(folder: str) -> str:
    """A folder's name as a label."""
    return clean_text(readable_name(folder))
