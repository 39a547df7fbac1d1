"""The record in a PNG file: the settings, inputs and versions that draw the picture again."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from undiffuse.config import DrawConfig
from undiffuse.errors import UserError
from undiffuse.imaging.files import read_bytes
from undiffuse.imaging.read import MAX_FILE
from undiffuse.pipeline.options import DrawOptions
from undiffuse.pipeline.prompt import Prompt, expression_of

# Key -> type. A record has every setting, and the options that were given.
SETTINGS: dict[str, type] = {
    "prompt": str, "style": str, "sampler": str, "steps": int, "seed": int, "index": int,
    "guidance": float, "shift": float, "band": list, "style_strength": float, "style_below": float,
    "color_strength": float,
}  # fmt: skip
OPTIONS: dict[str, type] = {
    "negative": str, "strength": float, "gradient": float, "freshness": float, "start": str,
    "mask": str, "like": list, "compose": bool, "fast": bool, "candidates": int,
}  # fmt: skip
# Key -> the argument that it replaces when the picture is drawn again: the text as it was read.
READ = {"read": "prompt", "negative_read": "negative"}
OLDER = {"color_strength": 0.0}  # settings that older records do not have


def settings_record(prompt: Prompt, config: DrawConfig, seed: int, index: int) -> dict[str, Any]:
    """The settings of one picture as plain data. "read" is there if the lexicon changed the prompt:
    the text that is drawn again, even if a later lexicon reads it differently."""
    read = {"read": prompt.read} if prompt.read != prompt.prompt else {}
    return {
        "prompt": prompt.prompt, **read, "style": prompt.style, "text": prompt.text,
        "style_strength": float(config.style_strength), "style_below": float(config.style_below),
        "color_strength": float(config.color_strength),
        "seed": int(seed), "index": int(index), "sampler": config.sampler,
        "steps": int(config.steps), "guidance": float(config.guidance),
        "band": [float(config.band_low), float(config.band_high)], "shift": float(config.shift),
    }  # fmt: skip


def options_record(
    options: DrawOptions, prompts: Sequence[Prompt], negative: Prompt
) -> dict[str, Any]:
    """The options that were given, and the hash of each image file that they or the prompts name.

    UserError for a file that can't be read.
    """
    given: dict[str, Any] = {**options}
    record: dict[str, Any] = {
        name: [str(path) for path in value] if kind is list else kind(value)
        for name, kind in OPTIONS.items()
        if name != "fast"  # recorded if it was chosen, also without the option
        and ((value := given.get(name)) or value == 0)  # 0 is a freshness, not its absence
    }
    if negative.read != negative.prompt:
        record["negative_read"] = negative.read
    terms = [term for prompt in (*prompts, negative) for term in prompt.terms]
    paths = {term.text for term in terms if term.is_picture}
    paths |= {record[name] for name in ("start", "mask") if name in record}
    if paths:
        record["files"] = {path: _file_hash(Path(path)) for path in sorted(paths)}
    return record


def negative_record(prompt: Prompt, negative: Prompt) -> dict[str, Any]:
    """The negative prompt with its style in words, if the prompt has another style: the record has
    one style only, that of the prompt.
    """
    if not negative.style or negative.style == prompt.style:
        return {}
    return {"negative_read": expression_of(negative.terms)}


def parse_record(record: dict[str, Any], path: Path) -> tuple[DrawConfig, dict[str, Any]]:
    """The configuration and the keyword arguments of `TextToImage.generate` in a record.

    UserError, naming `path`, for a grid and for a value of another type than a record has.
    """
    if isinstance(record.get("grid"), list):
        raise UserError(f"{path} is a grid of pictures: replay one of them")
    record = OLDER | record
    options = {name: record[name] for name in OPTIONS if name in record}
    kinds = SETTINGS | {name: OPTIONS[name] for name in options}
    for name, kind in (kinds | {name: str for name in READ if name in record}).items():
        value = record.get(name)
        items = value if isinstance(value, list) else []
        if (
            not isinstance(value, kind)
            or (name == "band" and len(items) != 2)
            or not all(isinstance(item, str if name == "like" else float) for item in items)
        ):
            raise UserError(f"{path} has a broken record: {name} is {value!r}")
    config = DrawConfig(
        sampler=record["sampler"], steps=record["steps"], guidance=record["guidance"],
        band_low=record["band"][0], band_high=record["band"][1], shift=record["shift"],
        style=record["style"], style_below=record["style_below"],
        fast_style_below=record["style_below"],
    )  # fmt: skip
    names = {"prompt": "prompt", "seed": "seed", "index": "first_index"}
    options |= {argument: record[key] for key, argument in names.items()}
    options |= {argument: record[key] for key, argument in READ.items() if key in record}
    options.setdefault("fast", False)
    options["literal"] = True  # also not composed, unless the record says so
    strengths = ("style_strength", "color_strength")
    return config, options | {name: record[name] for name in strengths}


def record_changes(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """One line for each input, model, version or processor that differs between two records."""
    before, after = (_flat(record) for record in (then, now))
    return [
        f"{name}: {_short(before.get(name))} then, {_short(value)} now"
        for name, value in after.items()
        if before.get(name) != value
    ]


def _flat(record: dict[str, Any]) -> dict[str, Any]:
    versions = record.get("versions")
    names = ("text", "model", "codec", "processor", "files")
    return {name: record.get(name) for name in names} | (
        versions if isinstance(versions, dict) else {}
    )


def _short(value: object) -> str:
    return "unknown" if value is None else ascii(value).strip("'")[:100]


def _file_hash(path: Path) -> str:
    return hashlib.sha256(read_bytes(path, MAX_FILE)).hexdigest()[:16]
