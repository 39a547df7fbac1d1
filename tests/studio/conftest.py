"""A studio on a free port, in a thread of the test's process, with the tiny model."""

import contextlib
import http.client
import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

from undiffuse.data import npm
from undiffuse.explore.space import default_cache_folder
from undiffuse.pipeline import load
from undiffuse.studio.export import ONNXRUNTIME
from undiffuse.studio.server import background_studio
from undiffuse.studio.state import StudioState

TOKEN = "a token of the tests"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update"]  # fmt: skip
Open = Callable[..., Any]  # opens the page in a browser


@dataclass
class Reply:
    """A whole reply."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def events(self) -> list[dict[str, Any]]:
        """The events of a stream."""
        lines = self.body.decode().splitlines()
        return [json.loads(line[6:]) for line in lines if line.startswith("data: ")]


@dataclass
class Studio:
    """A running studio."""

    port: int
    state: StudioState

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def folder(self) -> Path:
        return self.state.gallery.folder

    def call(
        self, method: str, path: str, body: bytes | None = None, timeout: float = 60,
        **headers: str,
    ) -> Reply:  # fmt: skip
        """A request; names of headers are given with "_" for "-"."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            names = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, names)
            reply = connection.getresponse()
            found = {name.lower(): value for name, value in reply.getheaders()}
            return Reply(reply.status, found, reply.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Reply:
        return self.call("GET", path, **headers)

    def post(self, path: str, data: Any, **headers: str) -> Reply:
        body = json.dumps(data).encode()
        return self.call("POST", path, body, content_type="application/json", **headers)

    def draw(self, **settings: Any) -> list[dict[str, Any]]:
        """The events of a drawing."""
        reply = self.post("/api/draw", settings)
        assert reply.status == 200, reply.body
        return reply.events()


@contextlib.contextmanager
def running(model: Path, folder: Path, token: str | None = None, port: int = 0) -> Iterator[Studio]:
    """A studio; its folder is the current one meanwhile."""
    with background_studio(load(model), folder, token, port) as (found, state):
        yield Studio(found, state)


@pytest.fixture(scope="module")
def studio(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    with running(model_folder, tmp_path_factory.mktemp("studio")) as found:
        yield found


def wait_until(holds: Any, seconds: float = 20) -> None:
    """Wait for a condition; fails if it takes longer."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("chromium is not installed (apt: chromium)")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser: Any, studio: Studio) -> Iterator[Open]:
    """Open the page; at the end, no script failed and no policy was broken."""
    problems: list[str] = []
    contexts = []

    def opened(
        address: str = studio.url, wait: str = "html[data-ready]", *, strict: bool = False,
        **options: Any,
    ) -> Any:  # fmt: skip
        """`strict`: errors of the console are problems too; a server's refusals are such errors."""
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda line: problems.append(line.text)
                if "olicy" in line.text or (strict and line.type == "error") else None)  # fmt: skip
        page.goto(address)
        page.wait_for_selector(wait)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not problems


def violations(page: Any) -> list[str]:
    """What axe finds that is serious or critical."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    found = axe.Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {node['html'][:120]}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


@pytest.fixture(scope="module")
def packages() -> Path:
    """A folder with onnxruntime-web: the user's cache, which npm fills once."""
    folder = default_cache_folder() / "packages"
    if shutil.which("npm") is None and not (folder / ONNXRUNTIME.tarball).exists():
        pytest.skip("npm is not installed (apt: npm), and onnxruntime-web is not in the cache")
    npm.fetch([ONNXRUNTIME], folder)
    return folder
