"""`undiffuse evaluate captions`: are the captions of a data set found from pictures of them?"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from undiffuse.cli.evaluate_prompts import JUDGE, OUT, SEED, finish, load_pair
from undiffuse.cli.image_generator import ModelGenerator
from undiffuse.cli.options import MODEL, PATH, THREADS

if TYPE_CHECKING:
    from undiffuse.data.picture_set import PictureSet
    from undiffuse.evaluation.protocols import Pictures

SIDE = 64


@click.command("captions")
@click.option("--data", type=PATH, required=True,
              help="A data set, or a folder that `undiffuse data prepare` wrote.")  # fmt: skip
@MODEL
@JUDGE
@click.option("--split", default="held-out", show_default=True,
              help="Pictures to take: a split, held-out (all but train), or judge.")  # fmt: skip
@click.option("--count", type=click.IntRange(2, 10**6), default=500, show_default=True,
              help="Pictures at most.")  # fmt: skip
@click.option("--style", help='Style to draw in, or "" to name none. Default: the model\'s.')
@click.option("--real-only", is_flag=True, help="Draw nothing: measure the judge.")
@SEED
@THREADS
@OUT
def command(
    data: Path, model: Path | None, judge: Path, split: str, count: int, style: str | None,
    real_only: bool, seed: int, threads: int, out: Path | None,
) -> None:  # fmt: skip
    """Draw held-out captions of a data set, and find each among all its captions.

    The same is measured with the real pictures, and stated as a ratio: for a model that was trained
    on pictures of your own.
    """
    from undiffuse.evaluation.caption_metrics import choose_rows, evaluate_captions
    from undiffuse.runtime.networks import ClipEncoder

    pictures = read_any(data)
    rows = choose_rows(pictures, split, count)
    if real_only:
        draw = None
        encoder = ClipEncoder(judge, threads)
        about = {"judge": encoder.hash}
    else:
        loaded, encoder, about = load_pair(model, judge, threads)
        draw = partial(_draw, ModelGenerator(loaded), style)

    metrics = list(evaluate_captions(pictures, rows, encoder, draw, seed))
    settings = {"seed": seed, "split": split, "count": len(rows), "style": style}
    finish(metrics, {**about, "settings": settings}, out, {})


def _draw(
    generator: ModelGenerator, style: str | None, texts: Sequence[str], seed: int
) -> "Pictures":
    return generator.draw(texts, seed, style=style)


def read_any(data: Path) -> "PictureSet":
    """The prepared data set in a folder, or a data set of any form at 64 pixels on white."""
    import numpy as np

    from undiffuse.data.picture_set import PictureSet
    from undiffuse.data.prepared import encode_channels, is_prepared, item_record, open_prepared
    from undiffuse.data.sources import fit, open_source
    from undiffuse.errors import UserError

    if is_prepared(data):
        return open_prepared(data)
    images, records = [], []
    for item in open_source(data, side=SIDE):
        if item.captions or item.label:
            images.append(encode_channels(fit(item.image, SIDE, "pad"), 3))
            records.append(item_record(item, ""))
    if not images:
        raise UserError(f"{data}: no image has a caption; run `undiffuse data check`")
    return PictureSet(np.stack(images), records, [record["key"] for record in records])
