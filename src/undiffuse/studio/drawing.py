"""The events of a drawing: each step as pictures, then the finished pictures with their records.

An event is JSON data with a "type": queued, step, picture, error or done.
"""

import base64
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

from undiffuse.config import IMAGE_SIZE
from undiffuse.imaging.png import Pixels, downscale, encode_png, upscale
from undiffuse.pipeline import Picture, Preview, TextToImage
from undiffuse.pipeline.record import parse_record, record_changes
from undiffuse.pipeline.trace import Trace
from undiffuse.studio.gallery import Gallery
from undiffuse.studio.reproduce import describe
from undiffuse.studio.settings import Settings, file_scale

Event = dict[str, Any]
Events = Iterator[Event | None]  # None: a place to stop, nothing to send
MAX_SHOWN = 100  # steps of a drawing that are sent, evenly spaced


def draw(model: TextToImage, settings: Settings, gallery: Gallery) -> Events:
    """Draw with the settings, and keep the pictures in the gallery if they ask for it."""
    previews = model.steps(settings.prompt, settings.count, settings.seed, **settings.options())
    preview = yield from step_events(previews)
    scale = file_scale(model.codec.config.image_size)
    for number, picture in enumerate(preview.pictures()):
        data = encode_png(upscale(picture.pixels, scale), picture.record)
        stem = gallery.add(data, picture.record) if settings.keep else None
        yield picture_event(number, picture, data, stem, scale, gallery.model)


def step_events(previews: Iterator[Preview]) -> Generator[Event | None, None, Preview]:
    """The events of the steps that are shown. Returns the last preview."""
    for preview in previews:
        step = preview.step
        shown = min(MAX_SHOWN, step.steps)
        if step.index * shown // step.steps == (step.index - 1) * shown // step.steps:
            yield None
            continue
        for number, (x_t, x0) in enumerate(zip(*preview.both(), strict=True)):
            yield {
                "type": "step", "picture": number, "step": step.index, "of": step.steps,
                "t": step.t, "picture_share": step.alpha, "noise_share": step.sigma,
                "x_t": preview_uri(x_t), "x0": preview_uri(x0),
            }  # fmt: skip
    return preview


def picture_event(
    number: int, picture: Picture, data: bytes, stem: str | None, scale: int, model: Path | None
) -> Event:
    """The event of a finished picture; `file` is None if it was not kept."""
    return {
        "type": "picture", "picture": number, "file": stem and f"{stem}.png",
        "png": data_uri(data), "notes": list(picture.notes),
        **describe(picture.record, scale, model),
    }  # fmt: skip


def replay(model: TextToImage, record: dict[str, Any], pixels: Pixels, gallery: Gallery) -> Events:
    """Draw a picture again from its record; says whether the pixels are the same."""
    config, options = parse_record(record, Path("the picture"))
    preview = yield from step_events(replace(model, defaults=config).steps(**options))
    picture, scale = preview.pictures()[0], file_scale(model.codec.config.image_size)
    data = encode_png(upscale(picture.pixels, scale), picture.record)
    event = picture_event(0, picture, data, None, scale, gallery.model)
    before = downscale(pixels, Path("the picture"), len(picture.pixels))
    same = before.shape == picture.pixels.shape and bool((before == picture.pixels).all())
    yield event | {"same": same, "changes": record_changes(record, picture.record)}


def animate(model: TextToImage, record: dict[str, Any], suffix: str) -> Iterator[Any]:
    """Draw a picture again; the last event holds an animation of the steps as bytes."""
    config, options = parse_record(record, Path("the picture"))
    trace = Trace(Path(f"steps{suffix}"))
    for preview in replace(model, defaults=config).steps(**options):
        trace.add(preview)
        yield None
    yield {"type": "file", "data": trace.encode()}


def partial_images(
    model: TextToImage, settings: Settings, wanted: int, encode: Callable[[Picture], bytes]
) -> Events:
    """The predicted picture at `wanted` steps, evenly spaced, then the finished pictures.

    Events "partial" and "final" hold the bytes of a file, and the record of a finished picture.
    """
    sent = 0
    for preview in model.steps(
        settings.prompt, settings.count, settings.seed, **settings.options()
    ):
        step = preview.step
        if sent < wanted and step.index * (wanted + 1) >= (sent + 1) * step.steps:
            if step.index < step.steps:
                yield {"type": "partial", "index": sent, "data": encode(
                    Picture(preview.pixels(step.x0, slice(0, 1))[0], {}))}  # fmt: skip
            sent += 1
        yield None  # a place to stop
    for number, picture in enumerate(preview.pictures()):
        yield {"type": "final", "index": number, "data": encode(picture), "record": picture.record}


def preview_uri(pixels: Pixels) -> str:
    """A data URI of pixels on white that are shown for a moment. Writing a large PNG would take as
    long as a pass of the denoiser; JPEG takes a tenth.
    """
    from PIL import Image

    file, large = BytesIO(), len(pixels) > IMAGE_SIZE
    options: dict[str, Any] = {"quality": 92, "subsampling": 0} if large else {"compress_level": 1}
    Image.fromarray(pixels).save(file, "JPEG" if large else "PNG", **options)
    return data_uri(file.getvalue(), "image/jpeg" if large else "image/png")


def data_uri(data: bytes, kind: str = "image/png") -> str:
    """The bytes of a file as a data URI."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
