"""Drawings side by side, the noise levels of a picture, and pictures of words for CLIP."""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace

import numpy as np

from undiffuse import diffusion
from undiffuse.explore.space import Space
from undiffuse.imaging.png import encode_png, on_white
from undiffuse.pipeline import Preview, TextToImage
from undiffuse.studio.drawing import Event, Events, data_uri, draw, preview_uri
from undiffuse.studio.gallery import Gallery
from undiffuse.studio.settings import Settings

NOISE_LEVELS = 20
WORD_STEPS = 8  # of a picture that is drawn for CLIP's matrix


def compare(model: TextToImage, runs: Sequence[Settings], gallery: Gallery) -> Events:
    """Draw one picture of each of several settings, in step; events have the number of the `run`.

    The run that has the smallest share of its steps is advanced first. Nothing is kept.
    """
    streams = [draw(model, replace(run, keep=False, count=1), gallery) for run in runs]
    shares = dict.fromkeys(range(len(runs)), 0.0)
    while shares:
        number = min(shares, key=lambda one: (shares[one], one))
        if (event := _next_shown(streams[number])) is None:
            del shares[number]
            continue
        if event["type"] == "step":
            shares[number] = event["step"] / event["of"]
        yield event | {"run": number}


def _next_shown(stream: Events) -> Event | None:
    return next((event for event in stream if event is not None), None)


def _finish(previews: Iterator[Preview]) -> Generator[None, None, Preview]:
    """The last preview; each step is a place to stop."""
    for last in previews:
        yield None
        preview = last
    return preview


def noise_levels(model: TextToImage, settings: Settings) -> Events:
    """Draw, then show the drawing at `NOISE_LEVELS` + 1 noise levels t = 0 to 1.

    x_t = alpha_t x0 + sigma_t noise, with one noise for all levels: the forward process of DDPM
    (arXiv 2006.11239, equation 4).
    """
    previews = model.steps(settings.prompt, 1, settings.seed, **settings.options())
    last = yield from _finish(previews)
    x0, shape = last.step.x_t[:1], model.denoiser.shape
    noise = diffusion.noise_source(settings.seed, [settings.index], shape)(0)
    clean = preview_uri(on_white(model.decode(x0))[0])
    for level in range(NOISE_LEVELS + 1):
        t = level / NOISE_LEVELS
        alpha, sigma = map(float, model.denoiser.schedule.alpha_sigma(t))
        noisy = model.decode(diffusion.add_noise(model.denoiser.schedule, x0, noise, t))
        yield {
            "type": "step", "picture": 0, "step": level, "of": NOISE_LEVELS, "t": t,
            "picture_share": alpha, "noise_share": sigma,
            "x_t": preview_uri(on_white(noisy)[0]), "x0": clean,
        }  # fmt: skip


def similarities(
    model: TextToImage, words: Sequence[str], pictures: Sequence[str | None], gallery: Gallery
) -> Events:
    """CLIP's cosines of words and uploads. A picture that is None is drawn from the word of its
    place, and kept as an upload.

    Events "word_picture" {index, name, png}, then "matrix" {cosines}: a row for each word.
    """
    names: list[str] = []
    for index, name in enumerate(pictures):
        if name is None:
            last = yield from _finish(model.steps(words[index], steps=WORD_STEPS))
            data = encode_png(last.pictures()[0].pixels)
            name = gallery.upload(data)
            yield {"type": "word_picture", "index": index, "name": name, "png": data_uri(data)}
        names.append(name)
    space = Space(model.clip)
    images = space.encode_images([gallery.upload_path(name) for name in names])
    texts = model.clip.encode_text(list(words))
    yield {"type": "matrix", "cosines": np.round(texts @ images.T, 4).tolist()}
