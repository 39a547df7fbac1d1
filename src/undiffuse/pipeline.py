"""Text in, pictures out: `undiffuse.load().generate("a red apple")`.

A picture is a function of model, prompt, settings, seed and index, and of nothing else: the same
bytes drawn alone or among others, whatever the number of threads; on the same kind of processor
with the same versions of this package, NumPy and ONNX Runtime.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from undiffuse import diffusion
from undiffuse.config import EMBED, SIDE, STYLES, DrawConfig
from undiffuse.diffusion.arrays import Array, Denoiser, named, whole, within
from undiffuse.errors import UserError
from undiffuse.images import Pixels
from undiffuse.runtime.machine import processor, versions
from undiffuse.runtime.networks import ClipEncoder, CodecRuntime, DenoiserRuntime

SHIPPED = Path(__file__).parent / "weights"
MAX_PROMPT = 1000  # characters; CLIP reads some twenty words
MAX_STEPS = 1000
EVEN = ("blend", "previous")  # samplers that walk in even steps: 5%, 10%, ... are their lesson
# "flat", "fluent" and "blob" are words of everyday too.
_NAMES_STYLE = re.compile(rf"\b(?:noto|twemoji|emojione|(?:{'|'.join(STYLES)})[ -]style)\b", re.I)


@dataclass(frozen=True, eq=False)
class Picture:
    """A drawn picture: bytes `(64, 64, 3)`, all that it takes to draw it again, and what the
    person who asked should know."""

    pixels: Pixels
    record: dict[str, Any]
    notes: tuple[str, ...] = ()

    def save(self, path: str | Path, scale: int = 1) -> None:
        """Write it as PNG with its record, each pixel scale x scale. UserError if that fails."""
        from undiffuse.images import MAX_SCALE, enlarged, png, write_file

        whole("scale", scale, 1, MAX_SCALE + 1)
        write_file(Path(path), png(enlarged(self.pixels, scale), self.record))


@dataclass(frozen=True, eq=False)
class Look:
    """A step that was taken (`diffusion.Step`, the numbers), and what it looks like."""

    step: diffusion.Step
    decode: Callable[[Array], Pixels]
    records: tuple[dict[str, Any], ...]
    notes: tuple[tuple[str, ...], ...]

    def x_t(self, rows: slice = slice(None)) -> Pixels:
        """What there is after the step, noise and picture: bytes `(B, 64, 64, 3)`."""
        return self.decode(self.step.x_t[rows])

    def x0(self, rows: slice = slice(None)) -> Pixels:
        """The finished picture as it is predicted from before the step: bytes `(B, 64, 64, 3)`."""
        return self.decode(self.step.x0[rows])

    def pictures(self) -> list[Picture]:
        """The pictures as they stand: drawn, at the last step."""
        return [Picture(*made) for made in zip(self.x_t(), self.records, self.notes, strict=True)]


@dataclass(frozen=True, eq=False)
class TextToImage:
    """A model, loaded: `load` makes one. `defaults` hold wherever a call says nothing else."""

    clip: ClipEncoder
    denoiser: DenoiserRuntime
    codec: CodecRuntime | None  # None: the denoiser draws in pixels
    defaults: DrawConfig = field(default_factory=DrawConfig)

    def generate(
        self,
        prompt: str | Sequence[str],
        n: int = 1,
        seed: int = 0,
        *,
        first_index: int = 0,
        steps: int | None = None,
        sampler: str | None = None,
        guidance: float | None = None,
        style: str | None = None,
    ) -> list[Picture]:
        """Draw n pictures of each prompt, in order; index k of n is first_index + k.

        style      family of emoji to draw in, added to a prompt that names none; "" for none.
        guidance   how hard the prompt steers; 1 is off.
        An empty prompt draws unsteered pictures. UserError for what can't be drawn.
        """
        looks = self.steps(
            prompt, n, seed, first_index=first_index, steps=steps, sampler=sampler,
            guidance=guidance, style=style,
        )  # fmt: skip
        *_, last = looks
        return last.pictures()

    def steps(
        self,
        prompt: str | Sequence[str],
        n: int = 1,
        seed: int = 0,
        *,
        first_index: int = 0,
        steps: int | None = None,
        sampler: str | None = None,
        guidance: float | None = None,
        style: str | None = None,
    ) -> Iterator[Look]:
        """The steps that `generate` takes, one `Look` after each; the last one is the drawing."""
        asked = {"steps": steps, "sampler": sampler, "guidance": guidance, "style": style}
        given = {name: value for name, value in asked.items() if value is not None}
        config = checked(replace(self.defaults, **given))  # type: ignore[arg-type]
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        whole("n", n, 1, 10**4 + 1), whole("seed", seed, 0, 2**64)
        whole("first_index", first_index, 0, 2**64 - n)
        if not prompts:
            raise UserError("there is no prompt in the list: give one at least")
        texts = [styled(one, config.style, asked=bool(style)) for one in prompts]
        indices = [first_index + k for k in range(n)]
        notes = tuple(note for text in texts for note in [self._notes(text)] * n)
        records = tuple(self._record(text, seed, k, config) for text in texts for k in indices)
        cond = self._cond([text.text for text in texts])
        cond = None if cond is None else cond.repeat(n, axis=0)
        source = diffusion.noise_source(seed, indices * len(prompts), self.denoiser.shape)
        return self._walk(config, cond, source, records, notes)

    def _walk(
        self,
        config: DrawConfig,
        cond: Array | None,
        source: Callable[[int], Array],
        records: tuple[dict[str, Any], ...],
        notes: tuple[tuple[str, ...], ...],
    ) -> Iterator[Look]:
        band = (config.band_low, config.band_high)
        denoiser: Denoiser = diffusion.guided(self.denoiser, config.guidance, band=band)
        if self.codec is None:
            denoiser = diffusion.clamped(denoiser)  # pixels have ends; latents have none
        walk = diffusion.SAMPLERS[config.sampler](
            denoiser, source(0), cond, schedule=self.denoiser.schedule,
            times=self._times(config), fresh=source,
        )  # fmt: skip
        for step in walk:
            yield Look(step, self.decode, records, notes)

    def decode(self, x: Array) -> Pixels:
        """What the denoiser draws in, `(B, C, S, S)`, as bytes `(B, 64, 64, 3)`."""
        pixels = x if self.codec is None else self.codec.decode(x)
        bytes_ = np.rint((pixels.clip(-1.0, 1.0) + np.float32(1)) * np.float32(127.5))
        return np.ascontiguousarray(bytes_.astype(np.uint8).transpose(0, 2, 3, 1))

    def _times(self, config: DrawConfig) -> tuple[float, ...]:
        # At pure noise the noise says nothing of the picture.
        start = diffusion.EPS_START if self.denoiser.config.target == "eps" else 1.0
        if config.sampler in EVEN:
            return diffusion.even(config.steps, start=start)
        return diffusion.shifted(config.steps, config.shift, start=start)

    def _cond(self, texts: list[str]) -> NDArray[np.float32] | None:
        """CLIP vectors `(B, 512)`, zeros for an empty text; None if all are empty."""
        steered = [row for row, text in enumerate(texts) if text]
        if not steered:
            return None
        cond = np.zeros((len(texts), EMBED), np.float32)
        cond[steered] = self.clip.encode_text([texts[row] for row in steered])
        return cond

    def _notes(self, text: "StyledText") -> tuple[str, ...]:
        if not text.text:
            return ("the prompt is empty: the picture is unsteered, some picture or other",)
        (cut,) = self.clip.tokens([text.text]).cut
        return text.notes + ((f"the prompt is too long, this was cut off: {cut!r}",) * bool(cut))

    def _record(
        self, text: "StyledText", seed: int, index: int, config: DrawConfig
    ) -> dict[str, Any]:
        shift = 1.0 if config.sampler in EVEN else config.shift
        return {
            "prompt": text.prompt, "style": text.style, "text": text.text,
            "seed": int(seed), "index": int(index),
            "sampler": config.sampler, "steps": int(config.steps),
            "guidance": float(config.guidance),
            "band": [float(config.band_low), float(config.band_high)], "shift": float(shift),
            "model": self.denoiser.hash,  # covers the hashes of its CLIP and codec
            "versions": versions(), "processor": processor(),
        }  # fmt: skip


@dataclass(frozen=True)
class StyledText:
    """A prompt as it came, and the text that steers, with the family that was added to it."""

    prompt: str
    text: str
    style: str
    notes: tuple[str, ...] = ()


def styled(prompt: str, style: str, *, asked: bool = False) -> StyledText:
    """The prompt, with `style` added unless it names a family itself; that is noted where the
    style was `asked` for. UserError if the prompt is no text."""
    try:
        if len(prompt) > MAX_PROMPT:
            raise UserError(f"the prompt has {len(prompt)} characters: at most {MAX_PROMPT}")
        prompt.encode()
    except (TypeError, AttributeError, UnicodeEncodeError) as error:
        raise UserError(f"prompt {prompt!r} is no text") from error
    bare = " ".join(prompt.split())
    if not bare or not style:
        return StyledText(prompt, bare, "")
    if _NAMES_STYLE.search(bare):
        note = f"the prompt names a family itself: the style {style} is not added"
        return StyledText(prompt, bare, "", (note,) * asked)
    return StyledText(prompt, f"{bare} in {style} style", style)


def checked(config: DrawConfig) -> DrawConfig:
    """The configuration, if a picture can be drawn so. UserError names what can't be, and why."""
    named(diffusion.SAMPLERS, config.sampler, "sampler")
    if config.style:
        named(dict.fromkeys(STYLES), config.style, "style")
    whole("steps", config.steps, 1, MAX_STEPS + 1)
    within("guidance", config.guidance, -100.0, 100.0)
    within("band_high", config.band_high, 0.0, 1.0)
    within("band_low", config.band_low, 0.0, config.band_high)
    within("shift", config.shift, 0.01, 100.0)
    return config


def load(folder: str | Path | None = None, threads: int = 2) -> TextToImage:
    """The model in a folder, or the one that ships in the package.

    The folder holds clip, codec and denoiser .safetensors and their graphs/. UserError if a file
    is missing, broken, or another than the denoiser was trained with.
    """
    place = SHIPPED if folder is None else Path(folder)
    denoiser = DenoiserRuntime(place, threads)
    clip = ClipEncoder(place, threads)
    _check_pair(place, denoiser, "clip", clip.hash)
    if denoiser.made_for["codec"] is None:
        if denoiser.shape != (3, SIDE, SIDE):
            raise UserError(f"the denoiser in {place} draws latents, and names no codec for them")
        return TextToImage(clip, denoiser, None)
    codec = CodecRuntime(place, threads)
    _check_pair(place, denoiser, "codec", codec.hash)
    return TextToImage(clip, denoiser, codec)


def _check_pair(folder: Path, denoiser: DenoiserRuntime, kind: str, found: str) -> None:
    wanted = denoiser.made_for[kind]
    if wanted != found:
        raise UserError(
            f"the denoiser in {folder} was trained with {kind} {wanted}, and the {kind} there is "
            f"{found}: take the one it came with"
        )
