"""Hostile requests: answered with 4xx, the server alive, nothing written outside its folder.

`UNDIFFUSE_HOSTILE=10000 pytest tests/studio/test_hostile.py` sends 10,000; the seed is fixed.
"""

import io
import json
import os
import random
import re
import socket
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from struct import pack
from typing import Any

import pytest
from PIL import Image

from tests.studio.conftest import Studio, running
from undiffuse.studio.settings import PICTURE, UPLOAD

REQUESTS = int(os.environ.get("UNDIFFUSE_HOSTILE", "300"))
BAD_NAMES = [
    "..", "../../etc/passwd", "..%2f..%2fx.png", "%00", "a" * 5000, "x.png", "%ff%fe", "con",
    "20260101-000000-00000000", "20260101-000000-00000000/../x", "\\..\\x", "uploads", "%252e%252e",
]  # fmt: skip
BAD_VALUES: list[Any] = [
    None, True, -1, 0, 1e308, 2**70, "", "x" * 2000, "\ud800", "\x00", [], [[]] * 50, {}, {"a": {}},
    "../../x.png", "uploads/../x.png", "uploads/0123456789abcdef.png", "man + + hat", '"', "NaN",
    "' OR 1=1", "<script>", "cat - cat", "9" * 400 + "*cat + dog", "🐈", "{{7*7}}", "%s%n",
]  # fmt: skip
TOUR = ["/api/compare", "/api/noise", "/api/similarities", "/api/nearest", "/api/between",
        "/api/map"]  # fmt: skip
FIELDS = {"/api/compare": ["runs"], "/api/similarities": ["words", "pictures"],
          "/api/nearest": ["prompt"], "/api/between": ["one", "other", "share"],
          "/api/map": ["prompts"]}  # fmt: skip
CACHES = re.compile(r"\.undiffuse-i|words-[0-9a-f]+\.safetensors$")  # indexes of CLIP's vectors
SETTINGS = ["prompt", "negative", "style", "seed", "index", "count", "steps", "sampler", "guidance",
            "freshness", "size", "like", "init", "mask", "strength", "keep", "n", "stream", "user",
            "partial_images", "response_format", "__proto__", "\ud800"]  # fmt: skip


def bomb(side: int) -> bytes:
    """A small PNG that asks for side * side pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return pack(">I", len(data)) + kind + data + pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(bytes(1 << 20)))
    return b"\x89PNG\r\n\x1a\n" + head + body + chunk(b"IEND", b"")


def good_png() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (9, 9)).save(file, "PNG")
    return file.getvalue()


def json_body(rng: random.Random) -> bytes:
    if rng.random() < 0.3:
        return rng.choice([b"", b"{", b"[" * 100_000, b"null", b"\xff", b"1" * 5000, b'{"a":NaN}',
                           b'{"prompt":"\\ud800"}', b'"x"', rng.randbytes(60)])  # fmt: skip
    names = rng.sample(SETTINGS, rng.randint(1, 4))
    values = {name: rng.choice(BAD_VALUES) for name in names}
    return json.dumps({"steps": 1, "keep": False} | values).encode()


def upload_body(rng: random.Random) -> tuple[str, bytes]:
    data = rng.choice([bomb(60_000), bomb(5000), b"", b"GIF89a", rng.randbytes(200), b"\x89PNG"
                       b"\r\n\x1a\n", good_png()[:40],
                       b"\x89PNG\r\n\x1a\n" + rng.randbytes(50), b"<svg onload='x'/>"])  # fmt: skip
    if rng.random() < 0.4:
        return rng.choice(["image/png", "image/jpeg", "text/html", ""]), data
    head = rng.choice([
        b'Content-Disposition: form-data; name="file"; filename="../../../x.png"',
        b'Content-Disposition: form-data; name="file"', b'Content-Disposition: form-data',
        b"X: " + b"y" * 9000, b"\xff\xfe", b"", b'Content-Disposition: form-data; name="f\x00"',
    ])  # fmt: skip
    body = b"--b\r\n" + head + b"\r\n\r\n" + data + rng.choice([b"\r\n--b--\r\n", b"\r\n--b", b""])
    kind = rng.choice(["multipart/form-data; boundary=b", "multipart/form-data",
                       "multipart/form-data; boundary=" + "x" * 300,
                       "multipart/form-data; boundary=b; charset=rot13"])  # fmt: skip
    return kind, body


def tour_body(rng: random.Random, path: str) -> bytes:
    """Often an object with the right fields, whose values are bad, or lists of bad ones."""
    if path not in FIELDS or rng.random() < 0.2:
        return json_body(rng)

    def value() -> Any:
        bad = [rng.choice(BAD_VALUES) for _ in range(rng.choice([0, 1, 2, 9]))]
        return rng.choice([rng.choice(BAD_VALUES), bad, "cat", [{"steps": b} for b in bad]])

    return json.dumps({name: value() for name in FIELDS[path]}).encode()


def request(rng: random.Random) -> bytes:
    """The bytes of one request."""
    name = rng.choice(BAD_NAMES)
    path = rng.choice([
        "/api/draw", "/api/draw", "/v1/images/generations", "/api/upload", "/api/upload",
        f"/api/pictures/{name}", f"/api/pictures/{name}.png", f"/api/pictures/{name}.gif",
        f"/api/pictures/{name}/replay", f"/api/uploads/{name}", f"/{name}", f"/api/{name}",
        f"/api/gallery?search={name}", f"/api/gallery?before={name}&count={name}", "/api/session",
        f"//{name}", "*", "http://evil.example/", *TOUR,
        f"/api/pictures/{name}.svg",
    ])  # fmt: skip
    kind, body = "application/json", b""
    if path == "/api/upload":
        method, (kind, body) = "POST", upload_body(rng)
    elif path in ("/api/draw", "/v1/images/generations", "/api/session"):
        method, body = "POST", json_body(rng)
    elif path in TOUR:
        method, body = "POST", tour_body(rng, path)
    else:
        method = rng.choice(["GET", "GET", "DELETE", "POST", "PUT", "HEAD", "OPTIONS", "X" * 50])
    host = rng.choice(["localhost"] * 9 + ["evil.example", "", "a" * 9000, "localhost\r\nHost: b"])
    length: Any = len(body)
    if rng.random() < 0.1:
        length = rng.choice([-1, "x", 10**15, "1, 2", len(body) + 5, "9" * 5000])
    more = rng.choice(["", "", "Origin: http://evil.example\r\n", "Cookie: " + "x" * 3000 + "\r\n",
                       "Cookie: undiffuse_client=\"\\\r\n", "Authorization: Bearer \xff\r\n",
                       "Transfer-Encoding: chunked\r\n", "Sec-Fetch-Site: cross-site\r\n",
                       "Expect: 100-continue\r\n",
                       "Upgrade: websocket\r\nConnection: Upgrade\r\n"])  # fmt: skip
    head = f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{more}"
    head += f"Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
    whole = head.encode("latin-1", "replace") + body
    if rng.random() < 0.05:
        return rng.choice([rng.randbytes(300), whole[: rng.randint(0, len(whole))], b"\r\n" * 99])
    return whole


def send(port: int, data: bytes) -> bytes:
    """What comes back, at most 200 KB; the client may leave in the middle."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        received = b""
        try:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            while len(received) < 200_000 and (part := client.recv(65536)):
                received += part
        except OSError:  # the server closed first
            pass
        return received


