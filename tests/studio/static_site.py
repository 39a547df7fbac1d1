"""Exports a site, serves its folder with the standard library, and draws in it."""

import contextlib
import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from undiffuse.explore import space
from undiffuse.imaging.png import on_white
from undiffuse.studio.export import export_site

# The steps of several drawings, each a list of [x_t, x0], and the bytes of the pictures.
DRAW = """async (runs) => {
  const { Graphs } = await import("./source-local/graphs.js");
  const { TextToImage } = await import("./source-local/pipeline.js");
  const site = await (await fetch("model/site.json")).json();
  const fetchFile = async (path) => (await fetch(path)).arrayBuffer();
  const model = new TextToImage(site, new Graphs(site.graphs), { fetchFile });
  const drawings = [];
  for (const run of runs) {
    const steps = [];
    let last = null;
    for await (const step of model.steps(run)) {
      steps.push([[...step.x_t], [...step.x0]]);
      last = step;
    }
    const pictures = await model.pictures(last);
    drawings.push({ steps, pictures: pictures.map(({ data }) => [...data]),
      records: last.plan.records });
  }
  return drawings;
}"""


@contextlib.contextmanager
def exported(model: Path | None, packages: Path, folder: Path) -> Iterator[Path]:
    """A site with the vectors of few words: all of them take seconds."""
    words = space.caption_words()[::16]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        patch.setattr(space, "caption_words", lambda: words)
        export_site(folder / "site", model, packages)
    yield folder / "site"


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a folder's files on a free port."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


def largest_difference(
    model: Any, run: dict[str, Any], found: dict[str, Any], levels: int = 1
) -> float:
    """Of x_t and x0 of all steps of a drawing, from those of Python; also checks that the pictures
    differ by at most some levels of 255.
    """
    from undiffuse.studio.settings import parse_settings

    settings = parse_settings(run, model)
    largest, preview = 0.0, None
    previews = model.steps(settings.prompt, settings.count, settings.seed, **settings.options())
    for preview, arrays in zip(previews, found["steps"], strict=True):
        for mine, theirs in zip((preview.step.x_t, preview.step.x0), arrays, strict=True):
            largest = max(largest, float(np.abs(mine.ravel() - np.array(theirs)).max()))
    for picture, data in zip(preview.pictures(), found["pictures"], strict=True):
        theirs = np.array(data, np.uint8).reshape(picture.pixels.shape)
        # On white: where alpha is small, rounding changes the color below it by more.
        assert np.abs(on_white(picture.pixels).astype(int) - on_white(theirs)).max() <= levels
    return largest
