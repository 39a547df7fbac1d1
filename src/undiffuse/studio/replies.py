"""Replies that all endpoints share: errors, server-sent events, and who asks."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.types import Receive, Scope, Send

from undiffuse.errors import UserError
from undiffuse.studio.jobs import DrawQueue, Job, QueueFull

HEARTBEAT = 10.0  # seconds between two signs of life of a stream
_TYPES = {401: "authentication_error", 429: "requests", 500: "server_error"}
_CODES = {404: "not_found", 413: "too_large", 429: "rate_limit_exceeded"}


def error_reply(
    status: int, message: str, code: str | None = None, headers: dict[str, str] | None = None
) -> JSONResponse:
    """An error in OpenAI's shape: {"error": {"message", "type", "param", "code"}}."""
    kind = _TYPES.get(status, "invalid_request_error")
    error = {"message": message, "type": kind, "param": None, "code": code or _CODES.get(status)}
    return JSONResponse({"error": error}, status, headers=headers)


def queue_full_reply(error: QueueFull) -> JSONResponse:
    """Status 429, with the seconds to wait."""
    return error_reply(429, str(error), headers={"retry-after": str(error.retry_after)})


async def read_json(request: Request) -> Any:
    """The JSON of a body. UserError if it is none, or is sent as another type."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise UserError("the body is not JSON: send it with Content-Type: application/json")
    try:
        return json.loads(await request.body())
    except (ValueError, RecursionError) as error:  # ValueError: also no UTF-8, and huge numbers
        raise UserError("the body is no valid JSON") from error


class JobStream(StreamingResponse):
    """A stream of a job's events; the job ends with it, even if the client leaves before it."""

    def __init__(self, parts: AsyncIterator[bytes], end: Callable[[], None]) -> None:
        super().__init__(parts, media_type="text/event-stream", headers={"x-accel-buffering": "no"})
        self._end = end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._end()


def stream_events(
    job: Job, queue: DrawQueue, encode: Callable[[Any], str | None]
) -> StreamingResponse:
    """A job's events as server-sent events. The job ends when the client leaves.

    `encode` gives the text of an event, or None to send nothing.
    """

    async def parts() -> AsyncIterator[bytes]:
        events = job.events()
        following: asyncio.Future[Any] | None = None
        try:
            while True:
                following = following or asyncio.ensure_future(anext(events, None))
                done, _ = await asyncio.wait([following], timeout=HEARTBEAT)
                if not done:
                    yield b": alive\n\n"
                    continue
                event, following = following.result(), None
                if event is None:
                    return
                if (text := encode(event)) is not None:
                    yield text.encode()
        finally:
            if following is not None:
                following.cancel()

    return JobStream(parts(), partial(queue.cancel, job))


def event_text(event: dict[str, Any], name: str | None = None) -> str:
    """An event as server-sent event: its type, and JSON in one line."""
    return f"event: {name or event['type']}\ndata: {json.dumps(event)}\n\n"


async def collect(job: Job, queue: DrawQueue, request: Request) -> list[dict[str, Any]]:
    """All events of a job. ClientDisconnect if the client leaves, which ends the job.

    UserError with the message of an "error" event, RuntimeError if that is a bug of this package.
    """

    async def gather() -> list[dict[str, Any]]:
        return [event async for event in job.events()]

    async def left() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    work, gone = asyncio.ensure_future(gather()), asyncio.ensure_future(left())
    try:
        await asyncio.wait([work, gone], return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise ClientDisconnect
        events = work.result()
    finally:
        queue.cancel(job)
        work.cancel()
        gone.cancel()
    last = events[-1]
    if last["type"] == "error":
        raise (UserError if last.get("fault") == "request" else RuntimeError)(last["message"])
    return events
