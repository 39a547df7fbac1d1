"""Text to image: prompt -> CLIP vector -> denoising steps -> picture.

A picture is a function of model, prompt, settings, seed and index alone. Its bytes do not depend
on the other pictures of the batch or on the number of threads; they may depend on the kind of
processor and on the versions of this package, NumPy and ONNX Runtime.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from undiffuse import diffusion
from undiffuse.clip.lexicon import FILE, Lexicon
from undiffuse.clip.reading import Reader
from undiffuse.config import DrawConfig
from undiffuse.diffusion.arrays import Array, Denoiser, check_int, check_range
from undiffuse.errors import UserError
from undiffuse.explore.space import Space
from undiffuse.imaging.png import Pixels, unpremultiply
from undiffuse.layout.parse import SceneGrammar
from undiffuse.pipeline.init_image import InitImage, read_init_image
from undiffuse.pipeline.options import FRESHNESS, DrawOptions, resolve_config
from undiffuse.pipeline.picture import Picture, Preview
from undiffuse.pipeline.prompt import Prompt, interpolate_prompts, parse_prompt
from undiffuse.pipeline.record import negative_record, options_record, settings_record
from undiffuse.pipeline.scenes import Canvas, make_canvases, wants_scenes
from undiffuse.pretrained.encoder import PretrainedClip
from undiffuse.runtime.machine import processor, versions
from undiffuse.runtime.networks import ClipEncoder, CodecRuntime, DenoiserRuntime
from undiffuse.runtime.session import PRETRAINED, SHIPPED_WEIGHTS, weight_file


@dataclass(frozen=True, eq=False)
class DrawPlan:
    """The inputs of the sampler, and what becomes of its result."""

    config: DrawConfig
    cond: Array | None  # (B, 512)
    late_cond: Array | None  # (B, 512), replaces cond at noise levels under config.style_below
    negative_cond: Array | None  # (B, 512), for unsteered pictures
    clip_gradient: Callable[[Denoiser], Denoiser]
    init_image: InitImage | None
    noise_source: Callable[[int], Array]
    canvases: list[Canvas]  # of the pictures
    records: list[dict[str, Any]]
    notes: list[tuple[str, ...]]


@dataclass(frozen=True, eq=False)
class TextToImage:
    """A loaded model; see `load`. `defaults` apply where a call gives no option."""

    clip: ClipEncoder | PretrainedClip
    denoiser: DenoiserRuntime
    codec: CodecRuntime
    folder: Path
    defaults: DrawConfig = field(default_factory=DrawConfig)
    reader: Reader | None = None  # of the model's lexicon; without one, prompts are literal

    def generate(
        self, prompt: str | Sequence[str], n: int = 1, seed: int = 0, **options: Unpack[DrawOptions]
    ) -> list[Picture]:
        """Draw n pictures of each prompt, in order.

        A prompt may be a sum, "man + 0.8*hat - beard"; an empty one draws random pictures.
        UserError for a prompt or an option that can't be drawn.
        """
        *_, last = self.steps(prompt, n, seed, **options)
        return last.pictures()

    def steps(
        self, prompt: str | Sequence[str], n: int = 1, seed: int = 0, **options: Unpack[DrawOptions]
    ) -> Iterator[Preview]:
        """The steps of `generate`, one `Preview` after each. The last one holds the pictures."""
        return self._sample(self._plan(prompt, n, seed, options))

    def between(
        self, one: str, other: str, count: int = 8, seed: int = 0, **options: Unpack[DrawOptions]
    ) -> list[Picture]:
        """Interpolate between two prompts: `count` pictures, all from the same noise."""
        if self.reader is not None and not options.get("literal"):
            one, other = (parse_prompt(text, "", reader=self.reader).read for text in (one, other))
        prompts = interpolate_prompts(one, other, Space(self.clip).encode_term, count)
        return self.generate(prompts, 1, seed, **options | {"literal": True})

    def decode(self, x: Array) -> Pixels:
        """Latents (B, C, S, S) as bytes (B, H, W, 3), or (B, H, W, 4) with straight alpha."""
        pixels = self.codec.decode(x).clip(-1.0, 1.0)
        bytes_ = np.rint((pixels + np.float32(1)) * np.float32(127.5)).astype(np.uint8)
        return unpremultiply(np.ascontiguousarray(bytes_.transpose(0, 2, 3, 1)))

    def _sample(self, plan: DrawPlan) -> Iterator[Preview]:
        config, schedule = plan.config, self.denoiser.schedule
        denoiser: Denoiser = diffusion.classifier_free_guidance(
            self.denoiser, config.guidance, negative=plan.negative_cond,
            band=(config.band_low, config.band_high),
        )  # fmt: skip
        if plan.late_cond is not None:
            denoiser = diffusion.switch_cond(denoiser, plan.late_cond, config.style_below)
        denoiser = plan.clip_gradient(denoiser)
        start, noise = 1.0, plan.noise_source(0)
        if self.denoiser.config.target == "eps":
            start = diffusion.EPS_START
        if plan.init_image is not None:
            start = min(start, plan.init_image.strength)
            denoiser = plan.init_image.keep_unmasked(denoiser, self.codec)
            alpha, sigma = schedule.alpha_sigma(start)
            x0 = self.codec.encode(plan.init_image.normalized)
            noise = noise + np.float32(alpha / sigma) * x0  # the sampler multiplies by sigma
        times = diffusion.shifted_times(config.steps, config.shift, start=start)
        fresh: dict[str, Any] = {"fresh": plan.noise_source}
        if config.freshness is not None:
            fresh[FRESHNESS[config.sampler]] = config.freshness
        for step in diffusion.SAMPLERS[config.sampler](
            denoiser, noise, plan.cond, schedule=schedule, times=times, **fresh
        ):
            yield Preview(step, plan, self.decode)

    def _plan(
        self, prompt: str | Sequence[str], n: int, seed: int, options: DrawOptions
    ) -> DrawPlan:
        config = resolve_config(self.defaults, options, self.denoiser.styles)
        texts = [prompt] if isinstance(prompt, str) else list(prompt)
        first = options.get("first_index", 0)
        check_int("n", n, 1, 10**4 + 1)
        check_int("seed", seed, 0, 2**64)
        check_int("first_index", first, 0, 2**64 - n)
        if not texts:
            raise UserError("the list of prompts is empty: give at least one prompt")
        requested, like = bool(options.get("style")), options.get("like", ())
        composes = self._composes(options)
        parse = partial(
            parse_prompt, style=config.style, styles=self.denoiser.styles,
            reader=None if options.get("literal") else self.reader, composes=composes,
        )  # fmt: skip
        prompts = [parse(text, style_requested=requested, like=like) for text in texts]
        negative = parse(options.get("negative") or "")
        codec = self.codec.config
        init_image = read_init_image(options, codec.image_size, codec.image_channels)
        inputs = self._model_record() | options_record(options, prompts, negative)
        grammar = self._grammar if composes else None
        canvases, rows = make_canvases(prompts, range(first, first + n), seed, grammar)
        rows = [row.subtract(negative) for row in rows]
        indices = [index for canvas in canvases for index in canvas.indices]
        always = options.get("style_strength") is not None
        strengths = [config.style_strength * (always or row.style_requested) for row in rows]
        return DrawPlan(
            config,
            *self._embed(rows, strengths, negative),
            self._clip_gradient(options.get("gradient") or 0.0),
            init_image,
            diffusion.noise_source(seed, indices, self.denoiser.shape),
            canvases,
            [self._record(one, strengths, negative, config) | inputs for one in canvases],
            [self._notes(one, negative, config) for one in canvases],
        )

    def _record(
        self, canvas: Canvas, strengths: list[float], negative: Prompt, config: DrawConfig
    ) -> dict[str, Any]:
        prompt = canvas.prompt.subtract(negative)
        config = replace(config, style_strength=strengths[canvas.rows.start])
        composed = {"compose": True} if canvas.composition else {}
        return (
            settings_record(prompt, config, canvas.seed, canvas.index)
            | composed
            | negative_record(prompt, negative)
        )

    @property
    def composes(self) -> bool:
        """Whether prompts with several things are composed, unless an option says otherwise."""
        return self._composes(DrawOptions())

    def _composes(self, options: DrawOptions) -> bool:
        able = self.reader is not None and self.codec.config.image_channels == 4
        return wants_scenes(options, able, self.denoiser.config.text_tokens > 0, self.folder)

    @cached_property
    def _grammar(self) -> SceneGrammar:
        assert self.reader is not None
        return SceneGrammar(self.reader.lexicon.names, self.reader.lexicon.known)

    def _embed(
        self, rows: list[Prompt], strengths: list[float], negative: Prompt
    ) -> tuple[Array | None, Array | None, Array | None]:
        """`cond`, `late_cond` and `negative_cond` of a plan."""
        encode = cache(Space(self.clip).encode_term)
        cond = late_cond = negative_cond = None
        if any(row.terms for row in rows):
            cond = np.stack([row.embed(encode, dim=self.clip.dim) for row in rows])
        if any(strengths):
            pairs = zip(rows, strengths, strict=True)
            late_cond = np.stack(
                [row.embed(encode, strength, self.clip.dim) for row, strength in pairs]
            )
        cond, late_cond = (self._with_states(each, rows) for each in (cond, late_cond))
        if negative.terms and not all(row.terms for row in rows):
            zeros = np.zeros(self.clip.dim, np.float32)
            away = negative.embed(encode)
            negative_cond = np.stack([zeros if row.terms else away for row in rows])
            negative_cond = self._with_states(
                negative_cond, [replace(negative, sentence="")] * len(rows)
            )
        return cond, late_cond, negative_cond

    def _with_states(self, cond: Array | None, rows: list[Prompt]) -> Array | None:
        """`cond` with the states of the prompts' tokens behind it, if the denoiser reads them."""
        count = self.denoiser.config.text_tokens
        if cond is None or not count or isinstance(self.clip, PretrainedClip):
            return cond
        states = self.clip.encode_states([row.sentence for row in rows], count)
        return np.concatenate([cond, states], axis=1)

    def _clip_gradient(self, scale: float) -> Callable[[Denoiser], Denoiser]:
        if check_range("gradient", scale, -100.0, 100.0) == 0.0:
            return lambda denoiser: denoiser
        if isinstance(self.clip, PretrainedClip):
            raise UserError(f"gradient={scale:g}: the CLIP of {self.folder} is a pretrained one, "
                            "and only CLIPs of undiffuse guide by gradient")  # fmt: skip
        from undiffuse.training.clip_guidance import ClipGuidance

        return partial(ClipGuidance(self.folder).guide, scale=scale)

    def _notes(self, canvas: Canvas, negative: Prompt, config: DrawConfig) -> tuple[str, ...]:
        prompt = canvas.prompt.subtract(negative)
        notes = prompt.notes + tuple(f"negative prompt: {note}" for note in negative.notes)
        if canvas.composition is not None:
            notes += (canvas.composition.note,)
        if not prompt.terms:
            notes += ("the prompt is empty: the picture is random",)
        if negative.terms and not prompt.terms and config.guidance == 1.0:
            notes += ("guidance is 1 (off): the negative prompt has no effect",)
        texts = [term.text for term in (*prompt.terms, *negative.terms) if not term.is_picture]
        cuts = [cut for cut in self.clip.tokens(texts).cut if cut] if texts else []
        return notes + tuple(f"the prompt is too long: {cut!r} was cut off" for cut in cuts)

    def _model_record(self) -> dict[str, Any]:
        return {
            "model": self.denoiser.hash,  # covers the hashes of its CLIP and the codec's encoder
            "codec": self.codec.hash,
            "versions": versions(),
            "processor": processor(),
        }


