"""Text in, pictures out: `undiffuse.load().generate("a red apple")`.

A picture is a function of model, prompt, settings, seed and index, and of nothing else: the same
bytes drawn alone or among others, whatever the number of threads; on the same kind of processor
with the same versions of this package, NumPy and ONNX Runtime.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from undiffuse import diffusion
from undiffuse.config import EMBED, STYLES, DrawConfig
from undiffuse.diffusion.arrays import Array, Denoiser, check_int, check_range, lookup
from undiffuse.errors import UserError
from undiffuse.explore.space import Space
from undiffuse.imaging.png import Pixels
from undiffuse.pipeline.canvas import Canvas, canvas_of, file_hash
from undiffuse.pipeline.prompt import Asked, Prompt, between, styled
from undiffuse.runtime.machine import processor, versions
from undiffuse.runtime.networks import ClipEncoder, CodecRuntime, DenoiserRuntime

SHIPPED = Path(__file__).parents[1] / "weights"
MAX_STEPS = 1000
EVEN = ("blend", "previous")  # samplers that walk in even steps: 5%, 10%, ... are their lesson


@dataclass(frozen=True, eq=False)
class Picture:
    """A drawn picture: bytes `(64, 64, 3)`, all that it takes to draw it again, and what the
    person who asked should know."""

    pixels: Pixels
    record: dict[str, Any]
    notes: tuple[str, ...] = ()

    def save(self, path: str | Path, scale: int = 1) -> None:
        """Write it as PNG with its record, each pixel scale x scale. UserError if that fails."""
        from undiffuse.imaging.files import write_atomic
        from undiffuse.imaging.png import MAX_SCALE, encode_png, upscale

        check_int("scale", scale, 1, MAX_SCALE + 1)
        write_atomic(Path(path), encode_png(upscale(self.pixels, scale), self.record))


@dataclass(frozen=True, eq=False)
class Look:
    """A step that was taken (`diffusion.Step`, the numbers), and what it looks like."""

    step: diffusion.Step
    job: "_Job"
    decode: Callable[[Array], Pixels]

    def x_t(self, rows: slice = slice(None)) -> Pixels:
        """What there is after the step, noise and picture: bytes `(B, 64, 64, 3)`."""
        return self.decode(self.step.x_t[rows])

    def x0(self, rows: slice = slice(None)) -> Pixels:
        """The finished picture as it is predicted from before the step: bytes `(B, 64, 64, 3)`."""
        return self.decode(self.step.x0[rows])

    def pictures(self) -> list[Picture]:
        """The pictures as they stand: drawn, at the last step."""
        pixels = self.x_t() if self.job.canvas is None else self.job.canvas.finish(self.x_t())
        return [
            Picture(*made) for made in zip(pixels, self.job.records, self.job.notes, strict=True)
        ]


@dataclass(frozen=True, eq=False)
class _Job:
    """Everything that is decided before the first step is taken."""

    config: DrawConfig
    cond: Array | None
    late: Array | None  # vectors in cond's place where there is little noise
    negative: Array | None
    canvas: Canvas | None
    uphill: Callable[[Denoiser], Denoiser]
    source: Callable[[int], Array]
    records: tuple[dict[str, Any], ...]
    notes: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, eq=False)
class TextToImage:
    """A model, loaded: `load` makes one. `defaults` hold wherever a call says nothing else."""

    clip: ClipEncoder
    denoiser: DenoiserRuntime
    codec: CodecRuntime
    folder: Path
    defaults: DrawConfig = field(default_factory=DrawConfig)

    def generate(
        self, prompt: str | Sequence[str], n: int = 1, seed: int = 0, **asked: Unpack[Asked]
    ) -> list[Picture]:
        """Draw n pictures of each prompt, in order. A prompt may be a sum, "man + 0.8 hat - beard".

        An empty prompt draws unsteered pictures. UserError for what can't be drawn.
        """
        *_, last = self.steps(prompt, n, seed, **asked)
        return last.pictures()

    def steps(
        self, prompt: str | Sequence[str], n: int = 1, seed: int = 0, **asked: Unpack[Asked]
    ) -> Iterator[Look]:
        """The steps that `generate` takes, one `Look` after each; the last one is the drawing."""
        return self._walk(self._job(prompt, n, seed, asked))

    def between(
        self, one: str, other: str, count: int = 8, seed: int = 0, **asked: Unpack[Asked]
    ) -> list[Picture]:
        """Pictures from one prompt to another along the sphere, all from the same noise."""
        prompts = between(one, other, Space(self.clip).term, count)
        return self.generate(prompts, 1, seed, **asked)

    def _job(self, prompt: str | Sequence[str], n: int, seed: int, asked: Asked) -> _Job:
        unknown = asked.keys() - Asked.__annotations__.keys()
        if unknown:
            raise UserError(f"{min(unknown)}: choose from {', '.join(Asked.__annotations__)}")
        usual = {f.name for f in fields(DrawConfig)}
        given = {k: v for k, v in asked.items() if k in usual and v is not None}
        config = checked(replace(self.defaults, **given))  # type: ignore[arg-type]
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        first = asked.get("first_index", 0)
        check_int("n", n, 1, 10**4 + 1), check_int("seed", seed, 0, 2**64)
        check_int("first_index", first, 0, 2**64 - n)
        if not prompts:
            raise UserError("there is no prompt in the list: give one at least")
        said, like = bool(asked.get("style")), asked.get("like", ())
        wanted = [styled(one, config.style, asked=said, like=like) for one in prompts]
        away = styled(asked.get("negative") or "", config.style)
        canvas = canvas_of(asked)
        more = self._more(asked, [*wanted, away])
        wanted = [one.without(away) for one in wanted]
        always = asked.get("style_strength") is not None
        strength = [config.style_strength * (always or one.asks_style) for one in wanted]
        indices = [first + k for k in range(n)]

        def each(vectors: Array | None) -> Array | None:
            return None if vectors is None else vectors.repeat(n, axis=0)

        term = Space(self.clip).term
        cond = late = negative = None
        if any(one.terms for one in wanted):
            cond = np.stack([one.vector(term) for one in wanted])
        if any(strength):
            late = np.stack([p.stronger(term, s) for p, s in zip(wanted, strength, strict=True)])
        if away.terms and not all(one.terms for one in wanted):  # nothing to take it from
            zeros = np.zeros(EMBED, np.float32)
            negative = np.stack([zeros if p.terms else away.vector(term) for p in wanted])
        return _Job(
            config,
            each(cond),
            each(late),
            each(negative),
            canvas,
            self._uphill(asked.get("gradient") or 0.0),
            diffusion.noise_source(seed, indices * len(prompts), self.denoiser.shape),
            tuple(
                self._record(one, seed, k, replace(config, style_strength=much)) | more
                for one, much in zip(wanted, strength, strict=True)
                for k in indices
            ),
            tuple(note for one in wanted for note in [self._notes(one, away, config)] * n),
        )

    def _walk(self, job: _Job) -> Iterator[Look]:
        config, schedule = job.config, self.denoiser.schedule
        denoiser: Denoiser = diffusion.classifier_free_guidance(
            self.denoiser, config.guidance, negative=job.negative,
            band=(config.band_low, config.band_high),
        )  # fmt: skip
        if job.late is not None:
            denoiser = diffusion.switch_cond(denoiser, job.late, config.style_below)
        denoiser = job.uphill(denoiser)
        times, noise = self._times(config, job.canvas), job.source(0)
        if job.canvas is not None:
            denoiser = job.canvas.kept(denoiser, self.codec)
            alpha, sigma = schedule.alpha_sigma(times[0])
            noise = noise + np.float32(alpha / sigma) * self.codec.encode(job.canvas.known)
        walk = diffusion.SAMPLERS[config.sampler](
            denoiser, noise, job.cond, schedule=schedule, times=times, fresh=job.source
        )
        for step in walk:
            yield Look(step, job, self.decode)

    def decode(self, x: Array) -> Pixels:
        """Latents `(B, C, S, S)` as bytes `(B, 64, 64, 3)`."""
        pixels = self.codec.decode(x).clip(-1.0, 1.0)
        bytes_ = np.rint((pixels + np.float32(1)) * np.float32(127.5))
        return np.ascontiguousarray(bytes_.astype(np.uint8).transpose(0, 2, 3, 1))

    def _uphill(self, scale: float) -> Callable[[Denoiser], Denoiser]:
        if check_range("gradient", scale, -100.0, 100.0) == 0.0:
            return lambda denoiser: denoiser
        try:
            from undiffuse.training.clip_guidance import ClipGradient
        except ModuleNotFoundError as error:
            raise UserError(
                f"gradient={scale} needs {error.name}: pip install 'undiffuse[train]'"
            ) from error
        return partial(ClipGradient(self.folder).guided, scale=scale)

    def _times(self, config: DrawConfig, canvas: Canvas | None) -> tuple[float, ...]:
        # At pure noise the noise says nothing of the picture.
        start = diffusion.EPS_START if self.denoiser.config.target == "eps" else 1.0
        if canvas is not None:
            start = min(start, canvas.strength)
        if config.sampler in EVEN:
            return diffusion.uniform_times(config.steps, start=start)
        return diffusion.shifted_times(config.steps, config.shift, start=start)

    def _notes(self, prompt: Prompt, away: Prompt, config: DrawConfig) -> tuple[str, ...]:
        notes = prompt.notes
        if not prompt.terms:
            notes += ("the prompt is empty: the picture is unsteered, some picture or other",)
        if away.terms and not prompt.terms and config.guidance == 1.0:
            notes += ("guidance is 1, off: the negative prompt does nothing",)
        texts = [term.text for term in (*prompt.terms, *away.terms) if not term.is_picture]
        cuts = [cut for cut in self.clip.tokens(texts).cut if cut] if texts else []
        return notes + tuple(f"the prompt is too long, this was cut off: {cut!r}" for cut in cuts)

    def _record(self, prompt: Prompt, seed: int, index: int, config: DrawConfig) -> dict[str, Any]:
        shift = 1.0 if config.sampler in EVEN else config.shift
        return {
            "prompt": prompt.prompt, "style": prompt.style, "text": prompt.text,
            "style_strength": float(config.style_strength),
            "style_below": float(config.style_below),
            "seed": int(seed), "index": int(index),
            "sampler": config.sampler, "steps": int(config.steps),
            "guidance": float(config.guidance),
            "band": [float(config.band_low), float(config.band_high)], "shift": float(shift),
            "model": self.denoiser.hash,  # covers the hashes of its CLIP and the codec's encoder
            "codec": self.codec.hash,
            "versions": versions(), "processor": processor(),
        }  # fmt: skip

    def _more(self, asked: Asked, prompts: Sequence[Prompt]) -> dict[str, Any]:
        """The rest of the record: what only some drawings have, and the files it came from."""
        record: dict[str, Any] = {
            name: value
            for name in ("negative", "strength", "gradient")
            if (value := asked.get(name))
        }
        record |= {name: str(path) for name in ("start", "mask") if (path := asked.get(name))}
        if like := asked.get("like"):
            record["like"] = [str(path) for path in like]
        paths = {term.text for prompt in prompts for term in prompt.terms if term.is_picture}
        paths |= {record[name] for name in ("start", "mask") if name in record}
        if paths:
            record["files"] = {path: file_hash(Path(path)) for path in sorted(paths)}
        return record


def checked(config: DrawConfig) -> DrawConfig:
    """The configuration, if a picture can be drawn so. UserError names what can't be, and why."""
    lookup(diffusion.SAMPLERS, config.sampler, "sampler")
    if config.style:
        lookup(dict.fromkeys(STYLES), config.style, "style")
    check_int("steps", config.steps, 1, MAX_STEPS + 1)
    check_range("guidance", config.guidance, -100.0, 100.0)
    check_range("style_strength", config.style_strength, 0.0, 10.0)
    check_range("style_below", config.style_below, 0.0, 1.0)
    check_range("band_high", config.band_high, 0.0, 1.0)
    check_range("band_low", config.band_low, 0.0, config.band_high)
    check_range("shift", config.shift, 0.01, 100.0)
    return config


def load(folder: str | Path | None = None, threads: int = 2) -> TextToImage:
    """The model in a folder, or the one that ships in the package.

    The folder holds clip, codec and denoiser .safetensors and their graphs/. UserError if a file
    is missing, broken, or another than the denoiser was trained with.
    """
    place = SHIPPED if folder is None else Path(folder)
    with ThreadPoolExecutor(1) as beside:
        others = beside.submit(lambda: (ClipEncoder(place, threads), CodecRuntime(place, threads)))
        denoiser = DenoiserRuntime(place, threads)
        clip, codec = others.result()
    _check_pair(place, denoiser, "clip", clip.hash)
    _check_pair(place, denoiser, "codec", codec.encoder)
    return TextToImage(clip, denoiser, codec, place)


def _check_pair(folder: Path, denoiser: DenoiserRuntime, kind: str, found: str) -> None:
    wanted = denoiser.made_for[kind]
    if wanted != found:
        raise UserError(
            f"the denoiser in {folder} was trained with {kind} {wanted}, and the {kind} there is "
            f"{found}: take the one it came with"
        )
