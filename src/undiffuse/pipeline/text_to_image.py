"""Text to image: prompt -> CLIP vector -> denoising steps -> picture.

A picture is a function of model, prompt, settings, seed and index alone. Its bytes do not depend
on the other pictures of the batch or on the number of threads; they may depend on the kind of
processor and on the versions of this package, NumPy and ONNX Runtime.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from undiffuse.clip.reading import Reader
from undiffuse.config import DrawConfig
from undiffuse.diffusion.arrays import Array, Denoiser, check_int, check_range
from undiffuse.errors import UserError
from undiffuse.explore.expression import Term
from undiffuse.explore.space import Space
from undiffuse.imaging.png import Pixels
from undiffuse.layout.parse import SceneGrammar
from undiffuse.pipeline.denoisers import Denoisers
from undiffuse.pipeline.init_image import read_init_image
from undiffuse.pipeline.options import (
    MAX_CANDIDATES,
    DrawOptions,
    resolve_config,
    wants_fast,
)
from undiffuse.pipeline.picture import Picture, Preview
from undiffuse.pipeline.prompt import EncodeTerm, Prompt, interpolate_prompts, parse_prompt
from undiffuse.pipeline.record import negative_record, options_record, settings_record
from undiffuse.pipeline.sampling import DrawPlan, sample
from undiffuse.pipeline.scenes import Canvas, make_canvases, wants_scenes
from undiffuse.pipeline.strengths import Strengths, late_strengths
from undiffuse.runtime.machine import processor, versions
from undiffuse.runtime.networks import ClipEncoder, CodecRuntime, DenoiserRuntime

if TYPE_CHECKING:
    from undiffuse.pretrained.encoder import PretrainedClip


@dataclass(frozen=True, eq=False)
class TextToImage:
    """A loaded model; see `load`. `defaults` apply where a call gives no option."""

    clip: "ClipEncoder | PretrainedClip"
    denoisers: Denoisers
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
        return sample(self._plan(prompt, n, seed, options), self.codec, self.decode, self.clip)

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
        return self.codec.decode_bytes(x)

    def _plan(
        self, prompt: str | Sequence[str], n: int, seed: int, options: DrawOptions
    ) -> DrawPlan:
        fast = wants_fast(options, self.denoisers.has_fast, self.folder)
        network = self.denoisers.default if fast else self.denoisers.full
        defaults = self.defaults.in_few_steps(network.few_steps) if fast else self.defaults
        config = resolve_config(defaults, options, network.styles)
        texts = [prompt] if isinstance(prompt, str) else list(prompt)
        first = options.get("first_index", 0)
        check_int("n", n, 1, 10**4 + 1)
        check_int("seed", seed, 0, 2**64)
        check_int("first_index", first, 0, 2**64 - n)
        candidates = check_int("candidates", options.get("candidates") or 1, 1, MAX_CANDIDATES + 1)
        if not texts:
            raise UserError("the list of prompts is empty: give at least one prompt")
        requested, like = bool(options.get("style")), options.get("like", ())
        composes = self._composes(options)
        parse = partial(
            parse_prompt, style=config.style, styles=network.styles,
            reader=None if options.get("literal") else self.reader, composes=composes,
        )  # fmt: skip
        prompts = [parse(text, style_requested=requested, like=like) for text in texts]
        negative = parse(options.get("negative") or "")
        codec = self.codec.config
        init_image = read_init_image(options, codec.image_size, codec.image_channels)
        inputs = self._model_record(network) | options_record(options, prompts, negative)
        inputs |= {"fast": True} if fast else {}
        grammar = self._grammar if composes else None
        canvases, rows = make_canvases(prompts, range(first, first + n), seed, grammar)
        rows = [row.subtract(negative) for row in rows]
        strengths = late_strengths(rows, config, options)
        return DrawPlan(
            config,
            network,
            *self._embed(rows, strengths, negative),
            self._clip_gradient(options.get("gradient") or 0.0),
            init_image,
            seed,
            canvases,
            [self._record(one, strengths, negative, config) | inputs for one in canvases],
            [self._notes(one, negative, config) for one in canvases],
            candidates,
        )

    @property
    def denoiser(self) -> DenoiserRuntime:
        """The denoiser that takes many steps with guidance."""
        return self.denoisers.full

    def network(self, options: DrawOptions) -> DenoiserRuntime:
        """The denoiser that draws with these options. UserError if it is missing or broken."""
        fast = wants_fast(options, self.denoisers.has_fast, self.folder)
        return self.denoisers.default if fast else self.denoisers.full

    def _record(
        self, canvas: Canvas, strengths: list[Strengths], negative: Prompt, config: DrawConfig
    ) -> dict[str, Any]:
        prompt = canvas.prompt.subtract(negative)
        own = strengths[canvas.rows]
        colored = max(one.color for one in own)
        config = replace(config, style_strength=own[0].style, color_strength=colored)
        return (
            settings_record(prompt, config, canvas.seed, canvas.index)
            | ({} if canvas.is_whole else {"compose": True})
            | negative_record(prompt, negative)
        )

    @property
    def composes(self) -> bool:
        """Whether prompts with several things are composed, unless an option says otherwise."""
        return self._composes(DrawOptions())

    def _composes(self, options: DrawOptions) -> bool:
        able = self.reader is not None and self.codec.config.image_channels == 4
        reads_tokens = self.denoisers.default.config.text_tokens > 0
        return wants_scenes(options, able, reads_tokens, self.folder)

    @cached_property
    def _grammar(self) -> SceneGrammar:
        assert self.reader is not None
        return SceneGrammar(self.reader.lexicon.names, self.reader.lexicon.known)

    def _embed(
        self, rows: list[Prompt], strengths: list[Strengths], negative: Prompt
    ) -> tuple[Array | None, Array | None, Array | None]:
        """`cond`, `late_cond` and `negative_cond` of a plan."""
        terms = [*negative.terms]
        for row, own in zip(rows, strengths, strict=True):
            terms += [*row.terms, *(term for _, some in row.without(*own) for term in some)]
        encode = self._encode_together(terms)
        cond = late_cond = negative_cond = None
        if any(row.terms for row in rows):
            cond = np.stack([row.embed(encode, dim=self.clip.dim) for row in rows])
        if any(map(any, strengths)):
            pairs = zip(rows, strengths, strict=True)
            late_cond = np.stack([row.embed(encode, *one, self.clip.dim) for row, one in pairs])
        cond, late_cond = (self._with_states(each, rows) for each in (cond, late_cond))
        if negative.terms and not all(row.terms for row in rows):
            zeros = np.zeros(self.clip.dim, np.float32)
            away = negative.embed(encode)
            negative_cond = np.stack([zeros if row.terms else away for row in rows])
            negative_cond = self._with_states(
                negative_cond, [replace(negative, sentence="")] * len(rows)
            )
        return cond, late_cond, negative_cond

    def _encode_together(self, terms: Sequence[Term]) -> EncodeTerm:
        """`Space.encode_term` of these terms, all texts of which are encoded at once."""
        texts = sorted({term.text for term in terms if not term.is_picture})
        vectors = dict(zip(texts, self.clip.encode_text(texts), strict=True)) if texts else {}
        encode_picture = cache(Space(self.clip).encode_term)
        return lambda one: encode_picture(one) if one.is_picture else vectors[one.text]

    def _with_states(self, cond: Array | None, rows: list[Prompt]) -> Array | None:
        """`cond` with the states of the prompts' tokens behind it, if the denoiser reads them."""
        count = self.denoisers.default.config.text_tokens
        if cond is None or not count or not isinstance(self.clip, ClipEncoder):
            return cond
        states = self.clip.encode_states([row.sentence for row in rows], count)
        return np.concatenate([cond, states], axis=1)

    def _clip_gradient(self, scale: float) -> Callable[[Denoiser], Denoiser]:
        if check_range("gradient", scale, -100.0, 100.0) == 0.0:
            return lambda denoiser: denoiser
        if not isinstance(self.clip, ClipEncoder):
            raise UserError(f"gradient={scale:g}: the CLIP of {self.folder} is a pretrained one, "
                            "and only CLIPs of undiffuse guide by gradient")  # fmt: skip
        from undiffuse.training.clip_guidance import ClipGuidance

        return partial(ClipGuidance(self.folder).guide, scale=scale)

    def _notes(self, canvas: Canvas, negative: Prompt, config: DrawConfig) -> tuple[str, ...]:
        prompt = canvas.prompt.subtract(negative)
        notes = prompt.notes + tuple(f"negative prompt: {note}" for note in negative.notes)
        notes += canvas.notes
        if not prompt.terms:
            notes += ("the prompt is empty: the picture is random",)
        if negative.terms and not prompt.terms and config.guidance == 1.0:
            notes += ("guidance is 1 (off): the negative prompt has no effect",)
        texts = [term.text for term in (*prompt.terms, *negative.terms) if not term.is_picture]
        cuts = [cut for cut in self.clip.tokens(texts).cut if cut] if texts else []
        return notes + tuple(f"the prompt is too long: {cut!r} was cut off" for cut in cuts)

    def _model_record(self, network: DenoiserRuntime) -> dict[str, Any]:
        return {
            "model": network.hash,  # covers the hashes of its CLIP and the codec's encoder
            "codec": self.codec.hash,
            "versions": versions(),
            "processor": processor(),
        }
