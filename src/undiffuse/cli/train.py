"""`undiffuse train ...`: train CLIP, the codec or the denoiser."""

import math
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click

from undiffuse.cli.progress import follow
from undiffuse.errors import UserError

DATA = click.option(
    "--data", type=click.Path(path_type=Path), required=True, help="Folder of tar shards."
)
OUT = click.option(
    "-o", "--out", type=click.Path(path_type=Path), required=True, help="The run's folder."
)
START = click.option(
    "--start",
    type=click.Path(path_type=Path),
    help="Go on from the weights of this file, where the folder holds no run yet.",
)
COMPILED = click.option("--compile/--eager", "compiled", default=True, show_default=True)
THREADS = click.option("--threads", type=click.IntRange(1), default=2, show_default=True)


@click.group()
def command() -> None:
    """Train CLIP, the codec or the denoiser. Killed anywhere, a run goes on from its folder."""


def say_bad(where: str, reason: str) -> None:
    """A sample that is left out."""
    click.echo(f"left out: {where}: {reason}", err=True)


def seed_torch(seed: int, threads: int) -> None:
    """Initial weights depend on the seed alone; steps on (seed, step)."""
    import torch

    torch.manual_seed(seed)
    torch.set_num_threads(threads)


@command.command()
@DATA
@OUT
@click.option("--words", type=click.Path(path_type=Path), help="From `undiffuse data words`.")
@click.option("--preset", type=click.Choice(["clip", "judge"]), default="clip", show_default=True)
@click.option("--steps", type=click.IntRange(1), default=2300, show_default=True)
@click.option("--batch", type=click.IntRange(32), default=512, show_default=True)
@click.option(
    "--composites",
    type=click.FloatRange(0, 0.75),
    default=0.125,
    show_default=True,
    help="Share of each batch that is made by program.",
)
@THREADS
@COMPILED
@START
def clip(
    data: Path,
    out: Path,
    words: Path | None,
    preset: str,
    steps: int,
    batch: int,
    composites: float,
    threads: int,
    compiled: bool,
    start: Path | None,
) -> None:
    """Train CLIP's two encoders; writes OUT/clip.safetensors."""
    from undiffuse.clip.model import Clip
    from undiffuse.config import PRESETS, to_dict
    from undiffuse.data.picture_set import PictureSet
    from undiffuse.training import clip as recipes
    from undiffuse.training.latent_cache import begin
    from undiffuse.training.loop import CHECKPOINT, Run
    from undiffuse.training.weight_export import clip_tokenizer, export_clip, look_at_clip

    config = PRESETS[preset]["clip"]
    everything = PictureSet.read(data, on_bad=say_bad)
    train_rows = everything.rows(lambda record: record["split"] == "train")
    table = recipes.read_words(words) if words else None
    seed_torch(config.seed, threads)
    model = Clip(config)
    begun = begin(start, "clip", model, {}) if start else None
    out.mkdir(parents=True, exist_ok=True)
    if (out / CHECKPOINT).exists() and not (out / "tokenizer.json").exists():
        raise UserError(f"{out} has a checkpoint but no tokenizer.json: use another folder")
    if begun and not (out / "tokenizer.json").exists():
        (out / "tokenizer.json").write_text(begun.meta["tokenizer"])
    tokenizer = clip_tokenizer(out, everything, train_rows, table, config)
    recipe = recipes.ClipRecipe(
        model, tokenizer, everything.subset(train_rows), table, batch, compiled, composites
    )
    settings: dict[str, Any] = {
        **to_dict(config), "batch": batch, "words": words is not None, "composites": composites,
    }  # fmt: skip
    done: dict[str, Any] = begun.meta["training"] if begun else {"steps": 0, "hours": 0.0}
    run = Run(
        out, model, recipe.loss, steps, batch, config.seed, settings,
        extra=recipe.tensors, restore_extra=recipe.restore, data=everything.digest,
        begun=done["steps"], seconds=done["hours"] * 3600,
    )  # fmt: skip
    # Equal logits: each of the batch's captions as likely as the others.
    chance = {"match": math.log(batch)}
    follow(run, lambda run: look_at_clip(run, tokenizer, everything), chance=chance)
    click.echo(export_clip(run, tokenizer, out / "clip.safetensors"))


@command.command()
@click.argument("weights", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), help="WEIGHTS, if not given.")
def graphs(weights: Path, out: Path | None) -> None:
    """Write OUT/graphs: what ONNX Runtime runs, for the weight files in the folder WEIGHTS."""
    from undiffuse.training.onnx_export import write_graphs

    for path in write_graphs(weights, out or weights):
        click.echo(path)


