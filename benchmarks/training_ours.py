"""This project's networks in benchmarks/training.py, trained as `undiffuse train` does."""

import itertools
import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import undiffuse
from training_worker import Job, System, count_flops, to_bytes
from undiffuse.config import DrawConfig
from undiffuse.data.picture_set import PictureSet
from undiffuse.networks.codec import Codec
from undiffuse.training.augment import float_batches
from undiffuse.training.clip import COMPOSITE_SHARE
from undiffuse.training.embedder import TextEmbedder
from undiffuse.training.latent_cache import FrozenModels
from undiffuse.training.loop import Run, train
from undiffuse.training.model_io import LONG_EMA, ema_model
from undiffuse.training.plan import FROZEN_CLIP_SHARES, PRESETS, ModelPreset
from undiffuse.training.stage_builder import ENCODING_SHARE
from undiffuse.training.stages import StageOptions, clip_stage, codec_stage, denoiser_stage
from undiffuse.training.torch_denoiser import sample
from undiffuse.training.train_model import BATCHES

CLIP = Path(undiffuse.__file__).with_name("weights") / "clip.safetensors"
FOREVER = 10**9  # steps
ENCODED = 256  # pictures to measure the codec's speed on
MEASURED = 5  # steps that a stage's speed is measured in before its length is set
CODEC_SHARE = FROZEN_CLIP_SHARES["codec"] / (
    FROZEN_CLIP_SHARES["codec"] + FROZEN_CLIP_SHARES["denoiser"]
)
PRESET_OF_SIZE = {32: "tiny", 64: "small", 128: "medium", 256: "large"}


