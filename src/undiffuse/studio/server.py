"""Runs the studio: a socket, uvicorn, the browser."""

import asyncio
import contextlib
import logging
import socket
import threading
import webbrowser
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from undiffuse.errors import UserError
from undiffuse.pipeline import TextToImage, load
from undiffuse.studio.app import create_app
from undiffuse.studio.gallery import Gallery
from undiffuse.studio.guard import is_loopback
from undiffuse.studio.state import StudioState

MIN_TOKEN = 12  # characters
HEAD_SECONDS = 15.0  # for the head of a request
STALL_SECONDS = 60.0  # for a client to take what was sent
THREAD_SECONDS = 30.0  # for a studio in a thread to start and to stop
MAX_CONNECTIONS = 200
MAX_HEAD = 32 << 10  # bytes


class TimedProtocol(H11Protocol):
    """Ends a connection that sends no request, or takes no reply: uvicorn waits without end."""

    _timer: asyncio.TimerHandle | None = None  # of the head
    _stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._timer = asyncio.get_running_loop().call_later(HEAD_SECONDS, self._end)

    def handle_events(self) -> None:
        super().handle_events()
        if self.cycle is not None and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stalled = asyncio.get_running_loop().call_later(STALL_SECONDS, self._end)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._timer, self._stalled):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def _end(self) -> None:
        self.transport.abort()


def check_access(host: str, token: str | None) -> None:
    """UserError for an address that others reach without a token, and for a weak token."""
    if token is not None and (len(token) < MIN_TOKEN or not token.isascii()):
        raise UserError(f"--token has to have {MIN_TOKEN} or more ASCII characters: give a longer")
    if token is None and not is_loopback(host):
        raise UserError(f"--host {host} can be reached by others: give a --token too")


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 is any that is free. UserError if the address can't be used."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=128)
    except (OSError, ValueError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"--host {host} --port {port} can't be used: {reason}") from error


def address(host: str, listener: socket.socket) -> str:
    """The address of the page."""
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{listener.getsockname()[1]}/"


class StudioServer(uvicorn.Server):
    """uvicorn on a socket that listens already; calls `ready` when it answers."""

    def __init__(self, app: Any, ready: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app, http=TimedProtocol, ws="none", log_level="critical", access_log=False,
                server_header=False, limit_concurrency=MAX_CONNECTIONS, timeout_keep_alive=15,
                timeout_graceful_shutdown=1, h11_max_incomplete_event_size=MAX_HEAD,
                lifespan="on",
            )
        )  # fmt: skip
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._ready()


@contextlib.contextmanager
def studio_state(model: TextToImage, folder: Path, token: str | None) -> Iterator[StudioState]:
    """The state of a studio in a folder, which is the current folder meanwhile."""
    gallery = Gallery(folder.absolute(), model.folder if model.folder != _shipped() else None)
    gallery.prepare()
    state = StudioState(model, gallery, token)
    try:
        with contextlib.chdir(gallery.folder):
            yield state
    finally:
        state.queue.close()


@contextlib.contextmanager
def background_studio(
    model: TextToImage, folder: Path, token: str | None = None, port: int = 0
) -> Iterator[tuple[int, StudioState]]:
    """A studio in a thread, for scripts and tests; yields its port and its state.

    Its folder is the current one meanwhile. RuntimeError if it does not start or stop.
    """
    ready = threading.Event()
    with listen("127.0.0.1", port) as listener, studio_state(model, folder, token) as state:
        server = StudioServer(create_app(state), ready.set)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            if not ready.wait(THREAD_SECONDS):
                raise RuntimeError("the studio does not start")
            yield listener.getsockname()[1], state
        finally:
            server.should_exit = True
            thread.join(THREAD_SECONDS)
        if thread.is_alive():
            raise RuntimeError("the studio does not stop")


def _shipped() -> Path:
    from undiffuse.pipeline import SHIPPED_WEIGHTS

    return SHIPPED_WEIGHTS


def serve(
    host: str,
    port: int,
    folder: Path,
    model: Path | None,
    token: str | None,
    threads: int,
    report: Callable[[str], None],
    open_page: bool,
) -> None:
    """Serve until SIGINT or SIGTERM. UserError for an address, a folder or a model that can't be
    used; `report` is called with a line when the page can be opened."""
    check_access(host, token)
    with listen(host, port) as listener:
        loaded = load(model and model.absolute(), threads)
        with studio_state(loaded, folder, token) as state:
            logging.basicConfig(level=logging.WARNING)
            page = address(host, listener)

            def ready() -> None:
                report(page)
                state.queue.submit("warm-up", lambda: _warm_up(loaded))
                if open_page:
                    target = page if token is None else f"{page}#token={token}"
                    threading.Thread(target=webbrowser.open, args=(target,), daemon=True).start()

            StudioServer(create_app(state, host), ready).run(sockets=[listener])


def _warm_up(model: TextToImage) -> Iterator[None]:
    """Draw a step, so that the first drawing is as fast as the next."""
    for preview in model.steps("", steps=None if model.denoisers.has_fast else 1):
        preview.x0()
        yield None
