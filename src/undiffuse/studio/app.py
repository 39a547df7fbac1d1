"""The studio as an ASGI application."""

import logging
import mimetypes
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from undiffuse.errors import UserError, explain
from undiffuse.studio import api, openai_api, understand_api
from undiffuse.studio.gallery import NotFound
from undiffuse.studio.guard import (
    BODY_SECONDS,
    CLIENT_COOKIE,
    BodyTooLarge,
    BodyTooSlow,
    Guard,
    read_cookies,
)
from undiffuse.studio.jobs import QueueFull
from undiffuse.studio.openapi import openapi_document
from undiffuse.studio.replies import error_reply, queue_full_reply
from undiffuse.studio.settings import model_description
from undiffuse.studio.state import StudioState, studio

LOG = logging.getLogger("undiffuse.studio")


def create_app(state: StudioState, host: str = "127.0.0.1") -> Starlette:
    """The application for a state. The current folder has to be that of the gallery: uploads are
    read, and recorded, by their names in it."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        state.queue.close()

    app = Starlette(
        routes=[
            *api.ROUTES, *understand_api.ROUTES, *openai_api.ROUTES,
            Route("/openapi.json", get_openapi),
            *(Route(path, page_file(file)) for path, file in api.page_files().items()),
            Route("/", page_file(api.page_files()["/index.html"])),
            Route("/api", page_file(api.page_files()["/api.html"])),
        ],
        middleware=[Middleware(Guard, host=host, token=state.token)],
        exception_handlers={
            HTTPException: _http_error, UserError: _user_error, QueueFull: _queue_full,
            BodyTooLarge: _too_large, BodyTooSlow: _too_slow, ClientDisconnect: _gone,
            Exception: _bug,
        },
        lifespan=lifespan,
    )  # fmt: skip
    app.state.studio = state
    return app


def page_file(path: Path) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint that gives one file of the page."""
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    if path.suffix == ".js":
        kind = "text/javascript"  # whatever this machine's table says

    async def endpoint(request: Request) -> Response:
        reply = Response(path.read_bytes(), media_type=kind, headers={"cache-control": "no-cache"})
        if path.suffix == ".html" and CLIENT_COOKIE not in read_cookies(request.headers):
            reply.set_cookie(
                CLIENT_COOKIE, secrets.token_hex(16), max_age=31536000, httponly=True,
                samesite="strict", path="/",
            )  # fmt: skip
        return reply

    return endpoint


async def get_openapi(request: Request) -> Response:
    """The description of all endpoints."""
    return JSONResponse(openapi_document(model_description(studio(request).model)))


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return error_reply(error.status_code, str(error.detail), headers=dict(error.headers or {}))


async def _user_error(request: Request, error: Exception) -> Response:
    return error_reply(404 if isinstance(error, NotFound) else 400, str(error))


async def _queue_full(request: Request, error: Exception) -> Response:
    assert isinstance(error, QueueFull)
    return queue_full_reply(error)


async def _too_large(request: Request, error: Exception) -> Response:
    return error_reply(413, "the body is too large", headers={"connection": "close"})


async def _too_slow(request: Request, error: Exception) -> Response:
    message = f"the body did not arrive in {BODY_SECONDS:g} s"
    return error_reply(408, message, headers={"connection": "close"})


async def _gone(request: Request, error: Exception) -> Response:
    return Response(status_code=499)  # nobody reads it


async def _bug(request: Request, error: Exception) -> Response:
    message = explain(error)  # a full disk, say
    if message is None:
        LOG.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return error_reply(500, "the studio made a mistake; its log has the details")
    return error_reply(500, message)