@command.command()
@DATA
@OUT
@click.option("--steps", type=click.IntRange(1), default=3600, show_default=True)
@click.option("--batch", type=click.IntRange(8), default=128, show_default=True)
@THREADS
@COMPILED
@click.option(
    "--decoder-of",
    type=click.Path(path_type=Path),
    help="Go on from this codec with its encoder as it is: what was trained on it stays good.",
)
@click.option("--sharp", type=float, default=0.0, help="Weight of the loss of soft edges.")
@click.option(
    "--drawn-by",
    type=click.Path(path_type=Path),
    help="A folder of weights: decode what its denoiser makes of noised pictures too.",
)
def codec(
    data: Path,
    out: Path,
    steps: int,
    batch: int,
    threads: int,
    compiled: bool,
    decoder_of: Path | None,
    sharp: float,
    drawn_by: Path | None,
) -> None:
    """Train the codec, pixels to latents and back; writes OUT/codec.safetensors."""
    from undiffuse.config import PRESETS, to_dict
    from undiffuse.data.picture_set import PictureSet
    from undiffuse.networks.codec import Codec
    from undiffuse.training.codec import CodecRecipe
    from undiffuse.training.decoder_finetune import COUNT, draw_again
    from undiffuse.training.latent_cache import begin_decoder
    from undiffuse.training.loop import Run
    from undiffuse.training.weight_export import export, look_at_codec

    config = PRESETS["codec"]["codec"]
    everything = PictureSet.read(data, on_bad=say_bad)
    train_rows = everything.rows(lambda record: record["split"] == "train")
    seed_torch(config.seed, threads)
    model = Codec(config)
    begun = begin_decoder(decoder_of, model) if decoder_of else ""
    trained, drawn = everything.subset(train_rows), None
    if drawn_by:
        cache = out.parent / "cache"
        drawn = draw_again(trained, drawn_by, cache, COUNT, lambda line: click.echo(line, err=True))
    out.mkdir(parents=True, exist_ok=True)
    recipe = CodecRecipe(model, trained, batch, compiled, sharp, drawn)
    settings = {
        **to_dict(config), "batch": batch, "decoder_of": begun, "sharp": sharp,
        "drawn_by": drawn.by if drawn else "",
    }  # fmt: skip
    run = Run(
        out, model, recipe.loss, steps, batch, config.seed, settings,
        rate=5e-4 if begun else 1.5e-3, data=everything.digest,
    )  # fmt: skip
    held_out = everything.rows(lambda record: record["split"] == "held-out cell")
    follow(run, lambda run: look_at_codec(run, everything.subset(held_out[:512])))
    click.echo(export(run, "codec", out / "codec.safetensors", 0.05))


@command.command()
@DATA
@OUT
@click.option("--clip", "clip_path", type=click.Path(path_type=Path), required=True)
@click.option("--codec", "codec_path", type=click.Path(path_type=Path), required=True)
@click.option("--judge", "judge_path", type=click.Path(path_type=Path), help="To look with.")
@click.option("--steps", type=click.IntRange(1), default=30000, show_default=True)
@click.option("--batch", type=click.IntRange(8), default=256, show_default=True)
@THREADS
@COMPILED
@click.option(
    "--target",
    type=click.Choice(["x0", "eps", "v", "previous"]),
    default="x0",
    show_default=True,
    help="What the network predicts; previous is the old way, the step before.",
)
@click.option("--rate", type=float, default=1e-3, show_default=True, help="Learning rate.")
@click.option(
    "--level-mean",
    type=click.FloatRange(-3, 3),
    default=0.4,
    show_default=True,
    help="Where the noise levels that it learns from gather, as a logit: 0 is half noise.",
)
@START
def denoiser(
    data: Path,
    out: Path,
    clip_path: Path,
    codec_path: Path,
    judge_path: Path | None,
    steps: int,
    batch: int,
    threads: int,
    compiled: bool,
    target: str,
    rate: float,
    level_mean: float,
    start: Path | None,
) -> None:
    """Train the denoiser on a frozen CLIP and codec; writes OUT/denoiser.safetensors."""
    from undiffuse.config import PRESETS, to_dict
    from undiffuse.data.picture_set import PictureSet
    from undiffuse.networks.denoiser import DenoiserNetwork
    from undiffuse.training.denoiser import DenoiserRecipe, chain_of
    from undiffuse.training.latent_cache import Frozen, begin
    from undiffuse.training.loop import Run
    from undiffuse.training.throughput import forward_flops
    from undiffuse.training.weight_export import export

    config = replace(PRESETS["denoiser"]["denoiser"], target=target)
    pictures = PictureSet.read(data, lambda record: record["split"] == "train", say_bad)
    seed_torch(config.seed, threads)
    frozen = Frozen.load(clip_path, codec_path, judge_path)
    model = DenoiserNetwork(config)
    begun = begin(start, "denoiser", model, frozen.hashes) if start else None
    out.mkdir(parents=True, exist_ok=True)
    cache = frozen.cache(pictures, out.parent / "cache", lambda line: click.echo(line, err=True))
    done: dict[str, Any] = begun.meta["training"] if begun else {"steps": 0, "hours": 0.0}
    recipe = DenoiserRecipe(model, pictures, cache, batch, compiled, level_mean)
    settings = {
        **to_dict(config), "batch": batch, "rate": rate, "level_mean": level_mean, **frozen.hashes,
    }  # fmt: skip
    run = Run(
        out, model, recipe.loss, steps, batch, config.seed, settings,
        rate=rate, muon_rate=rate, data=pictures.digest,
        begun=done["steps"], seconds=done["hours"] * 3600,
    )  # fmt: skip
    if left := recipe.schedule.terminal_alpha():
        click.echo(f"the noisiest step still shows {left:.1%} of the picture", err=True)
    flops = forward_flops(model, *recipe.example())
    look = partial(frozen.look, pictures=pictures)
    follow(run, look, look_minutes=10.0, chance=recipe.chance(), flops=flops)
    more: dict[str, Any] = {**frozen.hashes, "chain": chain_of(target)}
    click.echo(export(run, "denoiser", out / "denoiser.safetensors", 0.10, **more))
