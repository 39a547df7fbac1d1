"""Endpoints of the page's guided tour, under /api: comparisons, noise, and CLIP's space."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from undiffuse.errors import UserError
from undiffuse.explore.expression import MAX_LENGTH, parse_expression
from undiffuse.studio import clip_space
from undiffuse.studio.compare import compare, noise_levels, similarities
from undiffuse.studio.drawing import Events
from undiffuse.studio.replies import event_text, read_json, stream_events
from undiffuse.studio.settings import Settings, check_pictures, is_upload, parse_settings
from undiffuse.studio.state import StudioState, client_name, studio

MAX_RUNS = 4
MAX_WORDS = 8
MAX_PROMPTS = 4  # on a map


async def post_compare(request: Request) -> Response:
    """Draw several settings side by side, in step; the events are streamed."""
    state = studio(request)
    given = await _fields(request, "runs")
    runs = _list("runs", given["runs"], MAX_RUNS)
    settings = [_checked(run, state) for run in runs]
    return _stream(request, partial(compare, state.model, settings, state.gallery))


async def post_noise(request: Request) -> Response:
    """Draw, then stream the drawing at noise levels from 0 to 1."""
    state = studio(request)
    settings = _checked(await read_json(request), state)
    return _stream(request, partial(noise_levels, state.model, settings))


async def post_similarities(request: Request) -> Response:
    """Draw the pictures that are missing, then stream CLIP's matrix of words and pictures."""
    state = studio(request)
    given = await _fields(request, "words", "pictures")
    words = [_text("a word", word) for word in _list("words", given["words"], MAX_WORDS)]
    pictures = _list("pictures", given["pictures"], MAX_WORDS)
    for index, name in enumerate(pictures):
        if name is None and index < len(words):
            parse_settings({"prompt": words[index]}, state.model)
        elif is_upload(name):
            state.gallery.upload_path(name)
        else:
            raise UserError(f"pictures[{index}] is no upload: give one, or null to draw the word")
    return _stream(request, partial(similarities, state.model, words, pictures, state.gallery))


async def post_nearest(request: Request) -> Response:
    """The words nearest to a text or a sum."""
    given = await _fields(request, "prompt")
    prompt = _prompt(given["prompt"], studio(request))
    return await _answer(request, lambda state: clip_space.nearest(state.space, prompt))


async def post_between(request: Request) -> Response:
    """The prompt at a share of the way between two."""
    given = await _fields(request, "one", "other", "share")
    one, other = (_prompt(given[name], studio(request)) for name in ("one", "other"))
    share = given["share"]
    number = isinstance(share, int | float) and not isinstance(share, bool)
    if not number or not (math.isfinite(share) and 0 <= share <= 1):
        raise UserError(f"share={ascii(share)[:40]}: give 0 to 1")
    return await _answer(
        request, lambda state: clip_space.between(state.space, one, other, float(share))
    )


async def post_map(request: Request) -> Response:
    """A map of words and pictures with prompts on it."""
    given = await _fields(request, "prompts")
    listed = _list("prompts", given["prompts"], MAX_PROMPTS)
    prompts = [_prompt(text, studio(request)) for text in listed]
    return await _answer(
        request, lambda state: clip_space.word_map(state.space, state.gallery, prompts)
    )


async def _fields(request: Request, *names: str) -> dict[str, Any]:
    given = await read_json(request)
    if not isinstance(given, dict) or given.keys() != set(names):
        raise UserError(f"the body is no JSON object with exactly {', '.join(names)}")
    return given


def _list(name: str, value: Any, most: int) -> list[Any]:
    if not isinstance(value, list) or not 1 <= len(value) <= most:
        raise UserError(f"{name} is no list of 1 to {most} entries")
    return value


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_LENGTH:
        raise UserError(f"{name} is no text of 1 to {MAX_LENGTH} characters")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{name} is no UTF-8 text") from error
    return value


def _prompt(value: Any, state: StudioState) -> str:
    terms = parse_expression(_text("the prompt", value))
    check_pictures(terms)
    for term in terms:
        if term.is_picture:
            state.gallery.upload_path(term.text)
    return str(value)


def _checked(values: Any, state: StudioState) -> Settings:
    settings = parse_settings(values, state.model)
    for name in (*settings.like, settings.init, settings.mask):
        if name is not None:
            state.gallery.upload_path(name)
    return settings


def _stream(request: Request, start: Callable[[], Events]) -> Response:
    state = studio(request)
    return stream_events(state.queue.submit(client_name(request), start), state.queue, event_text)


async def _answer(request: Request, work: Callable[[StudioState], dict[str, Any]]) -> Response:
    """The result of a computation in CLIP's space, one at a time, beside the drawings: the vectors
    of its words take long, once."""
    state = studio(request)
    async with state.space_lock:
        return JSONResponse(await run_in_threadpool(work, state))


ROUTES = [
    Route(f"/api/{name}", endpoint, methods=["POST"])
    for name, endpoint in (
        ("compare", post_compare), ("noise", post_noise), ("similarities", post_similarities),
        ("nearest", post_nearest), ("between", post_between), ("map", post_map),
    )
]  # fmt: skip
