"""The settings of a drawing as JSON, checked, and as arguments of `TextToImage.steps`."""

import math
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from importlib.util import find_spec
from typing import Any

from undiffuse.config import DrawConfig
from undiffuse.diffusion import SAMPLERS
from undiffuse.errors import UserError
from undiffuse.explore.expression import MAX_LENGTH, Term
from undiffuse.pipeline import TextToImage
from undiffuse.pipeline.options import (
    FRESHNESS,
    MAX_CANDIDATES,
    MAX_STEPS,
    NEEDS_FULL,
    DrawOptions,
    resolve_config,
    wants_fast,
)
from undiffuse.pipeline.prompt import parse_prompt
from undiffuse.pipeline.record import OLDER

MAX_COUNT = 4
MAX_LIKE = 8
PREVIEW_SIDE = 256  # pixels: smaller pictures are enlarged to about this size in files
# Names of files that the studio writes, as paths in its folder.
UPLOAD = re.compile(r"uploads/[0-9a-f]{16}\.png")
PICTURE = re.compile(r"\d{8}-\d{6}-[0-9a-f]{8}")


@dataclass(frozen=True)
class Settings:
    """What one request asks for. None stands for the model's default.

    index, count  pictures index, index + 1, ..., of the seed are drawn.
    size          the side in pixels; only that of the model.
    like          uploads whose CLIP vectors are added to the prompt's.
    init, mask    uploads: the picture to begin with, and where to draw; `strength` goes with them.
    compose       whether several things of a prompt are drawn apart and composed.
    fast          whether the fast denoiser draws; null: if the model has one and nothing else is
                  asked for that it can't do.
    candidates    how often each picture is drawn; CLIP chooses one.
    keep          whether the pictures go into the gallery.
    """

    prompt: str = ""
    negative: str = ""
    style: str | None = None
    style_strength: float | None = None
    color_strength: float | None = None
    seed: int = 0
    index: int = 0
    count: int = 1
    steps: int | None = None
    sampler: str | None = None
    guidance: float | None = None
    freshness: float | None = None
    size: int | None = None
    like: tuple[str, ...] = ()
    init: str | None = None
    strength: float | None = None
    mask: str | None = None
    compose: bool | None = None
    fast: bool | None = None
    candidates: int | None = None
    keep: bool = True

    def options(self) -> DrawOptions:
        """The keyword arguments of `TextToImage.steps`. Paths are relative to the folder."""
        return DrawOptions(
            first_index=self.index, steps=self.steps, sampler=self.sampler, guidance=self.guidance,
            freshness=self.freshness, style=self.style, style_strength=self.style_strength,
            color_strength=self.color_strength, negative=self.negative or None, like=self.like,
            start=self.init, strength=self.strength, mask=self.mask, compose=self.compose,
            fast=self.fast, candidates=self.candidates,
        )  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """The settings that are given, as JSON data."""
        return {k: v for k, v in asdict(self).items() if v not in (None, ()) and k != "keep"}


_TYPES: dict[str, type] = {
    "prompt": str, "negative": str, "style": str, "style_strength": float, "color_strength": float,
    "seed": int, "index": int, "count": int, "steps": int, "sampler": str, "guidance": float,
    "freshness": float, "size": int, "like": list, "init": str, "strength": float, "mask": str,
    "compose": bool, "fast": bool, "candidates": int, "keep": bool,
}  # fmt: skip
_RANGES = {
    "seed": (0, 2**64 - 1), "index": (0, 2**64 - 1 - MAX_COUNT), "count": (1, MAX_COUNT),
    "steps": (1, MAX_STEPS), "guidance": (-100, 100), "style_strength": (0, 10),
    "color_strength": (0, 10), "freshness": (0, 1), "strength": (0.01, 1),
    "candidates": (1, MAX_CANDIDATES),
}  # fmt: skip
_KINDS = {
    str: "a text", int: "a whole number", float: "a number", list: "a list", bool: "true or false",
}  # fmt: skip


