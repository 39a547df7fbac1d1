"""What the endpoints share: the model, the gallery and the queue."""

import asyncio
from dataclasses import dataclass, field

from starlette.requests import Request

from undiffuse.pipeline import TextToImage
from undiffuse.studio.gallery import Gallery
from undiffuse.studio.guard import CLIENT_COOKIE, read_cookies
from undiffuse.studio.jobs import DrawQueue


@dataclass(eq=False)
class StudioState:
    """One per server. `single`: held by an upload or a search, so that memory stays bounded."""

    model: TextToImage
    gallery: Gallery
    token: str | None = None
    queue: DrawQueue = field(default_factory=DrawQueue)
    single: asyncio.Lock = field(default_factory=asyncio.Lock)


def studio(request: Request) -> StudioState:
    """The state of the server that a request came to."""
    state: StudioState = request.app.state.studio
    return state


def client_name(request: Request, user: str = "") -> str:
    """Who asks, for taking turns: the page's cookie, else the address and OpenAI's `user`."""
    cookie = read_cookies(request.headers).get(CLIENT_COOKIE, "")[:64]
    address = request.client.host if request.client else ""
    return f"cookie {cookie}" if cookie else f"address {address} {user[:64]}"
