"""What the guard refuses, and the headers of every reply."""

import contextlib
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.studio.conftest import TOKEN, Studio, running
from undiffuse.errors import UserError
from undiffuse.studio import guard
from undiffuse.studio.server import check_access, listen


@pytest.fixture(scope="module")
def locked(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    with running(model_folder, tmp_path_factory.mktemp("locked"), TOKEN) as found:
        yield found


@pytest.mark.parametrize(
    ("host", "known"),
    [("127.0.0.1:{port}", True), ("localhost:9", True), ("[::1]:{port}", True), ("LOCALHOST", True),
     ("evil.example:{port}", False), ("192.168.1.7:{port}", False), ("", False), ("[", False),
     ("127.0.0.1.evil.example", False)],
)  # fmt: skip
def test_only_names_of_this_machine_are_answered(studio: Studio, host: str, known: bool) -> None:
    reply = studio.get("/api/model", host=host.format(port=studio.port))
    assert reply.status == (200 if known else 421)


@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, 400), ({"origin": "http://127.0.0.1:{port}"}, 400), ({"origin": "null"}, 403),
     ({"origin": "http://evil.example"}, 403), ({"origin": "http://127.0.0.1:1"}, 403),
     ({"sec_fetch_site": "cross-site"}, 403), ({"sec_fetch_site": "same-site"}, 403),
     ({"sec_fetch_site": "same-origin"}, 400)],
)  # fmt: skip
def test_other_sites_draw_nothing(studio: Studio, headers: dict[str, str], status: int) -> None:
    named = {name: value.format(port=studio.port) for name, value in headers.items()}
    assert studio.post("/api/draw", {"steps": 0}, **named).status == status


def test_another_site_may_link_to_the_page_but_read_no_data(studio: Studio) -> None:
    assert studio.get("/", sec_fetch_site="cross-site").status == 200
    assert studio.get("/api/gallery", sec_fetch_site="cross-site").status == 403


def test_every_reply_has_the_headers(studio: Studio) -> None:
    for path in ("/", "/api/model", "/nothing", "/api/draw", "/main.js"):
        headers = studio.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert "server" not in headers


def test_the_page_gets_a_cookie_that_scripts_can_not_read(studio: Studio) -> None:
    cookie = studio.get("/").headers["set-cookie"]
    assert re.match(r"undiffuse_client=[0-9a-f]{32};", cookie)
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert "set-cookie" not in studio.get("/", cookie=cookie.partition(";")[0]).headers


def test_a_token_is_asked_for(locked: Studio) -> None:
    assert locked.get("/").status == 200  # the page, which asks for it
    assert locked.get("/openapi.json").status == 200
    for path in ("/api/model", "/api/gallery", "/v1/models", "/api/uploads/x", "/api/nothing"):
        reply = locked.get(path)
        assert reply.status == 401
        assert reply.json()["error"]["code"] == "invalid_api_key"
    assert locked.get("/api/model", authorization=f"Bearer {TOKEN}x").status == 401
    assert locked.get("/api/model", authorization=TOKEN).status == 401
    assert locked.get("/api/model", authorization=f"Bearer {TOKEN}").status == 200


def test_the_page_exchanges_the_token_for_a_cookie(locked: Studio) -> None:
    assert locked.post("/api/session", {"token": "wrong"}).status == 401
    assert locked.post("/api/session", {"token": 1}).status == 400
    reply = locked.post("/api/session", {"token": TOKEN})
    assert reply.status == 204
    cookie = reply.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert locked.get("/api/model", cookie=cookie.partition(";")[0]).status == 200


def test_a_signature_opens_one_picture(locked: Studio) -> None:
    body = {"prompt": "cat", "response_format": "url", "steps": 1}
    reply = locked.post("/v1/images/generations", body, authorization=f"Bearer {TOKEN}")
    path = reply.json()["data"][0]["url"].removeprefix(locked.url)
    assert locked.get(path).status == 200
    signature = path.partition("?")[2]
    assert locked.get(f"/api/gallery?{signature}").status == 401
    assert locked.call("DELETE", path).status == 401
    assert locked.get(path[:-1] + ("0" if path[-1] != "0" else "1")).status == 401


def test_large_bodies_are_refused_before_they_are_read(studio: Studio) -> None:
    reply = studio.call("POST", "/api/draw", b"{}", content_length=str(10**9),
                        content_type="application/json")  # fmt: skip
    assert reply.status == 413
    big = b"[" * (guard.MAX_JSON + 1)
    assert studio.call("POST", "/api/draw", big, content_type="application/json").status == 413


def test_a_body_in_chunks_is_counted(studio: Studio) -> None:
    with socket.create_connection(("127.0.0.1", studio.port)) as client:
        head = "POST /api/draw HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        client.sendall(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n")
        chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
        for _ in range(5):
            client.sendall(chunk)
        assert client.recv(100).startswith(b"HTTP/1.1 413")


def test_a_slow_body_is_refused(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "BODY_SECONDS", 0.3)
    with socket.create_connection(("127.0.0.1", studio.port)) as client:
        head = "POST /api/draw HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        client.sendall(head.encode() + b"Content-Length: 20\r\n\r\n{")
        assert client.recv(100).startswith(b"HTTP/1.1 408")


def test_a_connection_without_a_request_is_ended(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("undiffuse.studio.server.HEAD_SECONDS", 0.3)
    with socket.create_connection(("127.0.0.1", studio.port), timeout=10) as client:
        client.sendall(b"GET / HT")
        started = time.monotonic()
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(100) == b""
        assert time.monotonic() - started < 5


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_only_json_is_read_as_json(studio: Studio, kind: str) -> None:
    assert studio.call("POST", "/api/draw", b"{}", content_type=kind).status == 400


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "example.org"])
def test_another_address_needs_a_token(host: str) -> None:
    with pytest.raises(UserError, match="--token"):
        check_access(host, None)
    check_access(host, TOKEN)


def test_a_weak_token_is_refused() -> None:
    with pytest.raises(UserError, match="12 or more"):
        check_access("127.0.0.1", "short")


def test_a_port_that_is_taken_is_named(studio: Studio) -> None:
    with pytest.raises(UserError, match=f"--port {studio.port} can't be used"):
        listen("127.0.0.1", studio.port)
    with pytest.raises(UserError, match="can't be used"):
        listen("no.such.host.invalid", 0)
