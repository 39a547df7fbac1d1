"""`undiffuse evaluate codec`: what a codec keeps of held-out pictures, and its time."""

from pathlib import Path
from typing import Any

import click

from undiffuse.cli.options import PATH, THREADS
from undiffuse.cli.param_types import OUTPUT_FILE
from undiffuse.cli.train_options import read_pictures
from undiffuse.errors import UserError
from undiffuse.imaging.files import write_atomic

TRAINED = 1500  # pictures that the probe of styles is fit to
TIMED = 20


@click.command("codec")
@click.option("--codec", "folder", type=PATH, required=True,
              help="Folder with codec.safetensors and its graphs.")  # fmt: skip
@click.option("--data", type=PATH, required=True,
              help="Data set of `undiffuse data prepare`, or a folder of shards.")  # fmt: skip
@click.option("--count", type=click.IntRange(2, 10**5), default=300, show_default=True,
              help="Held-out pictures.")  # fmt: skip
@THREADS
@click.option("-o", "--out", type=OUTPUT_FILE, help="Also write the report to a JSON file.")
def command(folder: Path, data: Path, count: int, threads: int, out: Path | None) -> None:
    """Encode and decode held-out pictures: PSNR, edges, style, and milliseconds a picture.

    Pictures that are a multiple of the codec's size are reduced before, and what was decoded is
    enlarged by Lanczos.
    """
    import numpy as np

    from undiffuse.data.split import unit_hash
    from undiffuse.evaluation.codec_metrics import at_size, evaluate_codec
    from undiffuse.evaluation.latency import machine_info
    from undiffuse.evaluation.report import Report
    from undiffuse.runtime.networks import CodecRuntime

    codec, everything = CodecRuntime(folder, threads), read_pictures(data)
    shape, config = everything.pictures.shape[1:], codec.config
    channels, size, _ = config.picture_shape
    if shape[1] % size or shape[0] not in (channels, 4):
        raise UserError(f"{data} has pictures of shape {shape}, and the codec needs "
                        f"{config.picture_shape}: use `undiffuse data prepare`")  # fmt: skip

    def chosen(split: str, most: int) -> Any:
        rows = everything.rows(lambda record: record["split"] == split)
        order = sorted(rows, key=lambda row: unit_hash("codec", everything.keys[row]))
        return everything.subset(np.sort(np.array(order[:most], np.int64)))

    def through(pixels: Any) -> Any:
        decoded = codec.decode(codec.encode(at_size(pixels, size, channels))).clip(-1, 1)
        return at_size(np.rint((decoded + 1) * 127.5).astype(np.uint8), shape[1], channels)

    held_out, trained = chosen("held-out cell", count), chosen("train", TRAINED)
    if len(held_out.keys) < 2 or len(trained.keys) < 2:
        raise UserError(f"{data} has too few held-out or training pictures: give more of both")
    styles = [[record["family"] for record in one.records] for one in (held_out, trained)]
    metrics = evaluate_codec(
        through, np.asarray(held_out.pictures), styles[0], np.asarray(trained.pictures), styles[1]
    )
    metrics.append(_decoding_time(codec))
    report = Report(metrics, {"codec": codec.hash, "settings": {"count": len(held_out.keys)},
                              "on": machine_info()})  # fmt: skip
    click.echo(report.to_markdown(), nl=False)
    if out is not None:
        write_atomic(out, report.to_json().encode())


def _decoding_time(codec: Any) -> Any:
    """Milliseconds of decoding one picture alone."""
    import time

    import numpy as np

    from undiffuse.evaluation.statistics import mean_metric

    latents = np.zeros((1, codec.config.channels, codec.config.side, codec.config.side), "float32")
    codec.decode(latents)
    times = []
    for _ in range(TIMED):
        start = time.perf_counter()
        codec.decode(latents)
        times.append(1e3 * (time.perf_counter() - start))
    return mean_metric("time to decode a picture", np.array(times), unit="ms")
