"""Time to index 10,000 images, to update the index, and to answer one query.

python benchmarks/index.py
"""

import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from undiffuse.data.shards import find_shards, read_shards
from undiffuse.explore.index import ImageIndex, update_index
from undiffuse.pipeline import SHIPPED_WEIGHTS
from undiffuse.runtime.networks import ClipEncoder

COUNT, SIDE, QUERIES = 10_000, 128, 21
SAMPLE = Path(__file__).parents[1] / "tests" / "data" / "emoji"


def write_pictures(folder: Path) -> None:
    """Write `COUNT` different PNG files of 128x128: the sample's emoji on random colors."""
    samples = list(read_shards(find_shards(SAMPLE)))
    rng = np.random.default_rng(0)
    for number in range(COUNT):
        emoji = Image.fromarray(samples[number % len(samples)].picture).resize((SIDE, SIDE))
        image = Image.new("RGBA", (SIDE, SIDE), (*map(int, rng.integers(0, 256, 3)), 255))
        image.alpha_composite(emoji)
        image.convert("RGB").save(folder / f"{number:05}.png")


def main() -> None:
    encoder = ClipEncoder(SHIPPED_WEIGHTS, threads=2)
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_pictures(folder)
        start = time.perf_counter()
        update_index(folder, encoder)
        print(f"{COUNT} pictures indexed in {time.perf_counter() - start:.1f} s")
        start = time.perf_counter()
        index, _ = update_index(folder, encoder)
        print(f"an update without changes: {time.perf_counter() - start:.2f} s")
        query(encoder, index)


def query(encoder: ClipEncoder, index: ImageIndex) -> None:
    """Print the time from words to the ten nearest images, with the index in memory."""
    times = []
    for number in range(QUERIES):
        start = time.perf_counter()
        index.search(encoder.encode_text([f"a happy animal, {number}"])[0])
        times.append(time.perf_counter() - start)
    print(f"a query: {1000 * statistics.median(times):.1f} ms, median of {QUERIES}")


if __name__ == "__main__":
    main()
