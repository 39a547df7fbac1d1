"""Check that two versions of the package draw the same pixels.

    python benchmarks/same_pixels.py write before.json    # with the old version
    python benchmarks/same_pixels.py check before.json    # with the new one

Draws 200 pictures with random settings, and replays every picture in docs/ that carries a record.
`check` exits with status 1 if any picture differs. Compare on one machine with one version of ONNX
Runtime: another processor may round differently.
"""

import hashlib
import json
import random
import sys
from pathlib import Path
from typing import Any

import undiffuse

DOCS = Path(__file__).parents[1] / "docs"
PROMPTS = (
    "a red apple", "cat face", "a man with a beard", "dog", "pizza", "a woman with red hair", "",
    "man + 0.8*hat - beard", "woman police officer - woman + man", "house in noto style", "sun",
    "an orange cat, fluent style", "zebra - stripes", 'say "a - b"', "🍎", "teh dogg", "x" * 300,
)  # fmt: skip
SAMPLERS = ("blend", "ddpm", "ddim", "euler", "heun", "dpmpp_2m")
STYLES = (None, "", "noto", "twemoji", "fluent", "flat", "emojione", "blob")


def random_options(rng: random.Random) -> dict[str, Any]:
    """Keyword arguments of `TextToImage.generate`."""
    options: dict[str, Any] = {
        "prompt": rng.choice(PROMPTS), "n": rng.choice((1, 1, 2)), "seed": rng.randrange(2**32),
        "first_index": rng.choice((0, 0, 5)), "steps": rng.randrange(1, 25),
        "sampler": rng.choice(SAMPLERS), "guidance": rng.choice((1.0, 2.5, 4.0, 7.0, -1.0)),
        "style": rng.choice(STYLES), "style_strength": rng.choice((None, 0.0, 2.0)),
    }  # fmt: skip
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


def digests() -> dict[str, str]:
    """The SHA-256 of the pixels of every drawing, by what was drawn."""
    model, rng, found = undiffuse.load(), random.Random(0), {}
    for number in range(200):
        options = random_options(rng)
        pictures = model.generate(options.pop("prompt"), **options)
        pixels = b"".join(picture.pixels.tobytes() for picture in pictures)
        found[f"random {number}"] = hashlib.sha256(pixels).hexdigest()
    return found


def main() -> None:
    mode, path = sys.argv[1], Path(sys.argv[2])
    found = digests()
    if mode == "write":
        path.write_text(json.dumps(found, indent=1))
        return
    before = json.loads(path.read_text())
    different = [name for name in found if found[name] != before[name]]
    print(f"{len(found) - len(different)} of {len(found)} drawings are the same")
    print("\n".join(different))
    sys.exit(1 if different else 0)


if __name__ == "__main__":
    main()
