"""Middleware that every request passes: hosts, origins, the token, limits and headers."""

import asyncio
import hashlib
import hmac
import ipaddress
import socket
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import Message, Receive, Scope, Send

from undiffuse.studio.gallery import MAX_UPLOAD
from undiffuse.studio.policy import content_policy
from undiffuse.studio.replies import error_reply

MAX_JSON = 256 << 10  # bytes
MAX_FORM = MAX_UPLOAD + (64 << 10)
BODY_SECONDS = 20.0  # for a whole body
TOKEN_COOKIE, CLIENT_COOKIE = "undiffuse_token", "undiffuse_client"
# Without a token, only these can be had; they hold nothing of the user's.
OPEN_PATHS = ("/api/session", "/openapi.json")
HEADERS = {
    "content-security-policy": content_policy({"frame-ancestors": "'none'"}),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


class BodyTooLarge(Exception):
    """The body has more bytes than its endpoint takes."""


class BodyTooSlow(Exception):
    """The body did not arrive in `BODY_SECONDS`."""


class Guard:
    """Refuses a request that another site sent, that has no token, or that is too large.

    host   the address that the studio listens on.
    token  None if none is needed.
    """

    def __init__(self, app: Any, host: str, token: str | None) -> None:
        self.app, self.token = app, token
        self.names = {"localhost", host.lower(), socket.gethostname().lower()}
        self.open = not is_loopback(host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        reply = self._refusal(scope, headers)
        if reply is not None:
            await reply(scope, receive, _secured(send))
            return
        limit = MAX_FORM if scope["path"] == "/api/upload" else MAX_JSON
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > limit:
            reply = error_reply(413, f"the body is too large: at most {limit >> 10} KiB")
            await reply(scope, receive, _secured(send))
            return
        await self.app(scope, _limited(receive, limit), _secured(send))

    def _refusal(self, scope: Scope, headers: Headers) -> Any:
        if not self._known_host(headers.get("host", "")):
            return error_reply(421, "this studio answers at its own address only")
        if not _same_site(scope, headers):
            return error_reply(403, "the request comes from another site")
        path = scope["path"]
        needs_token = path.startswith(("/api/", "/v1/")) and path not in OPEN_PATHS
        if self.token is not None and needs_token and not self._has_token(scope, headers):
            return error_reply(401, "a token is needed: send Authorization: Bearer TOKEN",
                               code="invalid_api_key")  # fmt: skip
        return None

    def _known_host(self, host: str) -> bool:
        """A name that another site had resolved to this machine is refused; an address is not."""
        try:
            name = (urlsplit(f"//{host}").hostname or "").lower()
        except ValueError:
            return False
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return name in self.names
        return self.open or address.is_loopback

    def _has_token(self, scope: Scope, headers: Headers) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        tokens = [given.strip()] if scheme.lower() == "bearer" else []
        tokens.append(read_cookies(headers).get(TOKEN_COOKIE, ""))
        if any(same_token(one, self.token or "") for one in tokens):
            return True
        signed = parse_qs(scope["query_string"].decode("latin-1")).get("signature", [""])[0]
        return scope["method"] == "GET" and same_token(signed, sign(scope["path"], self.token))


def same_token(one: str, other: str) -> bool:
    """Whether two texts are equal, in a time that does not depend on where they differ."""
    digests = (hashlib.sha256(text.encode("utf-8", "replace")).digest() for text in (one, other))
    return hmac.compare_digest(*digests)


def sign(path: str, token: str | None) -> str:
    """A signature that lets a path be read without the token; "" if none is needed."""
    return "" if token is None else hmac.digest(token.encode(), path.encode(), "sha256").hex()


def is_loopback(host: str) -> bool:
    """Whether an address or name is this machine's own, which no other machine reaches."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def read_cookies(headers: Headers) -> dict[str, str]:
    """The cookies of a request; none if they are broken."""
    try:
        cookies = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return {}
    return {name: morsel.value for name, morsel in cookies.items()}


def _same_site(scope: Scope, headers: Headers) -> bool:
    """False for what the browser says another site's page sent.

    A link to the page itself may come from anywhere.
    """
    if scope["method"] not in ("GET", "HEAD"):
        origin = headers.get("origin")
        if (
            origin is not None
            and urlsplit(origin).netloc.lower() != headers.get("host", "").lower()
        ):
            return False
    page = scope["method"] in ("GET", "HEAD") and not scope["path"].startswith(("/api/", "/v1/"))
    return page or headers.get("sec-fetch-site", "none") in ("same-origin", "none")


def _limited(receive: Receive, limit: int) -> Receive:
    """`receive`, which raises for a body that is too large or arrives too slowly."""
    left, deadline, complete = limit, asyncio.get_running_loop().time() + BODY_SECONDS, False

    async def limited() -> Message:
        nonlocal left, complete
        if complete:  # waits for the client to leave
            return await receive()
        try:
            message = await asyncio.wait_for(
                receive(), max(0.0, deadline - asyncio.get_running_loop().time())
            )
        except TimeoutError as error:
            raise BodyTooSlow from error
        left -= len(message.get("body", b""))
        complete = message["type"] != "http.request" or not message.get("more_body", False)
        if left < 0:
            raise BodyTooLarge
        return message

    return limited


def _secured(send: Send) -> Send:
    """`send`, with `HEADERS` on the reply."""

    async def secured(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("cache-control", "no-store")
        await send(message)

    return secured