def tree(folder: Path) -> dict[str, float]:
    return {str(path.relative_to(folder)): path.lstat().st_mtime for path in folder.rglob("*")}


@pytest.fixture
def watched(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Studio]:
    """A studio; temporary files would lie beside its folder."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setattr("undiffuse.studio.server.HEAD_SECONDS", 1.0)
    monkeypatch.setattr("undiffuse.studio.guard.BODY_SECONDS", 1.0)
    with running(model_folder, tmp_path / "deep" / "studio") as found:
        yield found


@pytest.mark.slow
def test_hostile_requests_are_refused(watched: Studio, tmp_path: Path) -> None:
    rng = random.Random(20261125)
    before = set(tree(tmp_path))
    seen: dict[int, int] = {}
    for _ in range(REQUESTS):
        data = request(rng)
        reply = send(watched.port, data)
        match = re.match(rb"HTTP/1\.1 (\d{3})", reply)
        status = int(match[1]) if match else 0  # 0: the connection was ended
        seen[status] = seen.get(status, 0) + 1
        assert status < 500, (data[:300], reply[:500])
        assert b"Traceback" not in reply
    assert sum(count for status, count in seen.items() if 400 <= status < 500) > REQUESTS / 3, seen
    written = set(tree(tmp_path)) - before
    inside = "deep/studio/"
    for name in (path.removeprefix(inside) for path in written):
        stem = name.removesuffix(".png")
        known = PICTURE.fullmatch(stem) or UPLOAD.fullmatch(name) or CACHES.match(name)
        assert known, name
    assert all(path.startswith(inside) for path in written)
    assert watched.draw(prompt="cat", steps=1)[-1] == {"type": "done"}


@pytest.mark.parametrize("side", [6000, 60_000])
def test_a_decompression_bomb_is_refused(studio: Studio, side: int) -> None:
    reply = studio.call("POST", "/api/upload", bomb(side), content_type="image/png")
    assert reply.status == 400
    assert (
        "too large" in reply.json()["error"]["message"]
        or "can't" in reply.json()["error"]["message"]
    )


def test_many_slow_clients_do_not_keep_others_waiting(watched: Studio) -> None:
    slow = [socket.create_connection(("127.0.0.1", watched.port)) for _ in range(60)]
    try:
        for client in slow:
            client.sendall(b"POST /api/draw HTTP/1.1\r\nHost: localhost\r\nContent-Le")
        assert watched.draw(prompt="cat", steps=1)[-1] == {"type": "done"}
    finally:
        for client in slow:
            client.close()
