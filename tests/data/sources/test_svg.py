"""SVG from strangers: no file is read, and no drawing takes the program down."""

import io
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.sources.make import BAR, SVG, picture
from undiffuse.data.sources import svg as module
from undiffuse.data.sources.svg import MAX_BYTES, Renderer, render, sanitize

RECT = '<rect width="1" height="1"/>'


def drawn(svg: str, side: int = 16) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(render(svg.encode(), side))).convert("RGBA"))


def test_files_outside_the_drawing_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "secret.png"
    path.write_bytes(picture())
    image = '<image href="{}" width="10" height="20"/>'
    for place in (str(path), path.as_uri(), os.path.relpath(path), f" {path}", f"data:{path}"):
        assert not drawn(SVG.format(image.format(place))).any()
    entity = f'<!DOCTYPE svg [<!ENTITY e "{path}">]>' + SVG.format(image.format("&e;"))
    assert not drawn(entity).any()
    old = SVG.replace("<svg", '<svg xmlns:xlink="http://www.w3.org/1999/xlink"')
    assert not drawn(old.format(image.format(path).replace("href", "xlink:href"))).any()
    with pytest.raises(ValueError, match="undefined entity"):
        render(
            f'<!DOCTYPE svg [<!ENTITY e SYSTEM "{path.as_uri()}">]>{SVG}'.format("&e;").encode(), 8
        )


def test_references_within_the_drawing_and_embedded_pictures_stay() -> None:
    import base64

    data = base64.b64encode(picture(size=(10, 20))).decode()
    image = f'<image href="data:image/png;base64,{data}" width="10" height="20"/>'
    assert drawn(SVG.format(image))[8, 4].tolist() == [200, 30, 40, 255]
    used = f'<defs><g id="a">{RECT}</g></defs><use href="#a"/>'
    assert drawn(SVG.format(used)).any()
    gradient = (
        '<linearGradient id="g"><stop stop-color="red"/></linearGradient>'
        '<rect width="10" height="20" fill="url(#g)"/>'
    )
    assert drawn(SVG.format(gradient))[8, 4].tolist() == [255, 0, 0, 255]


def test_a_drawing_that_is_nested_or_multiplied_beyond_reason_is_refused() -> None:
    uses = "".join(f'<g id="a{k + 1}"><use href="#a{k}"/></g>' for k in range(3000))
    laugh = "".join(f'<!ENTITY a{k + 1} "{f"&a{k};" * 10}">' for k in range(9))
    for hostile in (
        SVG.format("<g>" * 5000 + RECT + "</g>" * 5000),
        SVG.format(f'<g id="a0">{RECT}</g>{uses}'),
        f'<!DOCTYPE svg [<!ENTITY a0 "lol">{laugh}]>' + SVG.format("<text>&a9;</text>"),
    ):
        with pytest.raises(ValueError, match="SVG"):
            render(hostile.encode(), 16)
    with pytest.raises(ValueError, match="too large"):
        render(b" " * (MAX_BYTES + 1), 16)
    assert render(BAR, 16).startswith(b"\x89PNG")


def test_the_longer_side_has_the_wanted_pixels() -> None:
    assert drawn(SVG.format(RECT), 64).shape == (64, 32, 4)
    wide = SVG.replace("0 0 10 20", "0 0 100000 1").format('<rect width="100000" height="1"/>')
    assert drawn(wide, 64).shape == (1, 64, 4)


def test_sanitizing_leaves_a_plain_drawing() -> None:
    text = sanitize(
        b"<!DOCTYPE svg><?x y?><!-- c -->" + SVG.format('<a href="http://x">t</a>').encode()
    )
    assert "http://x" not in text
    assert "DOCTYPE" not in text
    assert ">t</a>" in text


@pytest.mark.slow
def test_a_child_that_hangs_or_dies_is_replaced(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "child.py"
    source = Path(module.__file__).read_text()
    program.write_text(source.replace("SECONDS = 10", "SECONDS = 1"))
    monkeypatch.setattr(module, "__file__", str(program))
    renderer = Renderer()
    filtered = '<filter id="f"><feTurbulence baseFrequency=".1" numOctaves="2000000000"/></filter>'
    endless = SVG.format(f'{filtered}<rect width="9" height="9" filter="url(#f)"/>').encode()
    with pytest.raises(ValueError, match="too long or too much memory"):
        renderer(endless, 16)
    assert renderer(BAR, 16).startswith(b"\x89PNG")
    renderer._child.kill()  # type: ignore[union-attr]
    renderer._child.wait()  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="too long or too much memory"):
        renderer(BAR, 16)
    assert renderer(BAR, 16).startswith(b"\x89PNG")
    renderer.close()


def test_nothing_is_unpickled_or_imported_from_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "resvg_py.py").write_text("raise SystemExit('imported')")
    monkeypatch.chdir(tmp_path)
    renderer = Renderer()
    assert renderer(BAR, 8).startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="no XML"):
        renderer(pickle.dumps(BAR), 8)
    renderer.close()
