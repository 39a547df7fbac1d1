"""The studio's own endpoints, under /api."""

from functools import partial
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from undiffuse.errors import UserError
from undiffuse.imaging.png import downscale
from undiffuse.imaging.vector import encode_svg
from undiffuse.studio.drawing import animate, draw, replay
from undiffuse.studio.gallery import MAX_UPLOAD, convert
from undiffuse.studio.guard import TOKEN_COOKIE, same_token
from undiffuse.studio.replies import collect, error_reply, event_text, read_json, stream_events
from undiffuse.studio.reproduce import describe
from undiffuse.studio.settings import file_scale, model_description, parse_settings
from undiffuse.studio.state import StudioState, client_name, studio

MAX_LISTED = 200
IMAGE_TYPES = ("image/png", "image/jpeg", "image/webp", "application/octet-stream")
FILE_TYPES = ("png", "webp", "gif", "svg")
FOREVER = {"cache-control": "private, max-age=31536000, immutable"}  # names stand for one content


class MemoryParser(MultiPartParser):
    """Keeps files in memory, whose size the guard limits: none is written to a temporary folder."""

    spool_max_size = MAX_UPLOAD + (1 << 20)


async def get_model(request: Request) -> Response:
    """The model's size, styles, samplers, defaults and limits."""
    return JSONResponse(model_description(studio(request).model))


async def post_session(request: Request) -> Response:
    """Exchange the token for a cookie that scripts can't read."""
    token = studio(request).token
    given = await read_json(request)
    text = given.get("token") if isinstance(given, dict) else None
    if not isinstance(text, str):
        raise UserError('the body has no token: send {"token": "..."}')
    if token is not None and not same_token(text, token):
        return error_reply(401, "this is not the studio's token", code="invalid_api_key")
    reply = Response(status_code=204)
    if token is not None:
        reply.set_cookie(TOKEN_COOKIE, token, httponly=True, samesite="strict", path="/")
    return reply


async def post_draw(request: Request) -> Response:
    """Draw; the events are streamed."""
    state = studio(request)
    settings = parse_settings(await read_json(request), state.model)
    for name in (*settings.like, settings.init, settings.mask):
        if name is not None:
            state.gallery.upload_path(name)
    start = partial(draw, state.model, settings, state.gallery)
    job = state.queue.submit(client_name(request), start)
    return stream_events(job, state.queue, event_text)


async def post_upload(request: Request) -> Response:
    """Take a PNG, JPEG or WebP file: as the body, or as the part "file" of a form."""
    state = studio(request)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    async with state.single:
        if kind == "multipart/form-data":
            data = await _file_of_form(request)
        elif kind in IMAGE_TYPES:
            data = await request.body()
        else:
            return error_reply(415, f"an upload is {', '.join(IMAGE_TYPES[:3])} or a form")
        if not data:
            raise UserError("the upload is empty")
        name = await run_in_threadpool(state.gallery.upload, data)
    return JSONResponse({"name": name, "url": f"/api/{name}"}, 201)


async def _file_of_form(request: Request) -> bytes:
    parser = MemoryParser(request.headers, request.stream(), max_files=1, max_fields=8)
    try:
        form = await parser.parse()
    except (MultiPartException, ValueError, LookupError, AssertionError) as error:
        raise UserError("the form is broken") from error
    try:
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise UserError('the form has no file: send it as the part "file"')
        return await file.read()
    finally:
        await form.close()


async def get_upload(request: Request) -> Response:
    """An upload's file."""
    path = studio(request).gallery.upload_path(f"uploads/{request.path_params['name']}")
    return Response(await run_in_threadpool(path.read_bytes), media_type="image/png",
                    headers=FOREVER)  # fmt: skip


async def get_gallery(request: Request) -> Response:
    """Pictures, newest first, or nearest to the words of `search`."""
    state, query = studio(request), request.query_params
    count = query.get("count", "60")
    if not count.isdecimal() or not 1 <= int(count[:9]) <= MAX_LISTED:
        raise UserError(f"count={ascii(count)[:20]}: give 1 to {MAX_LISTED}")
    words = query.get("search", "").strip()
    async with state.single:
        listed = await run_in_threadpool(_list, state, words, query.get("before"), int(count))
    return JSONResponse({"pictures": listed})


