"""The options of a drawing, and the check of their values."""

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TypedDict

from undiffuse import diffusion
from undiffuse.config import STYLES, DrawConfig
from undiffuse.diffusion.arrays import check_int, check_range, lookup
from undiffuse.errors import UserError

MAX_STEPS = 1000
MAX_CANDIDATES = 16
# What needs the denoiser that takes many steps with guidance.
NEEDS_FULL = ("steps", "sampler", "guidance", "freshness", "negative", "start", "gradient")
UNIFORM_SAMPLERS = ("blend", "previous")  # their steps are evenly spaced: 5%, 10%, ... picture
FRESHNESS = {"blend": "freshness", "ddim": "eta"}  # sampler -> its argument for new noise


class DrawOptions(TypedDict, total=False):
    """Keyword arguments of `TextToImage.generate`. Options that are not given, or None, keep their
    defaults.

    first_index     index of the first picture; picture k of n has index first_index + k.
    steps, sampler  how many denoising steps, and the name of a sampler in `diffusion.SAMPLERS`.
    guidance        scale of classifier-free guidance; 1 is off.
    freshness       share of the noise that is new at each step, in [0, 1]: blend's `freshness` and
                    ddim's `eta`. Other samplers have none.
    style           emoji style, added to a prompt that names none; "" for none.
    style_strength  how much more of the style the last steps get; 0 if no style is requested.
    color_strength  how much more of the color in "a blue banana" the last steps get.
    negative        text or sum whose vector is subtracted from the prompt's.
    like            image files whose CLIP vectors are added to the prompt's.
    start           image file to start from; `strength`, in (0, 1], is the noise level.
    mask            image file: white parts of `start` are drawn, black parts keep their bytes.
    gradient        scale of the CLIP gradient added to each x0; needs the extra [train].
    compose         draw the things of a prompt apart, "two cats on a sofa", and compose them. By
                    default if the model can, unless prompts are literal or there is a start image.
    fast            draw in few steps without guidance, with the model's fast denoiser. By default
                    if it has one, unless an option of `NEEDS_FULL` is given.
    candidates      draw so many times, and keep the drawing closest to the prompt by CLIP.
    literal         take prompts as they are; otherwise unknown words are read with the lexicon.
    """

    first_index: int
    steps: int | None
    sampler: str | None
    guidance: float | None
    freshness: float | None
    style: str | None
    style_strength: float | None
    color_strength: float | None
    negative: str | None
    like: Sequence[str | Path]
    start: str | Path | None
    strength: float | None
    mask: str | Path | None
    gradient: float | None
    compose: bool | None
    fast: bool | None
    candidates: int | None
    literal: bool


def resolve_config(
    defaults: DrawConfig, options: DrawOptions, styles: tuple[str, ...] = STYLES
) -> DrawConfig:
    """`defaults`, overridden by the options that are given; the shift is 1 for `UNIFORM_SAMPLERS`.

    UserError for an unknown option, or for a value that `check_config` refuses.
    """
    unknown = options.keys() - DrawOptions.__annotations__.keys()
    if unknown:
        names = ", ".join(DrawOptions.__annotations__)
        raise UserError(f"option {min(unknown)!r} is unknown: choose from {names}")
    settings = {field.name for field in fields(DrawConfig)}
    given = {k: v for k, v in options.items() if k in settings and v is not None}
    config = check_config(replace(defaults, **given), styles)  # type: ignore[arg-type]
    return replace(config, shift=1.0) if config.sampler in UNIFORM_SAMPLERS else config


def wants_fast(options: DrawOptions, able: bool, folder: Path) -> bool:
    """Whether the options are for the fast denoiser of the model in a folder; `able`: it has one.

    UserError if the options ask for what can't be done.
    """
    wanted = options.get("fast")
    given = [name for name in NEEDS_FULL if options.get(name) not in (None, "")]
    if wanted and not able:
        raise UserError(f"fast: the model in {folder} has no denoiser-fast.safetensors: make one "
                        "with `undiffuse train few-steps`")  # fmt: skip
    if wanted and given:
        raise UserError(f"fast and {given[0]} exclude each other: give one of them")
    return able and not given if wanted is None else wanted


def check_config(config: DrawConfig, styles: tuple[str, ...] = STYLES) -> DrawConfig:
    """The configuration itself. UserError names a value that is out of range.

    `styles`: those that the model knows.
    """
    lookup(diffusion.SAMPLERS, config.sampler, "sampler")
    if config.style:
        lookup(dict.fromkeys(styles), config.style, "style")
    check_int("steps", config.steps, 1, MAX_STEPS + 1)
    check_range("guidance", config.guidance, -100.0, 100.0)
    check_range("style_strength", config.style_strength, 0.0, 10.0)
    check_range("color_strength", config.color_strength, 0.0, 10.0)
    check_range("style_below", config.style_below, 0.0, 1.0)
    check_range("fast_style_below", config.fast_style_below, 0.0, 1.0)
    check_range("band_high", config.band_high, 0.0, 1.0)
    check_range("band_low", config.band_low, 0.0, config.band_high)
    check_range("shift", config.shift, 0.01, 100.0)
    if config.freshness is not None:
        check_range("freshness", config.freshness, 0.0, 1.0)
        if config.sampler not in FRESHNESS:
            names = " or ".join(FRESHNESS)
            raise UserError(f"sampler {config.sampler!r} has no freshness: choose {names}")
    return config
