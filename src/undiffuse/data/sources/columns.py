"""Which columns of a table, and fields of a record, mean what."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from undiffuse.data.sources.file_names import captions_from_label
from undiffuse.data.sources.item import SPLITS, Words, clean_text

# Meaning -> names in order of preference; upper case, "-" and " " are taken as lower case and "_".
COLUMNS = {
    "file": ("file_name", "filename", "file", "image_file", "image_path", "filepath", "file_path",
             "path", "image", "img"),
    "image": ("image", "img", "picture", "png", "jpg", "jpeg", "webp", "image_bytes", "bytes"),
    "caption": ("text", "caption", "captions", "prompt", "description", "sentences",
                "sentence", "raw", "alt_text", "alt"),
    "name": ("name", "title"),
    "keywords": ("keywords", "tags"),
    "tone": ("tone",),
    "label": ("label", "class", "class_name", "category", "labels", "cls", "fine_label", "target"),
    "style": ("style", "family", "icon_set", "artist"),
    "split": ("split", "subset", "partition"),
}  # fmt: skip
OWN: dict[str, type] = {
    "name": str, "concept": str, "keywords": list, "captions": list, "group": str, "subgroup": str,
    "tone": str, "colour": str, "colors": list, "gloss": str, "tintable": bool, "set": str,
    "style_group": str,
}  # fmt: skip
MAX_CAPTIONS = 100  # of a picture
MAX_KEYWORDS = 5  # in a caption that is made of them


def plain(name: object) -> str:
    """A column's name as `COLUMNS` spells it."""
    return str(name).strip().lower().replace("-", "_").replace(" ", "_")


def column(names: Sequence[str], meaning: str) -> str:
    """The column among `names` that has the meaning, as it is spelled there; "" if none has."""
    spelled = {plain(name): name for name in reversed(names)}
    return next((spelled[name] for name in COLUMNS[meaning] if name in spelled), "")


def known(names: Sequence[str]) -> list[str]:
    """Those of the columns that have a meaning."""
    every = {name for names in COLUMNS.values() for name in names}
    return [name for name in names if plain(name) in every]


def parse_object(text: str | bytes) -> dict[str, Any]:
    """A JSON object. ValueError for anything else."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"no JSON: {error}") from None
    if not isinstance(value, dict):
        raise ValueError(f"the JSON is a {type(value).__name__}, not an object")
    return value


def read_words(
    record: Mapping[str, Any], classes: Mapping[str, Sequence[str]] | None = None
) -> Words:
    """What a record says of its picture. `classes`: column -> the names of its numbered labels."""
    fields = {plain(key): value for key, value in record.items() if value not in (None, "", [])}
    numbered = {plain(key): names for key, names in (classes or {}).items()}

    def first(meaning: str) -> tuple[str, Any]:
        return next(((name, fields[name]) for name in COLUMNS[meaning] if name in fields), ("", ""))

    captions = _texts(first("caption")[1])
    if not captions:
        captions = _of_name(*(first(kind)[1] for kind in ("name", "keywords", "tone")))
    name, label = first("label")
    names = numbered.get(name, ())
    if isinstance(label, int) and 0 <= label < len(names):
        label = names[label]
    label, split = _text(label), _text(first("split")[1])
    if not captions and not column(list(record), "caption"):  # an empty caption stays empty
        captions = captions_from_label(label)
    style, own = _text(first("style")[1]), own_fields(record)
    return Words(captions, label, style, SPLITS.get(split.lower(), split), own)


def own_fields(record: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a record in this project's own form that training uses; none of others.

    Such a record has a name and a concept. Fields of another type than `OWN` says are left out.
    """
    if not all(isinstance(record.get(field), str) for field in ("name", "concept")):
        return {}
    own: dict[str, Any] = {}
    for field, kind in OWN.items():
        value = record.get(field)
        if isinstance(value, kind):
            own[field] = value if kind is bool else _texts(value) if kind is list else _text(value)
    return own if own["name"] and own["concept"] else {}


def _of_name(name: Any, keywords: Any, tone: Any) -> list[str]:
    """A name, and the name with its keywords: this project's own shards."""
    whole = ", ".join(filter(None, [_text(name), _text(tone)]))
    if not whole:
        return []
    others = [word for word in _texts(keywords) if word != _text(name)][:MAX_KEYWORDS]
    return [whole, ", ".join([whole, *others])] if others else [whole]


def _texts(value: Any) -> list[str]:
    """One text, a list of texts, or such a list as JSON in one cell; the same text once."""
    if isinstance(value, str) and value.startswith("[") and value.endswith("]"):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            value = [value]
    values = value if isinstance(value, list) else [value]
    texts = (_text(one) for one in values[:MAX_CAPTIONS])
    return list(dict.fromkeys(text for text in texts if text))


def _text(value: Any) -> str:
    if isinstance(value, str):
        return clean_text(value)
    return str(value) if isinstance(value, int) and abs(value) < 1 << 63 else ""
