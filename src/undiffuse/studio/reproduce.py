"""The command line and the Python that draw the picture of a record again."""

import shlex
from pathlib import Path
from typing import Any

from undiffuse.pipeline.options import NEEDS_FULL
from undiffuse.pipeline.record import OLDER
from undiffuse.studio.settings import settings_of_record

# Key of a record -> option of `undiffuse draw`, argument of `TextToImage.generate`.
_OPTIONS = {
    "seed": ("--seed", "seed"), "index": ("--first-index", "first_index"),
    "steps": ("--steps", "steps"), "sampler": ("--sampler", "sampler"),
    "guidance": ("--guidance", "guidance"), "freshness": ("--freshness", "freshness"),
    "style": ("--style", "style"), "style_strength": ("--style-strength", "style_strength"),
    "color_strength": ("--color-strength", "color_strength"),
    "negative": ("--negative", "negative"), "like": ("--like", "like"),
    "start": ("--from", "start"), "strength": ("--strength", "strength"),
    "mask": ("--mask", "mask"), "candidates": ("--candidates", "candidates"),
}  # fmt: skip
_LEFT_OUT = {"index": 0, "seed": 0}  # at the value that is the default in every version


def describe(record: dict[str, Any], scale: int, model: Path | None) -> dict[str, Any]:
    """The record, the settings, the command line and the Python of a picture, as JSON data."""
    return {
        "record": record,
        "settings": settings_of_record(record).to_dict(),
        "command": command_line(record, scale, model),
        "python": python_code(record, scale, model),
    }


def command_line(record: dict[str, Any], scale: int, model: Path | None) -> str:
    """`undiffuse draw ...`. Uploads are named as in the studio's folder: call it there."""
    words = ["undiffuse", "draw"]
    record = OLDER | record
    for key, (option, _) in _given(record):
        values = record[key] if isinstance(record[key], list) else [record[key]]
        for value in values:
            words += _option(option, str(value))
    words += ["--no-compose"] if record.get("compose") is False else []
    words += ["--fast"] if record.get("fast") else []
    words += _option("--scale", str(scale))
    words += [] if model is None else _option("--model", str(model))
    prompt = record["prompt"]
    return shlex.join([*words, *(["--"] if prompt.startswith("-") else []), prompt])


def _option(name: str, value: str) -> list[str]:
    """Two words, or one where click would take the value for an option."""
    return [f"{name}={value}"] if value.startswith("-") else [name, value]


def python_code(record: dict[str, Any], scale: int, model: Path | None) -> str:
    """Lines of Python that write the picture to picture.png."""
    record = OLDER | record
    arguments = [repr(record["prompt"])]
    arguments += [f"{name}={record[key]!r}" for key, (_, name) in _given(record)]
    arguments += ["compose=False"] if record.get("compose") is False else []
    arguments += ["fast=True"] if record.get("fast") else []
    folder = "" if model is None else repr(str(model))
    lines = "\n".join(f"    {argument}," for argument in arguments)
    return (
        "import undiffuse\n\n"
        f"model = undiffuse.load({folder})\n"
        f"picture = model.generate(\n{lines}\n)[0]\n"
        f'picture.save("picture.png", scale={scale})\n'
    )


def _given(record: dict[str, Any]) -> list[tuple[str, tuple[str, str]]]:
    return [
        (key, names) for key, names in _OPTIONS.items()
        if key in record and record[key] != _LEFT_OUT.get(key)
        and not (record.get("fast") and key in NEEDS_FULL)
    ]  # fmt: skip
