"""Emoji names and keywords from Unicode, as the npm package emojibase-data holds them."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

TONES = (
    "",
    "light skin tone",
    "medium-light skin tone",
    "medium skin tone",
    "medium-dark skin tone",
    "dark skin tone",
)
FLAGS = "flags"
# Names that Unicode changed after the icon sets were made: new -> old.
_RENAMED = {
    "smiling-face-with-open-hands": "hugging-face",
    "face-with-crossed-out-eyes": "dizzy-face",
    "enraged-face": "pouting-face",
    "bullseye": "direct-hit",
    "bear": "bear-face",
    "a-button-blood-type": "a-button",
    "ab-button-blood-type": "ab-button",
    "b-button-blood-type": "b-button",
    "check-box-with-check": "ballot-box-with-check",
    "woman-with-veil": "bride-with-veil",
    "cat-with-tears-of-joy": "cat-face-with-tears-of-joy",
    "cat-with-wry-smile": "cat-face-with-wry-smile",
    "crying-cat": "crying-cat-face",
    "mage": "person-mage",
    "knocked-out-face": "dizzy-face",
}


@dataclass(frozen=True)
class Emoji:
    """One emoji in one skin tone. All tones of an emoji have the same `concept`."""

    code: str
    concept: str  # the code without skin tone
    name: str
    keywords: tuple[str, ...]
    group: str
    subgroup: str
    tone: int  # index in TONES; 0 is no tone
    label: str  # Unicode's own name, which the icon sets' names derive from


def normalize_code(code: str) -> str:
    """A sequence of code points in lower case, without variation selectors."""
    return re.sub(r"-fe0f|^fe0f-", "", code.lower())


def readable_name(label: str) -> str:
    """Unicode's label as people write it: "man: curly hair" -> "man with curly hair"."""
    text = label.lower().replace("’", "'").replace("“", '"').replace("”", '"')
    head, colon, tail = text.partition(": ")
    if not colon:
        return text
    if head == "flag":
        return f"flag of {tail}"
    return f"{head} with {tail}" if "hair" in tail or "beard" in tail else f"{head} {tail}"


def slugify(label: str) -> str:
    """A label as the icon sets spell it: "piñata" -> "pinata", "red apple" -> "red-apple"."""
    text = unicodedata.normalize("NFKD", label).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", text.replace("&", "and").replace("'", "")).strip("-")


def icon_names(label: str) -> Iterator[str]:
    """Every spelling of a label that the icon sets use, the most common first."""
    name = slugify(label)
    spellings = [name]
    head, _, tail = label.partition(": ")
    if "blond hair" in label:
        tone = "-" + slugify(tail.split(", ")[1]) if ", " in tail else ""
        spellings += [f"{slugify(head)}-blonde-hair{tone}", f"blond-haired-{slugify(head)}{tone}"]
    if head == "flag":
        spellings.append(f"flag-for-{slugify(tail)}")
    if head.startswith("deaf "):
        who = head.removeprefix("deaf ")
        spellings.append("-".join(part for part in (who, "deaf", slugify(tail)) if part))
    if head.startswith(("men ", "women ")):
        spellings.append(name.replace("men-", "man-", 1))
    spellings.append(f"person-{name}")
    for new, old in _RENAMED.items():
        if name == new or name.startswith(f"{new}-"):
            spellings.append(name.replace(new, old, 1))
    for spelling in spellings:
        yield spelling
        yield spelling.replace("-skin-tone", "")


def read_emojibase(entries: list[dict], messages: dict[str, list[dict]]) -> list[Emoji]:
    """Every emoji of emojibase's `en/data.json`, one row per skin tone.

    `messages`: emojibase's `en/messages.json`, which names the groups. Emoji with two skin tones
    (couples) are left out, because no caption tells which tone belongs to whom.
    """
    groups = {row["order"]: row["message"] for row in messages["groups"]}
    subgroups = {row["order"]: row["message"] for row in messages["subgroups"]}
    return [
        Emoji(
            normalize_code(variant["hexcode"]),
            normalize_code(entry["hexcode"]),
            readable_name(entry["label"]),
            tuple(entry.get("tags", ())),
            groups[entry["group"]],
            subgroups[entry["subgroup"]],
            variant.get("tone", 0),
            variant["label"],
        )
        for entry in entries
        if "group" in entry  # leaves out regional indicators, the letters of flags
        for variant in (entry, *entry.get("skins", ()))
        if isinstance(variant.get("tone", 0), int)
    ]
