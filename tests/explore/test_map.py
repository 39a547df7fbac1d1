"""The map: neighbors stay neighbors, arrows are projected, and the page loads no other file."""

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
from undiffuse.explore.map import center, layout, nearest_rows, project
from undiffuse.explore.space import caption_words

pytestmark = pytest.mark.slow


def clusters(count: int = 3, each: int = 30) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    middles = rng.standard_normal((count, 64))
    rows = np.repeat(middles, each, axis=0) + 0.3 * rng.standard_normal((count * each, 64))
    return center(rows.astype(np.float32)), np.repeat(np.arange(count), each)


def test_similar_vectors_lie_together() -> None:
    unit, kind = clusters()
    places = layout(unit)
    assert np.array_equal(places, layout(unit))
    assert np.abs(places).max() == pytest.approx(1)
    far = np.linalg.norm(places[:, None] - places[None], axis=-1)
    np.fill_diagonal(far, np.inf)
    assert (kind[far.argmin(1)] == kind).mean() > 0.95


def test_nearest_rows_have_the_largest_cosines() -> None:
    unit, _ = clusters(each=500)
    found = nearest_rows(unit, unit, 4)
    wanted = np.argsort(-(unit @ unit.T), axis=1)[:, :4]
    assert np.array_equal(np.sort(found), np.sort(wanted))


def test_a_vector_is_projected_to_its_neighbors() -> None:
    unit, kind = clusters()
    places = layout(unit)
    middle = unit[kind == 1].mean(0)
    inside = places[kind == 1]
    assert (inside.min(0) <= project(middle, unit, places)).all()
    assert (project(middle, unit, places) <= inside.max(0)).all()


def test_a_page_holds_its_data_escaped_and_loads_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("undiffuse.explore.space.caption_words", lambda: caption_words()[::20])
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
    assert "{{" not in page
    data = json.loads(re.search(r'id="data">(.*?)</script>', page)[1])  # type: ignore[index]
    assert len(data["pictures"]) == 41
    assert "</script><b>.png" in [row[2] for row in data["pictures"]]
    assert data["arrows"][0][4] == "man wearing turban - man"
    with pytest.raises(UserError, match="is no sum"):
        run(str(folder), "--arrow", "man")
    with pytest.raises(UserError, match="has no images"):
        run(str(tmp_path / "cache"))
