"""The plane: neighbours stay neighbours, arrows point, and the page needs nothing else."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from tests.sample import originals
from undiffuse.cli.main import cli
from undiffuse.errors import UserError
from undiffuse.explore.map import centred, layout, neighbours, place_of


def clusters(count: int = 3, each: int = 30) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    middles = rng.standard_normal((count, 64))
    rows = np.repeat(middles, each, axis=0) + 0.3 * rng.standard_normal((count * each, 64))
    return centred(rows.astype(np.float32)), np.repeat(np.arange(count), each)


def test_what_is_alike_lies_together() -> None:
    unit, kind = clusters()
    places = layout(unit)
    assert np.array_equal(places, layout(unit))
    assert np.abs(places).max() == pytest.approx(1)
    far = np.linalg.norm(places[:, None] - places[None], axis=-1)
    np.fill_diagonal(far, np.inf)
    assert (kind[far.argmin(1)] == kind).mean() > 0.95


def test_neighbours_are_the_largest_products() -> None:
    unit, _ = clusters(each=500)
    found = neighbours(unit, unit, 4)
    wanted = np.argsort(-(unit @ unit.T), axis=1)[:, :4]
    assert np.array_equal(np.sort(found), np.sort(wanted))


def test_a_vector_lies_where_its_like_do() -> None:
    unit, kind = clusters()
    places = layout(unit)
    middle = unit[kind == 1].mean(0)
    inside = places[kind == 1]
    assert (inside.min(0) <= place_of(middle, unit, places)).all()
    assert (place_of(middle, unit, places) <= inside.max(0)).all()


def test_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "a <b> & c"
    folder.mkdir()
    for sample in originals()[:40]:
        Image.fromarray(sample.picture).save(folder / f"{sample.key}.png")
    (folder / "<").mkdir()
    (folder / "<" / "script><b>.png").write_bytes(
        (folder / f"{originals()[0].key}.png").read_bytes()
    )

    def run(*args: str) -> None:
        out = CliRunner().invoke(
            cli, ["map", *args, "-o", f"{tmp_path}/m.html"], catch_exceptions=False
        )
        assert out.exit_code == 0

    run(str(folder), "--arrow", "man wearing turban - man")
    page = (tmp_path / "m.html").read_text()
    assert not re.search(r"https?:|src=[^&]*//", page)
    assert page.count("</script>") == 2
    assert "<title>map of a &lt;b&gt; &amp; c</title>" in page
    data = json.loads(re.search(r'id="data">(.*?)</script>', page)[1])  # type: ignore[index]
    assert len(data["pictures"]) == 41
    assert "</script><b>.png" in [row[2] for row in data["pictures"]]
    assert data["arrows"][0][4] == "man wearing turban - man"
    with pytest.raises(UserError, match="is no sum"):
        run(str(folder), "--arrow", "man")
    with pytest.raises(UserError, match="there is no picture"):
        run(str(tmp_path / "cache"))
