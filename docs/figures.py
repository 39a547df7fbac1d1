"""Draws the pictures of docs/concepts/ and docs/how-to/.

python docs/figures.py
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import undiffuse
from undiffuse.config import IMAGE_SIZE
from undiffuse.data.shards import find_shards, read_shards
from undiffuse.diffusion import add_noise, linear_schedule
from undiffuse.diffusion.noise import noise
from undiffuse.imaging.output import Output

ROOT = Path(__file__).parents[1]
OUT = ROOT / "docs" / "images"
SIDE, GAP, LABEL = 128, 6, 18  # pixels of a picture, between pictures, of a line of text
NAMES = ("red apple", "cat face", "sunflower", "top hat", "books", "feather")
MODEL = undiffuse.load()


def grid(
    name: str, rows: Sequence[tuple[str, Sequence[np.ndarray]]], labels: Sequence[str]
) -> None:
    """Write pictures as a grid: a label before each row and above each column."""
    left = max(12, *(8 * len(label) for label, _ in rows))
    width = left + len(labels) * (SIDE + GAP)
    sheet = Image.new("RGB", (width, LABEL + len(rows) * (SIDE + GAP)), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for column, label in enumerate(labels):
        pen.text((left + column * (SIDE + GAP), 0), label, "black", font)
    for row, (label, pictures) in enumerate(rows):
        top = LABEL + row * (SIDE + GAP)
        pen.text((0, top + SIDE // 2 - 8), label, "black", font)
        for column, picture in enumerate(pictures):
            sheet.paste(tile(picture), (left + column * (SIDE + GAP), top))
    sheet.quantize(256).save(OUT / f"{name}.png", optimize=True)


def tile(picture: np.ndarray) -> Image.Image:
    """A picture of `SIDE` pixels on white; small ones are enlarged without smoothing."""
    if len(picture) > SIDE or picture.shape[-1] == 4:
        return Image.fromarray(Output(SIDE, "white").render(picture))
    return Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.NEAREST)


def to_bytes(pixels: np.ndarray) -> np.ndarray:
    """(3, H, W) in [-1, 1] -> (H, W, 3)."""
    return np.rint((pixels.clip(-1, 1) + 1) * 127.5).astype(np.uint8).transpose(1, 2, 0)


def draw(prompt: str, **options: object) -> np.ndarray:
    return MODEL.generate(prompt, **options)[0].pixels


def emoji(names: Sequence[str], style: str = "twemoji") -> list[np.ndarray]:
    """Real emoji (3, 64, 64) in [-1, 1], on white."""
    found = {}
    for sample in read_shards(find_shards(ROOT / "tests" / "data" / "emoji")):
        if sample.record["family"] == style:
            rgba = sample.picture.astype(np.float32) / 255
            white = rgba[..., :3] * rgba[..., 3:] + 1 - rgba[..., 3:]  # over white
            found[sample.record["name"]] = white.transpose(2, 0, 1) * 2 - 1
    return [found[name] for name in names]


def forward_process() -> None:
    levels = [0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 1.0]
    small = Output(IMAGE_SIZE, "white").render(draw("a red apple"))
    x0 = small.astype(np.float32).transpose(2, 0, 1)[None] / 127.5 - 1
    z0 = MODEL.codec.encode(x0)
    eps, z_eps = (noise(0, 0, 0, x.shape[1:])[None] for x in (x0, z0))
    pixels = [to_bytes(add_noise(linear_schedule(), x0, eps, t)[0]) for t in levels]
    latents = [MODEL.decode(add_noise(linear_schedule(), z0, z_eps, t))[0] for t in levels]
    rows = [("in pixels", pixels), ("in latents", latents)]
    grid("forward-process", rows, [f"t = {t:g}" for t in levels])


def samplers() -> None:
    names, steps = ["blend", "ddpm", "ddim", "heun", "dpmpp_2m"], (2, 5, 10, 20, 50)
    rows = [
        (name, [draw("a red apple", sampler=name, steps=count, seed=3) for count in steps])
        for name in names
    ]
    grid("samplers", rows, [f"{count} steps" for count in steps])


def guidance() -> None:
    scales = (1.0, 2.0, 4.0, 8.0, 16.0)
    prompts = ("a woman with red hair", "a purple octopus", "guitar")
    rows = [(prompt, [draw(prompt, guidance=scale) for scale in scales]) for prompt in prompts]
    grid("guidance", rows, [f"scale {scale:g}" for scale in scales])


def unsteered() -> None:
    pictures = [picture.pixels for picture in MODEL.generate("", n=7)]
    prompt = [picture.pixels for picture in MODEL.generate("cat face", n=7)]
    rows = [("no vector", pictures), ("cat face", prompt)]
    grid("unsteered", rows, [f"noise {k}" for k in range(7)])


def old_loop() -> None:
    """The loop over previous steps, from eight noises, beside loops over step 0."""
    rows = []
    for label, sampler in (("previous step", "previous"), ("step 0, ddpm", "ddpm"),
                           ("step 0, ddim", "ddim")):  # fmt: skip
        pictures = MODEL.generate("cat", n=7, seed=1, sampler=sampler)
        rows.append((label, [picture.pixels for picture in pictures]))
    grid("old-loop", rows, [f"noise {k}" for k in range(7)])


def styles() -> None:
    names = ("noto", "twemoji", "fluent", "flat", "emojione", "blob")
    rows = [(prompt, [draw(prompt, style=name) for name in names]) for prompt in ("dog", "crown")]
    grid("styles", rows, names)


def similarity() -> None:
    """Cosines of six real pictures with six texts."""
    pixels = np.stack(emoji(NAMES))
    cosines = MODEL.clip.encode_text(list(NAMES)) @ MODEL.clip.encode_image(pixels).T
    rows = []
    for name, line in zip(NAMES, cosines, strict=True):
        cells = []
        for cosine in line:
            shade = int(255 - 200 * max(0.0, float(cosine)))
            cell = Image.new("RGB", (SIDE, SIDE), (shade, shade, 255))
            text = ImageDraw.Draw(cell)
            text.text((30, 38), f"{cosine:.2f}", "black", ImageFont.load_default(17))
            cells.append(np.asarray(cell))
        rows.append((name, cells))
    grid("similarity", [("", [to_bytes(x) for x in pixels]), *rows], [""] * len(NAMES))


def codec() -> None:
    x0 = np.stack(emoji(NAMES))
    z0 = MODEL.codec.encode(x0)
    low, high = z0.min(), z0.max()
    maps = [((z[:48].reshape(16, 3, 4, 4)[0] - low) / (high - low) * 2 - 1) for z in z0]
    noises = np.stack([noise(0, k, 0, z0.shape[1:]) for k in range(len(z0))])
    noisy = add_noise(linear_schedule(), z0, noises, 0.3)
    rows = [
        ("picture", [to_bytes(x) for x in x0]),
        ("3 of 64 channels", [to_bytes(m) for m in maps]),
        ("decoded", list(MODEL.decode(z0))),
        ("30% noise, decoded", list(MODEL.decode(noisy))),
    ]
    grid("codec", rows, [""] * len(x0))


def scenes() -> None:
    """The steps of prompts with several things: x_t over x0."""
    steps, rows = (5, 10, 15, 20), []
    for prompt in ("a dog and a cat", "a castle at night"):
        previews = [p for p in MODEL.steps(prompt, sampler="ddim") if p.step.index in steps]
        rows += [(prompt, [preview.x_t()[0] for preview in previews]),
                 ("predicted", [preview.x0()[0] for preview in previews])]  # fmt: skip
    grid("scenes", rows, [f"step {step}" for step in steps])


def few_steps() -> None:
    """The same prompts and noise in 20 guided steps and in 4."""
    prompts = ("a red apple", "cat face", "a sunflower", "a lion", "a rocket", "a house")
    rows = [
        (label, [picture.pixels for picture in MODEL.generate(prompts, seed=1, fast=fast)])
        for label, fast in (("20 steps", False), ("4 steps", True))
    ]
    grid("few-steps", rows, prompts)


FIGURES = (
    forward_process, old_loop, samplers, guidance, unsteered, styles, similarity, codec, scenes,
    few_steps,
)  # fmt: skip


def main() -> None:
    OUT.mkdir(exist_ok=True)
    for figure in FIGURES:
        figure()
        print(figure.__name__)


if __name__ == "__main__":
    main()
