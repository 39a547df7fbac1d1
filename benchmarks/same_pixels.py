"""Check that two versions of the package draw the same pixels.

    python benchmarks/same_pixels.py write before.json    # with the old version
    python benchmarks/same_pixels.py check before.json    # with the new one

Both draw 200 pictures with random settings, and replay every picture in docs/ that has a record,
each part of a grid too. `check` exits with status 1 if a picture differs from before, or from its
file in docs/. Run both on one machine with one version of ONNX Runtime: another processor may round
differently, and then the files in docs/ are not compared.
"""

import hashlib
import json
import os
import random
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import undiffuse
from undiffuse.pipeline.options import DrawOptions

DOCS = Path(__file__).parents[1] / "docs"
PROMPTS = (
    "a red apple", "cat face", "a man with a beard", "dog", "pizza", "a woman with red hair", "",
    "man + 0.8*hat - beard", "woman police officer - woman + man", "house in noto style", "sun",
    "an orange cat, fluent style", "zebra - stripes", 'say "a - b"', "🍎", "teh dogg", "x" * 300,
)  # fmt: skip
UNKNOWN = ("teh dogg", 'say "a - b"')  # drawn literally: a lexicon reads them as something else
SAMPLERS = ("blend", "ddpm", "ddim", "euler", "heun", "dpmpp_2m")
STYLES = (None, "", "noto", "twemoji", "fluent", "flat", "emojione", "blob")
SIZE, GAP = 64, 4  # pixels of a drawing, and between the pictures of a grid


def random_options(rng: random.Random) -> dict[str, Any]:
    """Keyword arguments of `TextToImage.generate`."""
    options: dict[str, Any] = {
        "prompt": rng.choice(PROMPTS), "n": rng.choice((1, 1, 2)), "seed": rng.randrange(2**32),
        "first_index": rng.choice((0, 0, 5)), "steps": rng.randrange(1, 25),
        "sampler": rng.choice(SAMPLERS), "guidance": rng.choice((1.0, 2.5, 4.0, 7.0, -1.0)),
        "style": rng.choice(STYLES), "style_strength": rng.choice((None, 0.0, 2.0)),
    }  # fmt: skip
    if options["prompt"] in UNKNOWN and "literal" in DrawOptions.__annotations__:
        options["literal"] = True
    if rng.random() < 0.3:
        options["negative"] = rng.choice(("beard", "red", "hat - man"))
    if rng.random() < 0.2:
        options["like"] = [str(DOCS / rng.choice(("apple.png", "cat.png")))]
    if rng.random() < 0.3:
        options["start"] = str(DOCS / "cat.png")
        options["strength"] = rng.choice((0.3, 0.8, 1.0))
        if rng.random() < 0.5:
            options["mask"] = str(DOCS / "top.png")
    return options


def random_digests(model: undiffuse.TextToImage) -> dict[str, str]:
    """The SHA-256 of the pixels of 200 drawings, by name."""
    rng, found = random.Random(0), {}
    for number in range(200):
        options = random_options(rng)
        pictures = model.generate(options.pop("prompt"), **options)
        pixels = b"".join(picture.pixels.tobytes() for picture in pictures)
        found[f"random {number}"] = hashlib.sha256(pixels).hexdigest()
    return found


def recorded_pictures() -> Iterator[tuple[str, np.ndarray, dict[str, Any]]]:
    """The name, the pixels (64, 64, 3) and the record of each drawing in docs/."""
    for path in sorted(DOCS.rglob("*.png")):
        with Image.open(path) as image:
            text, pixels = image.info.get("undiffuse"), np.asarray(image.convert("RGB"))
        record = json.loads(text or "{}")
        if record and "grid" not in record:
            scale = len(pixels) // SIZE
            yield path.name, pixels[::scale, ::scale], record
        for number, (part, one) in enumerate(grid_parts(pixels, record.get("grid", []))):
            yield f"{path.name}, part {number + 1}", part, one


def grid_parts(
    pixels: np.ndarray, records: list[dict[str, Any]]
) -> Iterator[tuple[np.ndarray, dict[str, Any]]]:
    """The pictures of a grid, row by row; its columns follow from its size."""
    height, width = (size - GAP for size in pixels.shape[:2])
    for columns in range(1, len(records) + 1):
        rows = -(-len(records) // columns)
        side = width // columns - GAP
        if side % SIZE == 0 and (rows, columns) == (height / (side + GAP), width / (side + GAP)):
            for number, record in enumerate(records):
                top = GAP + number // columns * (side + GAP)
                left = GAP + number % columns * (side + GAP)
                part = pixels[top : top + side, left : left + side]
                yield part[:: side // SIZE, :: side // SIZE], record
            return


def replays(model: undiffuse.TextToImage) -> Iterator[tuple[str, undiffuse.Picture, bool, bool]]:
    """Each drawing in docs/ again: its name, the new picture, whether its pixels are those in the
    file, and whether model, versions and processor are those of its record."""
    from undiffuse.pipeline.record import parse_record, record_changes

    os.chdir(DOCS.parent)  # records name their images relative to it
    for name, pixels, record in recorded_pictures():
        config, options = parse_record(record, Path(name))
        again = replace(model, defaults=config).generate(**options)[0]
        same = np.array_equal(again.pixels, pixels)
        yield name, again, same, not record_changes(record, again.record)


def main(mode: str, path: Path) -> None:
    path, model = path.absolute(), undiffuse.load()
    found, docs = random_digests(model), list(replays(model))
    for name, picture, *_ in docs:
        found[name] = hashlib.sha256(picture.pixels.tobytes()).hexdigest()
    if mode == "write":
        path.write_text(json.dumps(found, indent=1))
        return
    before = json.loads(path.read_text())
    different = [name for name, digest in before.items() if found[name] != digest]
    print(f"{len(before) - len(different)} of {len(before)} drawings are the same")
    print(f"{sum(same for *_, same, _ in docs)} of {len(docs)} pictures in docs/ equal their files")
    for name, _, same, comparable in docs:
        if not same:
            where = "on the same machine" if comparable else "with another version or processor"
            print(f"  {name} differs; its file was drawn {where}")
            different += [name] * comparable
    print("\n".join(different))
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
