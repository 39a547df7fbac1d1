"""What each emoji is called: Unicode's English names and keywords, from emojibase."""

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


@dataclass(frozen=True)
class Emoji:
    """One emoji in one skin tone. `concept` is the code point without tone, the same for all."""

    code: str
    concept: str
    name: str
    keywords: tuple[str, ...]
    group: str
    subgroup: str
    tone: int  # index in TONES; 0 is the untoned one
    label: str  # Unicode's own name, which the icon sets' file names derive from


def plain_code(code: str) -> str:
    """A code point sequence without its variation selectors, in lower case."""
    return re.sub(r"-fe0f|^fe0f-", "", code.lower())


def readable(label: str) -> str:
    """Unicode's label as people would write it: "man: curly hair" -> "man with curly hair"."""
    text = label.lower().replace("’", "'").replace("“", '"').replace("”", '"')
    head, colon, tail = text.partition(": ")
    if not colon:
        return text
    if head == "flag":
        return f"flag of {tail}"
    if "hair" in tail or "beard" in tail:
        return f"{head} with {tail}"
    return f"{head} {tail}"


def slug(label: str) -> str:
    """A label as the icon sets spell it in their file names."""
    text = unicodedata.normalize("NFKD", label).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", text.replace("&", "and").replace("'", "")).strip("-")


def icon_names(label: str) -> Iterator[str]:
    """Every spelling of a label that the icon sets are known to use, the commonest first."""
    name = slug(label)
    spellings = [name, name.replace("-skin-tone", "")]
    head, _, tail = label.partition(": ")
    if "blond hair" in label:
        tone = "-" + slug(tail.split(", ")[1]) if ", " in tail else ""
        spellings += [f"{slug(head)}-blonde-hair{tone}", f"blond-haired-{slug(head)}{tone}"]
    if head == "flag":
        spellings.append(f"flag-for-{slug(tail)}")
    if head.startswith("deaf "):
        who = head.removeprefix("deaf ")
        spellings.append("-".join(part for part in (who, "deaf", slug(tail)) if part))
    if head.startswith(("men ", "women ")):
        spellings.append(name.replace("men-", "man-", 1))
    spellings.append(f"person-{name}")
    for old, new in _RENAMED.items():
        if name == old or name.startswith(f"{old}-"):
            spellings.append(name.replace(old, new, 1))
    for spelling in spellings:
        yield spelling
        yield spelling.replace("-skin-tone", "")


# Names that Unicode changed after the icon sets were drawn.
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
    "merman": "merman",
    "knocked-out-face": "dizzy-face",
}


def read_names(entries: list[dict], messages: dict[str, list[dict]]) -> list[Emoji]:
    """Every emoji of emojibase's `en/data.json`, each skin tone a row of its own.

    `messages`: its `en/messages.json`, the names of the groups.
    Sequences of two skin tones (couples) are left out: no caption says which of the two is which.
    """
    groups = {row["order"]: row["message"] for row in messages["groups"]}
    subgroups = {row["order"]: row["message"] for row in messages["subgroups"]}
    rows = []
    for entry in entries:
        if "group" not in entry:  # regional indicators: letters that flags are spelt with
            continue
        concept = plain_code(entry["hexcode"])
        for variant in (entry, *entry.get("skins", ())):
            tone = variant.get("tone", 0)
            if not isinstance(tone, int):
                continue
            rows.append(
                Emoji(
                    code=plain_code(variant["hexcode"]),
                    concept=concept,
                    name=readable(entry["label"]),
                    keywords=tuple(entry.get("tags", ())),
                    group=groups[entry["group"]],
                    subgroup=subgroups[entry["subgroup"]],
                    tone=tone,
                    label=variant["label"],
                )
            )
    return rows
