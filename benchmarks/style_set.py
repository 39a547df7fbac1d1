"""A folder of pictures in one style with captions, as a user has them: NAME.png and NAME.txt.

    python benchmarks/style_set.py data/pictures streamline-ultimate-color -o my-style

A fifth of the names, by hash, is in `validation/` and the others are in `train/`, so that
`undiffuse train my-style` holds them out and `undiffuse evaluate captions` measures them.
"""

import argparse
import re
from pathlib import Path

from undiffuse.data.picture_set import read_samples
from undiffuse.data.shards import Sample
from undiffuse.data.split import unit_hash
from undiffuse.errors import UserError
from undiffuse.imaging.files import write_atomic
from undiffuse.imaging.png import encode_png

HELD_OUT = 0.2


def write_style(data: Path, style: str, out: Path, count: int) -> tuple[int, int]:
    """Write up to `count` pictures of a style, one per name; returns how many are trained on, and
    how many held out.
    """
    found: dict[str, Sample] = {}
    for sample in read_samples(data):
        styles = (sample.record.get("set"), sample.record["family"])
        if style in styles and not sample.record["tone"]:
            found.setdefault(sample.record["name"], sample)
    if not found:
        raise UserError(f"{data} has no picture in the style {style!r}")
    numbers = {"train": 0, "validation": 0}
    for name in sorted(found, key=lambda name: unit_hash("style set", name))[:count]:
        split = "validation" if unit_hash("style set held out", name) < HELD_OUT else "train"
        stem = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        write(out / split / f"{stem}.png", encode_png(found[name].picture))
        write(out / split / f"{stem}.txt", name.encode())
        numbers[split] += 1
    return numbers["train"], numbers["validation"]


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, data)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder of `undiffuse data pictures`")
    parser.add_argument("style", help="such as streamline-ultimate-color")
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=300)
    options = parser.parse_args()
    try:
        trained, held_out = write_style(options.data, options.style, options.out, options.count)
    except UserError as error:
        raise SystemExit(f"error: {error}") from error
    print(f"{trained} pictures to train on, {held_out} held out")


if __name__ == "__main__":
    main()
