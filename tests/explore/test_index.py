"""A folder's index: kept, brought up to date, and never trusted."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.sample import originals
from undiffuse.errors import UserError
from undiffuse.explore.index import INDEX_FILE, ImageIndex, update_index
from undiffuse.imaging.read import read_image
from undiffuse.pipeline import SHIPPED_WEIGHTS
from undiffuse.runtime.networks import ClipEncoder


@pytest.fixture(scope="module")
def encoder() -> ClipEncoder:
    return ClipEncoder(SHIPPED_WEIGHTS, threads=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for sample in originals()[:12]:
        Image.fromarray(sample.picture).save(tmp_path / f"{sample.key}.png")
    return tmp_path


def state(index: ImageIndex) -> dict[str, bytes]:
    return {p: v.tobytes() for p, v in zip(index.paths, index.vectors, strict=True)}


def test_only_new_and_changed_files_are_read(folder: Path, encoder: ClipEncoder) -> None:
    index, done = update_index(folder, encoder)
    assert (done.new, done.changed, done.removed, done.unreadable) == (12, 0, 0, {})
    assert np.linalg.norm(index.vectors, axis=1) == pytest.approx(np.ones(12), abs=1e-5)
    written = (folder / INDEX_FILE).stat().st_mtime_ns
    again, done = update_index(folder, encoder)
    assert (done.new, done.changed, done.removed) == (0, 0, 0)
    assert state(again) == state(index)
    assert (folder / INDEX_FILE).stat().st_mtime_ns == written
    names = sorted(index.paths)
    (folder / names[0]).unlink()
    Image.open(folder / names[2]).save(folder / "new.png")
    os.replace(folder / names[2], folder / names[1])
    after, done = update_index(folder, encoder)
    assert (done.new, done.changed, done.removed) == (1, 1, 2)
    fresh, _ = update_index(folder, encoder, folder / "other.safetensors")
    assert state(after) == state(fresh)


def test_unreadable_files_are_listed_and_read_again_when_they_change(
    folder: Path, encoder: ClipEncoder
) -> None:
    (folder / "bad.png").write_text("no picture")
    for new in (1, 0):
        index, done = update_index(folder, encoder)
        assert list(done.unreadable) == ["bad.png"]
        assert "bad.png" not in index.paths
        assert done.new == 12 * new + new
    Image.new("RGB", (9, 9), "red").save(folder / "bad.png")
    index, done = update_index(folder, encoder)
    assert (done.new, done.changed, done.unreadable) == (0, 1, {})
    assert "bad.png" in index.paths


def test_an_update_that_was_killed_continues(
    folder: Path, encoder: ClipEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("undiffuse.explore.index.BATCH", 4)
    monkeypatch.setattr("undiffuse.explore.index.SAVE_EVERY", 1)

    def killed(batches: Iterable[Any], size: int) -> Iterable[Any]:
        for number, batch in enumerate(batches):
            if number == 2:
                raise KeyboardInterrupt
            yield batch

    with pytest.raises(KeyboardInterrupt):
        update_index(folder, encoder, progress=killed)
    index, done = update_index(folder, encoder)
    assert done.new == 4
    whole, _ = update_index(folder, encoder, folder / "other.safetensors")
    assert state(index) == state(whole)


def test_search_returns_the_largest_cosines_first(folder: Path, encoder: ClipEncoder) -> None:
    index, _ = update_index(folder, encoder)
    for row, path in enumerate(index.paths):
        assert index.search(index.vectors[row], 1)[0].path == path
    hits = index.search(index.vectors[0], 100)
    assert len(hits) == 12
    assert [h.cosine for h in hits] == sorted((h.cosine for h in hits), reverse=True)


def test_the_index_of_another_clip_is_replaced(folder: Path, encoder: ClipEncoder) -> None:
    index, _ = update_index(folder, encoder)
    index.clip = "0" * 16
    index.save(folder / INDEX_FILE)
    _, done = update_index(folder, encoder)
    assert done.new == 12


def test_a_broken_index_is_refused(folder: Path, encoder: ClipEncoder) -> None:
    index, _ = update_index(folder, encoder)
    whole = (folder / INDEX_FILE).read_bytes()
    for broken in (
        b"",
        b"x" * 100,
        whole[:-9],
        whole.replace(b"undiffuse-index", b"undiffuse-other"),
    ):
        (folder / INDEX_FILE).write_bytes(broken)
        with pytest.raises(UserError, match="is no image index, or is broken: delete it"):
            update_index(folder, encoder)
    index.vectors = index.vectors[:3]
    index.save(folder / INDEX_FILE)
    with pytest.raises(UserError, match="is no image index"):
        ImageIndex.read(folder / INDEX_FILE)


class Narrow:
    """A CLIP of another width than ours."""

    hash, dim = "narrow", 5

    def encode_text(self, texts: Sequence[str]) -> np.ndarray:
        return np.eye(len(texts), 5, dtype=np.float32)

    def encode_image(self, pictures: np.ndarray) -> np.ndarray:
        return np.tile(np.eye(1, 5, dtype=np.float32), (len(pictures), 1))

    def read(self, path: Path) -> np.ndarray:
        return np.zeros((3, 8, 8), np.float32) + read_image(path).mean()


def test_an_index_has_the_width_of_its_clip(folder: Path, encoder: ClipEncoder) -> None:
    for _ in range(2):
        index, done = update_index(folder, Narrow())
        assert index.vectors.shape == (12, 5)
        assert ImageIndex.read(folder / INDEX_FILE).vectors.shape == (12, 5)
    assert done.new == 0
    index, done = update_index(folder, encoder)
    assert (done.new, index.vectors.shape) == (12, (12, 512))
    index.clip = "narrow"  # the hash of one, the vectors of another
    index.save(folder / INDEX_FILE)
    assert update_index(folder, Narrow())[1].new == 12