def parse_settings(values: Any, model: TextToImage, most: int = MAX_COUNT) -> Settings:
    """The settings in a JSON object, for pictures of a model, `most` at once.

    UserError for an unknown setting, a value of another type or out of range, a prompt that can't
    be parsed or names a file that is no upload, and a style or sampler that the model lacks.
    """
    if not isinstance(values, dict):
        raise UserError('the settings are no JSON object: send {"prompt": "a red apple"}')
    unknown = sorted(map(str, values.keys() - _TYPES.keys()))
    if unknown:
        raise UserError(f"setting {unknown[0]!r} is unknown: choose from {', '.join(_TYPES)}")
    given = {k: _typed(k, v) for k, v in values.items() if v is not None}
    for name, (low, high) in (_RANGES | {"count": (1, most)}).items():
        if name in given and not low <= given[name] <= high:
            raise UserError(f"{name}={given[name]!r}: give {low} to {high}")
    settings = Settings(**given)
    _check_size(settings, model)
    _check_uploads(settings)
    options = settings.options()
    wants_fast(options, model.denoisers.has_fast, model.folder)
    config = resolve_config(model.defaults, options, model.denoiser.styles)
    for text in (settings.prompt, settings.negative):
        _check_prompt(text, config, model)
    return settings


def _typed(name: str, value: Any) -> Any:
    kind: Any = _TYPES[name]
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind is float and number:
        try:
            value = float(value)
        except OverflowError:
            value = math.inf
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise UserError(f"{name}={_shown(value)}: give {_KINDS[kind]}")
    if kind is str and len(value) > MAX_LENGTH:
        raise UserError(f"{name} has {len(value)} characters: at most {MAX_LENGTH}")
    if kind is float and not math.isfinite(value):
        raise UserError(f"{name}={value}: give a finite number")
    if kind is list:
        if len(value) > MAX_LIKE:
            raise UserError(f"{name} has {len(value)} uploads: at most {MAX_LIKE}")
        return tuple(value)
    return value


def _check_size(settings: Settings, model: TextToImage) -> None:
    side = model.codec.config.image_size
    if settings.size is not None and settings.size != side:
        raise UserError(f"size={settings.size}: this model draws {side}x{side} pixels")


def _check_uploads(settings: Settings) -> None:
    for name in (*settings.like, settings.init, settings.mask):
        if name is not None and not is_upload(name):
            raise UserError(f"{_shown(name)} is no upload: send the file to /api/upload first")
    if settings.init is None and (settings.mask or settings.strength is not None):
        raise UserError("mask and strength need a picture to begin with: give init")


def _check_prompt(text: str, config: DrawConfig, model: TextToImage) -> None:
    """UserError for a text that is no prompt, or reads a file that is not the studio's."""
    check_pictures(parse_prompt(text, config.style, styles=model.denoiser.styles).terms)


def check_pictures(terms: Iterable[Term]) -> None:
    """UserError for a term that reads a file which is no upload."""
    for term in terms:
        if term.is_picture and not is_upload(term.text):
            raise UserError(
                f"{_shown(term.text)} is no upload: send the file to /api/upload first, or put "
                "the text in quotes"
            )


def is_upload(name: Any) -> bool:
    """Whether a value is the name of an upload."""
    return isinstance(name, str) and UPLOAD.fullmatch(name) is not None


def _shown(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def settings_of_record(record: dict[str, Any]) -> Settings:
    """The settings that draw the picture of a record again."""
    record = OLDER | record
    names = {field.name for field in fields(Settings)} - {"count", "size", "keep", "like"}
    names -= set(NEEDS_FULL) if record.get("fast") else set()
    given = {name: record[name] for name in names if name in record}
    return replace(
        Settings(**given), like=tuple(record.get("like", ())), init=record.get("start"),
        mask=record.get("mask"),
    )  # fmt: skip


def file_scale(size: int) -> int:
    """How much files enlarge the pixels of a picture of `size` pixels a side."""
    return max(1, PREVIEW_SIDE // size)


def model_description(model: TextToImage) -> dict[str, Any]:
    """What the page needs to know of a model, as JSON data."""
    size, defaults = model.codec.config.image_size, model.defaults
    return {
        "name": f"undiffuse-{size}",
        "hash": model.denoiser.hash,
        "size": size,
        "sizes": [size],
        "channels": model.codec.config.image_channels,
        "scale": file_scale(size),
        "files": ["png", "webp", "gif", *(["svg"] if find_spec("vtracer") else [])],
        "styles": list(model.denoiser.styles),
        "composes": model.composes,
        "fast": model.denoisers.has_fast,
        "samplers": list(SAMPLERS),
        "freshness": {name: float(name == "blend") for name in FRESHNESS},
        "schedule": model.denoiser.schedule.name,
        "defaults": {
            "style": defaults.style, "steps": defaults.steps, "sampler": defaults.sampler,
            "guidance": defaults.guidance, "seed": 0, "index": 0, "count": 1,
        },
        "limits": {name: list(pair) for name, pair in _RANGES.items()}
        | {"prompt": MAX_LENGTH, "like": MAX_LIKE},
    }  # fmt: skip