def read_pictures(folder: Path) -> PictureSet:
    """The pictures that the driver has chosen of a prepared data set."""
    rows = np.load(folder / "rows.npy")
    lines = (folder / "records.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(lines[row]) for row in rows]
    images = np.load(folder / "images.npy", mmap_mode="r")[rows]
    return PictureSet(images, records, [record["key"] for record in records])


def preset(job: Job) -> ModelPreset:
    return PRESETS[PRESET_OF_SIZE[job.size]]


def options(job: Job, stage: str, batch: int) -> StageOptions:
    """A folder of its own for each stage, empty: an earlier run is not resumed."""
    out = Path(job.folder) / stage
    shutil.rmtree(out, ignore_errors=True)
    return StageOptions(out, FOREVER, batch, job.compiled, job.threads)


def count(run: Run) -> int:
    return sum(parameter.numel() for parameter in run.model.parameters())


def speed(job: Job, run: Run, flops: float, notes: str = "") -> System:
    """A system whose speed is measured: no checkpoints on the way."""
    run.save_minutes = 1e9
    return System((job.batch for _ in train(run)), count(run), flops, notes=notes)


def clip(job: Job) -> System:
    """Both encoders, without the sentence encoder's words, as `undiffuse train DATA` does."""
    pictures = read_pictures(Path(job.pictures))
    stage = clip_stage(pictures, preset(job).clip, options(job, "clip", job.batch), COMPOSITE_SHARE)
    model: Any = stage.run.model
    ids, pixels = torch.zeros(1, 16, dtype=torch.int32), torch.zeros(1, 3, 64, 64)
    lengths = torch.full((1,), 16, dtype=torch.int32)
    flops = count_flops(lambda: (model.encode_image(pixels), model.encode_text(ids, lengths)))
    return speed(job, stage.run, flops)


def codec(job: Job) -> System:
    """The autoencoder, which is trained before the denoiser."""
    pictures = read_pictures(Path(job.pictures))
    stage = codec_stage(pictures, preset(job).codec, options(job, "codec", job.batch))
    return speed(job, stage.run, _codec_flops(stage.run.model, job.size))


def _codec_flops(model: Any, size: int) -> float:
    pixels = torch.zeros(1, 3, size, size)
    return count_flops(lambda: model.decode_unfiltered(model.encode(pixels)))


def denoiser(job: Job) -> System:
    """The denoiser on latents of an untrained codec: their values don't matter for the speed."""
    pictures, config = read_pictures(Path(job.pictures)), preset(job)
    frozen = FrozenModels(TextEmbedder.load(CLIP), Codec(config.codec).eval(), {
        "clip": "shipped", "codec": f"untrained-{job.size}",
    })  # fmt: skip
    start = time.perf_counter()
    with torch.inference_mode():
        for pixels in float_batches(pictures.pictures[:ENCODED]):
            frozen.codec.encode(pixels)
    encoding = len(pictures.pictures[:ENCODED]) / (time.perf_counter() - start)
    cache = frozen.cache(pictures, Path(job.folder) / "cache", print)
    stage = denoiser_stage(
        pictures, frozen, cache, config.denoiser, options(job, "denoiser", job.batch)
    )
    notes = f"the codec encodes {encoding:.0f} pictures/s, four times per picture"
    return speed(job, stage.run, stage.flops, notes)


def paced(run: Run, seconds: float) -> Iterator[int]:
    """Train for so many seconds of this process; the pauses between its windows don't count.

    The number of steps, and with it the decay of the learning rate, follows from the speed.
    """
    first = (0, 0.0)
    active, steps = 0.0, train(run)
    while True:
        start = time.perf_counter()
        if next(steps, None) is None:
            return
        active += time.perf_counter() - start
        if run.step <= MEASURED:  # they compile
            first = (run.step, active)
        elif run.step < run.decay_from * run.steps:
            each = (active - first[1]) / (run.step - first[0])
            run.steps = run.step + max(1, round((seconds - active) / each))
        yield run.batch


class Whole:
    """Codec, latents and denoiser in one training; all of it counts as its time."""

    def __init__(self, job: Job) -> None:
        self.job, self.config = job, preset(job)
        self.pictures = read_pictures(Path(job.pictures))
        self.folder = Path(job.folder)
        batch = min(BATCHES["codec"], len(self.pictures.records))
        self.codec = codec_stage(self.pictures, self.config.codec, options(job, "codec", batch))
        self.denoiser: Run | None = None
        self.frozen: FrozenModels | None = None

    def steps(self) -> Iterator[int]:
        """The steps of both networks; the pictures of the codec's are not counted."""
        for _ in paced(self.codec.run, CODEC_SHARE * self.job.seconds):
            yield 0
        self.codec.export()
        self.frozen = FrozenModels.load(CLIP, self.codec.run.folder / "codec.safetensors")
        vectors = Path(self.job.vectors).parent
        seconds = ENCODING_SHARE * (1 - CODEC_SHARE) * self.job.seconds
        cache = self.frozen.cache(self.pictures, vectors, print, seconds=seconds)
        config = replace(
            self.config.denoiser, channels=self.frozen.codec.config.channels,
            side=self.frozen.codec.config.side,
        )  # fmt: skip
        batch = min(BATCHES["denoiser"], len(self.pictures.records))
        stage = denoiser_stage(
            self.pictures, self.frozen, cache, config, options(self.job, "denoiser", batch)
        )
        self.denoiser = stage.run
        yield from paced(stage.run, (1 - CODEC_SHARE) * self.job.seconds)
        yield from itertools.repeat(0)  # done: the driver's last window may be a little longer

    @torch.inference_mode()
    def draw(self, cond: Tensor) -> np.ndarray | None:
        """20 steps with the guidance that drawing has by default."""
        if self.denoiser is None or self.frozen is None:
            return None
        latents = sample(ema_model(self.denoiser, LONG_EMA), cond, DrawConfig.guidance)
        return to_bytes(self.frozen.codec.decode(latents))


def whole(job: Job) -> System:
    """The system that draws: codec and denoiser, with the shipped CLIP."""
    training = Whole(job)
    flops = _codec_flops(training.codec.run.model, job.size)
    return System(training.steps(), count(training.codec.run), flops, training.draw)


SYSTEMS = {"undiffuse": whole, "denoiser": denoiser, "codec": codec, "clip": clip}
