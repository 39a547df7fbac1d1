"""Captions of a data set found from its pictures, and from drawings of the captions."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from undiffuse.data.judge_split import is_kept_out
from undiffuse.data.picture_set import PictureSet
from undiffuse.data.split import unit_hash
from undiffuse.errors import UserError
from undiffuse.evaluation.prompt_metrics import Draw
from undiffuse.evaluation.protocols import Encoder, Pictures, encode_batches
from undiffuse.evaluation.retrieval import ranks
from undiffuse.evaluation.statistics import Metric, mean_metric, ratio_metric

TOPS = (1, 5)
MIN_STYLE = 20  # pictures that a style needs for a row of its own


def choose_rows(pictures: PictureSet, split: str, count: int) -> NDArray[np.int64]:
    """Up to `count` pictures of a split, by hash; "judge" are those kept out of the judge's
    training, "held-out" all that are not trained on. UserError if there is none.
    """
    if split == "judge":
        rows = pictures.rows(is_kept_out)
    elif split == "held-out":
        rows = pictures.rows(lambda record: record["split"] != "train")
    else:
        rows = pictures.rows(lambda record: record["split"] == split)
    if not len(rows):
        known = sorted({record["split"] for record in pictures.records} | {"held-out", "judge"})
        raise UserError(f"no picture is in the split {split!r}: use one of {', '.join(known)}")
    order = sorted(rows, key=lambda row: unit_hash("caption", pictures.keys[row]))
    return np.array(order[:count], np.int64)


def on_white(pictures: Pictures) -> Pictures:
    """`(B, 3 or 4, H, W)` uint8, premultiplied by alpha -> RGB on white."""
    if pictures.shape[1] == 3:
        return np.ascontiguousarray(pictures)
    rest = 255 - pictures[:, 3:].astype(np.uint16)
    return np.minimum(pictures[:, :3] + rest, 255).astype(np.uint8)


def evaluate_captions(
    pictures: PictureSet,
    rows: NDArray[np.int64],
    encoder: Encoder,
    draw: Draw | None,
    seed: int = 0,
) -> Iterator[Metric]:
    """R-precision at 1 and 5 of the captions of some rows among all captions of the data set: of
    the real pictures, of each style of them, and of drawings with their ratio to the real ones.
    """
    captions = sorted({record["name"] for record in pictures.records})
    index = {caption: row for row, caption in enumerate(captions)}
    vectors = encode_batches(encoder.encode_text, captions)
    names = [pictures.records[row]["name"] for row in rows]
    right = [(index[name],) for name in names]

    def found(shown: Pictures) -> NDArray[np.int64]:
        return ranks(encode_batches(encoder.encode_image, shown), vectors, right)

    note = f"among {len(captions)} captions"
    real = found(on_white(pictures.pictures[rows]))
    for top in TOPS:
        yield mean_metric(f"real pictures, R-precision@{top}", real < top, seed, note=note)
    yield from _by_style([pictures.records[row]["family"] for row in rows], real, seed)
    if draw is None:
        return
    drawn = found(draw(names, seed))
    for top in TOPS:
        share = float((real < top).mean())
        yield mean_metric(f"drawings, R-precision@{top}", drawn < top, seed, real=share)
        yield ratio_metric(
            f"drawings, R-precision@{top}, as a share of real", drawn < top, real < top, seed
        )


def _by_style(styles: Sequence[str], real: NDArray[np.int64], seed: int) -> Iterator[Metric]:
    column = np.array(styles)
    for style in sorted(set(styles) - {""}):
        own = real[column == style]
        if MIN_STYLE <= len(own) < len(real):
            for top in TOPS:
                yield mean_metric(f"real, {style}, R-precision@{top}", own < top, seed)
