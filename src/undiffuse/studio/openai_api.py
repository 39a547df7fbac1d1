"""The endpoints that OpenAI's clients call: POST /v1/images/generations and GET /v1/models."""

import base64
import re
import secrets
import time
from dataclasses import dataclass
from functools import partial
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from undiffuse.errors import UserError
from undiffuse.imaging.png import MAX_SCALE, encode_png, upscale
from undiffuse.pipeline import Picture, TextToImage
from undiffuse.studio.drawing import partial_images
from undiffuse.studio.gallery import convert
from undiffuse.studio.guard import sign
from undiffuse.studio.replies import collect, event_text, read_json, stream_events
from undiffuse.studio.settings import Settings, file_scale, model_description, parse_settings
from undiffuse.studio.state import client_name, studio

MAX_N = 10  # pictures of one request, as OpenAI's own
MAX_SIDE = 1024  # pixels that a picture is enlarged to
FORMATS = ("png", "webp", "jpeg")
# Settings of this package that a client may add; OpenAI's `style` is another thing where it is
# none of the model's.
_SETTINGS = ("negative", "seed", "steps", "sampler", "guidance", "freshness", "style_strength",
             "color_strength")  # fmt: skip


@dataclass(frozen=True)
class ImageRequest:
    """A checked body of POST /v1/images/generations."""

    settings: Settings
    scale: int
    side: int
    as_url: bool
    stream: bool
    partial_images: int
    output_format: str
    user: str

    def encode(self, picture: Picture) -> bytes:
        """The picture's file; a PNG holds its record."""
        pixels = upscale(picture.pixels, self.scale)
        if self.output_format == "png":
            return encode_png(pixels, picture.record or None)
        return convert(pixels, self.output_format.upper())


def parse_request(body: Any, model: TextToImage) -> ImageRequest:
    """The request in a JSON body; fields that are not known are ignored. UserError as
    `parse_settings`, and for a size that the model has not."""
    if not isinstance(body, dict):
        raise UserError('the body is no JSON object: send {"prompt": "a red apple"}')
    if not isinstance(body.get("prompt"), str):
        raise UserError("prompt is missing: give a text")
    values = {name: body[name] for name in ("prompt", *_SETTINGS) if name in body}
    values["count"] = 1 if body.get("n") is None else body["n"]
    if values.get("seed") is None:
        values["seed"] = secrets.randbelow(2**32)
    if body.get("style") in (*model.denoiser.styles, ""):
        values["style"] = body["style"]
    settings = parse_settings(values, model, MAX_N)
    scale = parse_size(body.get("size"), model.codec.config.image_size)
    given = body.get("partial_images")
    partials = 0 if given is None else given
    if not isinstance(partials, int) or isinstance(partials, bool) or not 0 <= partials <= 3:
        raise UserError("partial_images: give 0 to 3")
    return ImageRequest(
        settings, scale, scale * model.codec.config.image_size,
        _choice(body, "response_format", ("b64_json", "url")) == "url",
        _choice(body, "stream", (False, True)) is True, partials,
        _choice(body, "output_format", FORMATS), str(body.get("user") or ""),
    )  # fmt: skip


def _choice(body: dict[str, Any], name: str, choices: tuple[Any, ...]) -> Any:
    value = choices[0] if body.get(name) is None else body[name]
    if not any(value is choice or (value == choice and isinstance(value, str))
               for choice in choices):  # fmt: skip
        raise UserError(f"{name}={ascii(value)[:60]}: give {' or '.join(map(str, choices))}")
    return value


def parse_size(size: Any, native: int) -> int:
    """How much "512x512" enlarges pictures of `native` pixels a side; "auto" is about 256."""
    if size in (None, "auto"):
        return file_scale(native)
    sides = [native * scale for scale in range(1, MAX_SCALE + 1) if native * scale <= MAX_SIDE]
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", size) if isinstance(size, str) else None
    if match is None or match[1] != match[2] or int(match[1]) not in sides:
        names = ", ".join(f"{side}x{side}" for side in sides)
        raise UserError(f"size={ascii(size)[:60]}: this model has auto, {names}")
    return int(match[1]) // native


async def post_generations(request: Request) -> Response:
    """Draw pictures; all at once, or as a stream with `stream`."""
    state = studio(request)
    wanted = parse_request(await read_json(request), state.model)
    start = partial(partial_images, state.model, wanted.settings, wanted.partial_images,
                    wanted.encode)  # fmt: skip
    job = state.queue.submit(client_name(request, wanted.user), start)
    usage = _usage(state.model, wanted.settings)
    if wanted.stream:
        return stream_events(job, state.queue, partial(_stream_text, wanted, usage))
    data = []
    for event in await collect(job, state.queue, request):
        if event["type"] != "final":
            continue
        if wanted.as_url:
            pixels_file = event["data"] if wanted.output_format == "png" else None
            data.append({"url": await _kept(request, pixels_file, event)})
        else:
            data.append({"b64_json": _base64(event["data"])})
    reply = {"created": int(time.time()), "data": data, "usage": usage,
             "output_format": wanted.output_format, "background": "opaque"}  # fmt: skip
    return JSONResponse(reply)


async def _kept(request: Request, data: bytes | None, event: dict[str, Any]) -> str:
    """Keep a picture in the gallery; the address of its file, which needs no token."""
    state = studio(request)
    if data is None:
        raise UserError("response_format=url gives PNG files: leave out output_format")
    stem = await run_in_threadpool(state.gallery.add, data, event["record"])
    path = f"/api/pictures/{stem}.png"
    signature = sign(path, state.token)
    query = f"?signature={signature}" if signature else ""
    return f"{request.url.scheme}://{request.headers['host']}{path}{query}"


def _stream_text(wanted: ImageRequest, usage: dict[str, Any], event: dict[str, Any]) -> str | None:
    if event["type"] == "error":
        error = {"message": event["message"], "type": "invalid_request_error", "param": None,
                 "code": None}  # fmt: skip
        return event_text({"type": "error", "error": error})
    names = {"partial": "partial_image", "final": "completed"}
    if event["type"] not in names:
        return None
    size = f"{wanted.side}x{wanted.side}"
    more = {"partial_image_index": event["index"]} if event["type"] == "partial" else {
        "usage": usage}  # fmt: skip
    return event_text({
        "type": f"image_generation.{names[event['type']]}", "b64_json": _base64(event["data"]),
        "created_at": int(time.time()), "size": size, "quality": "auto", "background": "opaque",
        "output_format": wanted.output_format, **more,
    })  # fmt: skip


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _usage(model: TextToImage, settings: Settings) -> dict[str, Any]:
    """Tokens of the prompt, and positions of the latents that are drawn."""
    text = int(model.clip.tokens([settings.prompt]).lengths[0])
    drawn = settings.count * model.denoiser.config.side**2
    return {
        "input_tokens": text, "output_tokens": drawn, "total_tokens": text + drawn,
        "input_tokens_details": {"text_tokens": text, "image_tokens": 0},
    }  # fmt: skip


async def get_models(request: Request) -> Response:
    """The one model."""
    return JSONResponse({"object": "list", "data": [_model(request)]})


async def get_one_model(request: Request) -> Response:
    """The one model, whatever name a client has for it."""
    return JSONResponse(_model(request))


def _model(request: Request) -> dict[str, Any]:
    name = model_description(studio(request).model)["name"]
    return {"id": name, "object": "model", "created": 0, "owned_by": "undiffuse"}


ROUTES = [
    Route("/v1/images/generations", post_generations, methods=["POST"]),
    Route("/v1/models", get_models),
    Route("/v1/models/{name}", get_one_model),
]