def _list(
    state: StudioState, words: str, before: str | None, count: int
) -> list[dict[str, object]]:
    gallery = state.gallery
    cosines: dict[str, float] = {}
    if words:
        cosines = dict(gallery.search(words, state.model.clip, count))
    rows = []
    for stem in cosines or ([] if words else gallery.stems(before, count)):
        try:
            prompt = str(gallery.record(stem).get("prompt", ""))
        except UserError:  # deleted meanwhile, or changed by another program
            continue
        found = {"cosine": cosines[stem]} if words else {}
        rows.append({"name": stem, "url": f"/api/pictures/{stem}.png", "prompt": prompt, **found})
    return rows


async def get_picture(request: Request) -> Response:
    """The record, the settings, the command line and the Python of a picture."""
    state, stem = studio(request), request.path_params["name"]
    record = await run_in_threadpool(state.gallery.record, stem)
    return JSONResponse({"name": stem, **_described(state, record)})


def _described(state: StudioState, record: dict[str, object]) -> dict[str, object]:
    try:
        return describe(
            record, file_scale(state.model.codec.config.image_size), state.gallery.model
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError("the picture has a broken record") from error


async def get_file(request: Request) -> Response:
    """A picture as .png with its record, as .webp, traced as .svg, or as a .gif of its steps."""
    state = studio(request)
    stem, suffix = request.path_params["name"], request.url.path.rpartition(".")[2]
    if suffix == "gif":
        start = partial(animate, state.model, await run_in_threadpool(state.gallery.record, stem),
                        ".gif")  # fmt: skip
        job = state.queue.submit(client_name(request), start)
        events = await collect(job, state.queue, request)
        data = events[-2]["data"]
    elif suffix == "svg":
        async with state.single:
            data = await run_in_threadpool(_trace, state, stem)
    elif suffix == "webp":
        pixels, _ = await run_in_threadpool(state.gallery.read, stem)
        data = await run_in_threadpool(convert, pixels, "WEBP")
    else:
        data = await run_in_threadpool(state.gallery.path(stem).read_bytes)
    kind = "svg+xml" if suffix == "svg" else suffix
    return Response(data, media_type=f"image/{kind}", headers=FOREVER)


def _trace(state: StudioState, stem: str) -> bytes:
    pixels, _ = state.gallery.read(stem)
    size = state.model.codec.config.image_size
    if len(pixels) % size == 0:  # drawn by this model: trace the pixels, not their enlargement
        pixels = downscale(pixels, Path("the picture"), size)
    return encode_svg(pixels)


async def delete_picture(request: Request) -> Response:
    """Delete a picture's file."""
    studio(request).gallery.delete(request.path_params["name"])
    return Response(status_code=204)


async def post_replay(request: Request) -> Response:
    """Draw a picture again from its record; the events are those of /api/draw."""
    state = studio(request)
    pixels, record = await run_in_threadpool(state.gallery.read, request.path_params["name"])
    start = partial(replay, state.model, record, pixels, state.gallery)
    job = state.queue.submit(client_name(request), start)
    return stream_events(job, state.queue, event_text)


def page_files() -> dict[str, Path]:
    """The page's files by their paths on the server."""
    folder = Path(__file__).with_name("page")
    return {f"/{path.name}": path for path in sorted(folder.iterdir()) if path.is_file()}


ROUTES = [
    Route("/api/model", get_model),
    Route("/api/session", post_session, methods=["POST"]),
    Route("/api/draw", post_draw, methods=["POST"]),
    Route("/api/upload", post_upload, methods=["POST"]),
    Route("/api/uploads/{name}", get_upload),
    Route("/api/gallery", get_gallery),
    *(Route(f"/api/pictures/{{name}}.{suffix}", get_file) for suffix in FILE_TYPES),
    Route("/api/pictures/{name}", get_picture),
    Route("/api/pictures/{name}", delete_picture, methods=["DELETE"]),
    Route("/api/pictures/{name}/replay", post_replay, methods=["POST"]),
]
