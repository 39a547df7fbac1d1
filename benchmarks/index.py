"""What searching a folder costs: 10,000 pictures indexed, and one query of the loaded index.

python benchmarks/index.py
"""

import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from undiffuse.data.shards import find_shards, read_shards
from undiffuse.explore.index import Index, update
from undiffuse.pipeline import SHIPPED
from undiffuse.runtime.networks import ClipEncoder

COUNT, SIDE, QUERIES = 10_000, 128, 21
SAMPLE = Path(__file__).parents[1] / "tests" / "data" / "emoji"


def write_pictures(folder: Path) -> None:
    """`COUNT` PNG files of 128x128, no two alike: the sample's emoji on grounds of their own."""
    samples = list(read_shards(find_shards(SAMPLE)))
    rng = np.random.default_rng(0)
    for number in range(COUNT):
        emoji = Image.fromarray(samples[number % len(samples)].picture).resize((SIDE, SIDE))
        ground = Image.new("RGBA", (SIDE, SIDE), (*map(int, rng.integers(0, 256, 3)), 255))
        ground.alpha_composite(emoji)
        ground.convert("RGB").save(folder / f"{number:05}.png")


def main() -> None:
    encoder = ClipEncoder(SHIPPED, threads=2)
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_pictures(folder)
        start = time.perf_counter()
        update(folder, encoder)
        print(f"{COUNT} pictures indexed in {time.perf_counter() - start:.1f} s")
        start = time.perf_counter()
        index, _ = update(folder, encoder)
        print(f"looked through again, nothing new: {time.perf_counter() - start:.2f} s")
        query(encoder, index)


def query(encoder: ClipEncoder, index: Index) -> None:
    """From words to the ten nearest pictures, the index in memory."""
    times = []
    for number in range(QUERIES):
        start = time.perf_counter()
        index.search(encoder.encode_text([f"a happy animal, {number}"])[0])
        times.append(time.perf_counter() - start)
    print(f"a query: {1000 * statistics.median(times):.1f} ms, median of {QUERIES}")


if __name__ == "__main__":
    main()
