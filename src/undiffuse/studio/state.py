"""What the endpoints share: the model, the gallery and the queue."""

import asyncio
from dataclasses import dataclass, field
from functools import cached_property

from starlette.requests import Request

from undiffuse.explore.space import Space
from undiffuse.pipeline import TextToImage
from undiffuse.studio.gallery import Gallery
from undiffuse.studio.guard import CLIENT_COOKIE, read_cookies
from undiffuse.studio.jobs import DrawQueue


@dataclass(eq=False)
class StudioState:
    """One per server. `single` is held by an upload or a search, and `space_lock` by a
    computation in CLIP's space, so that memory stays bounded."""

    model: TextToImage
    gallery: Gallery
    token: str | None = None
    queue: DrawQueue = field(default_factory=DrawQueue)
    single: asyncio.Lock = field(default_factory=asyncio.Lock)
    space_lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @cached_property
    def space(self) -> Space:
        """CLIP's space. The vectors of its words are kept in the gallery's folder."""
        return Space(self.model.clip, self.gallery.folder)


def studio(request: Request) -> StudioState:
    """The state of the server that a request came to."""
    state: StudioState = request.app.state.studio
    return state


def client_name(request: Request, user: str = "") -> str:
    """Who asks, for taking turns: the page's cookie, else the address and OpenAI's `user`."""
    cookie = read_cookies(request.headers).get(CLIENT_COOKIE, "")[:64]
    address = request.client.host if request.client else ""
    return f"cookie {cookie}" if cookie else f"address {address} {user[:64]}"