def load(
    folder: str | Path | None = None, threads: int = 2, clip: str | Path | None = None
) -> TextToImage:
    """Load the model in a folder, or the one that ships with the package.

    The folder holds clip, codec and denoiser .safetensors and their graphs/, and may hold a
    lexicon.safetensors, with which prompts are read. UserError for a file that is missing or
    broken, or that the denoiser was not trained with.

    A model that was trained with a pretrained CLIP has it in the folder clip/, or needs its folder
    as `clip`, because it was too large to be copied.
    """
    folder = SHIPPED_WEIGHTS if folder is None else Path(folder)
    with ThreadPoolExecutor(1) as pool:
        encoder = pool.submit(_load_clip, folder, clip, threads)
        codec = pool.submit(CodecRuntime, folder, threads)
        denoiser = DenoiserRuntime(folder, threads)
    if denoiser.clip_name and clip is None and not (folder / PRETRAINED).is_dir():
        raise UserError(f"the denoiser in {folder} was trained with the pretrained CLIP "
                        f"{denoiser.clip_name} ({denoiser.trained_with['clip']}): give its folder "
                        "with --clip")  # fmt: skip
    defaults = DrawConfig()
    if denoiser.default_style is not None:
        defaults = replace(defaults, style=denoiser.default_style)
    if denoiser.few_steps:
        defaults = replace(defaults, steps=denoiser.few_steps, guidance=1.0, sampler="euler")
    reader = Reader(Lexicon(folder / FILE)) if (folder / FILE).exists() else None
    model = TextToImage(encoder.result(), denoiser, codec.result(), folder, defaults, reader)
    _check_trained_with(denoiser, "clip", model.clip.hash, folder)
    _check_trained_with(denoiser, "codec", model.codec.encoder, folder)
    return model


def _load_clip(
    folder: Path, given: str | Path | None, threads: int
) -> ClipEncoder | PretrainedClip:
    own, copied = weight_file(folder, "clip"), folder / PRETRAINED
    if given is None and (own.exists() or not copied.is_dir()):
        return ClipEncoder(folder, threads)
    return PretrainedClip(copied if given is None else Path(given), threads)


def _check_trained_with(denoiser: DenoiserRuntime, kind: str, found: str, folder: Path) -> None:
    wanted = denoiser.trained_with[kind]
    if wanted != found:
        raise UserError(
            f"the denoiser in {folder} was trained with {kind} {wanted}, but the {kind} there is "
            f"{found}: use the one it was trained with"
        )
