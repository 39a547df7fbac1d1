"""Each script in examples/ runs, does what it says, and stays under 40 lines."""

import json
import runpy
import sys
import threading
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import pytest
from PIL import Image

import undiffuse
from tests.conftest import Run
from undiffuse.diffusion import SAMPLERS, register_sampler
from undiffuse.explore.space import caption_words
from undiffuse.imaging.png import on_white

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[2] / "examples"


def example(name: str) -> dict[str, Any]:
    return runpy.run_path(str(EXAMPLES / f"{name}.py"))


def test_every_example_has_fewer_than_40_lines() -> None:
    for path in EXAMPLES.glob("*.py"):
        assert len(path.read_text().splitlines()) < 40, path.name


def test_the_blend_by_hand_draws_what_the_blend_sampler_draws(tmp_path: Path) -> None:
    example("blend_by_hand")["main"]("a red apple", tmp_path / "apple.png")
    by_hand = np.asarray(Image.open(tmp_path / "apple.png"))
    options = {"sampler": "blend", "style": "twemoji", "style_strength": 0.0,
               "color_strength": 0.0}  # fmt: skip
    drawn = undiffuse.load().generate("a red apple", **options)[0].pixels
    # On white, because where nearly nothing is opaque, the color is a quotient of rounded numbers.
    by_hand, drawn = (on_white(pixels).astype(np.int16) for pixels in (by_hand, drawn))
    assert np.abs(by_hand - drawn).max() <= 2


@pytest.mark.slow
def test_a_custom_denoiser_draws_the_points_that_it_learned() -> None:
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the network is tiny: more threads only wait for each other
    found = example("custom_denoiser")
    drawn = found["main"]()
    torch.set_num_threads(threads)
    assert torch.cdist(drawn, found["POINTS"]).min(1).values.max() < 0.3


def test_a_new_sampler_is_used_from_the_command_line(run: Run) -> None:
    register_sampler("half_fresh", example("new_sampler")["half_fresh"])
    try:
        status, paths, _ = run("a red apple", "--sampler", "half_fresh", "--steps", "3")
    finally:
        del SAMPLERS["half_fresh"]
    assert (status, paths) == (0, ["a-red-apple.png"])


def test_directions_in_clip_space_name_what_was_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*caption_words()[::20], "turban"]
    monkeypatch.setattr("undiffuse.explore.space.caption_words", lambda: words)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    example("clip_directions")["main"]()
    assert "man wearing turban - man  ->  turban" in capsys.readouterr().out
    assert (tmp_path / "officer.png").exists()


def test_the_web_endpoint_streams_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["web_endpoint.py", "0"])
    server = ThreadingHTTPServer(("127.0.0.1", 0), example("web_endpoint")["Handler"])
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with urlopen(f"http://127.0.0.1:{server.server_port}/?prompt=sun") as response:
            lines = [line for line in response.read().decode().splitlines() if line]
    finally:
        server.shutdown()
    events = [json.loads(line.removeprefix("data: ")) for line in lines]
    assert [event["alpha"] for event in events] == pytest.approx([k / 20 for k in range(1, 21)])
    assert events[-1]["x0"].startswith("data:image/png;base64,")
