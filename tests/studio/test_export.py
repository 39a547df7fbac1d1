"""`undiffuse studio --export`: what it writes, and what it refuses."""

import re
import shutil
from pathlib import Path

import pytest

from tests.conftest import Run
from undiffuse.data import npm
from undiffuse.runtime.session import graph_file
from undiffuse.studio import export


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*")) if path.is_file()
    }  # fmt: skip


@pytest.fixture(autouse=True)
def few_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("undiffuse.explore.space.caption_words", lambda: ["cat", "dog"])


@pytest.fixture
def cache(packages: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A cache of the user's own, with the package."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    (folder / "undiffuse" / "packages").mkdir(parents=True)
    shutil.copy(packages / export.ONNXRUNTIME.tarball, folder / "undiffuse" / "packages")
    return folder


def test_a_site_is_written_whole_and_replaced_with_overwrite(
    run: Run, cache: Path, tmp_path: Path
) -> None:
    status, out, err = run("studio", "--export", "new/site")
    assert (status, err) == (0, "")
    assert re.fullmatch(r"new/site: \d+\.\d MB", out[0])
    first = files(tmp_path / "new" / "site")
    assert {
        "index.html",
        "model/site.json",
        "model/denoiser.onnx",
        "model/words.safetensors",
        "onnxruntime/ort-wasm-simd-threaded.wasm",
        "source-local/source.js",
    } <= first.keys()
    assert not {"main.js", "source-http.js", "api.html"} & first.keys()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["site"]
    (tmp_path / "new" / "site" / "stray.txt").touch()
    status, _, err = run("studio", "--export", "new/site")
    assert (status, err.count("\n")) == (2, 1)
    assert "has a site already: give another folder, or --overwrite" in err
    assert run("studio", "--export", "new/site", "--overwrite")[0] == 0
    assert files(tmp_path / "new" / "site") == first


def test_the_page_has_a_policy_and_loads_only_its_own_files(
    run: Run, cache: Path, tmp_path: Path
) -> None:
    assert run("studio", "--export", "site")[0] == 0
    page = (tmp_path / "site" / "index.html").read_text("utf-8")
    policy = re.search(r'http-equiv="Content-Security-Policy"\s+content="([^"]+)"', page)
    assert policy
    assert "script-src 'self' 'wasm-unsafe-eval'" in policy[1]
    assert "unsafe-inline" not in policy[1]
    assert "default-src 'none'" in policy[1]
    for link in re.findall(r'(?:src|href)="([^"#]+)"', page):
        assert (tmp_path / "site" / link).is_file() or link == "/api"  # hidden


def test_a_folder_with_other_files_is_refused_even_with_overwrite(
    run: Run, cache: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("keep")
    for more in ([], ["--overwrite"]):
        status, _, err = run("studio", "--export", "mine", *more)
        assert (status, err.count("\n")) == (2, 1)
        assert "mine has other files than a site" in err
    assert files(tmp_path / "mine") == {"letter.txt": b"keep"}


def test_npm_that_is_missing_is_named(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(npm.shutil, "which", lambda name: None)
    status, _, err = run("studio", "--export", "site")
    assert (status, err.count("\n")) == (2, 1)
    assert "npm is not installed" in err
    assert "--packages" in err
    assert not (tmp_path / "site").exists()


def test_a_package_that_is_not_the_pinned_file_is_refused(
    run: Run,
    tmp_path: Path,
    packages: Path,
) -> None:
    data = (packages / export.ONNXRUNTIME.tarball).read_bytes()
    (tmp_path / "npm").mkdir()
    (tmp_path / "npm" / export.ONNXRUNTIME.tarball).write_bytes(data[:-1] + b"x")
    status, _, err = run("studio", "--export", "site", "--packages", "npm")
    assert (status, err.count("\n")) == (2, 1)
    assert "is not the file that npm lists: delete it and run again" in err
    assert not (tmp_path / "site").exists()


def test_graphs_that_do_not_name_their_weights_are_refused(
    run: Run, model_folder: Path, tmp_path: Path
) -> None:
    onnx = pytest.importorskip("onnx")
    model = tmp_path / "model"
    shutil.copytree(model_folder, model)
    graph = onnx.load(graph_file(model, "denoiser"), load_external_data=False)
    for tensor in graph.graph.initializer:
        for entry in tensor.external_data:
            entry.value = "weights-are-handed-over"  # as version 0.1.0 wrote it
    graph_file(model, "denoiser").write_bytes(graph.SerializeToString())
    assert run("draw", "cat", "--steps", "1", model=model)[0] == 0
    status, _, err = run("studio", "--export", "site", model=model)
    assert (status, err.count("\n")) == (2, 1)
    assert "export it again with `undiffuse train export-onnx`" in err
