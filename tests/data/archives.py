"""Tar archives for the tests of shards, valid and invalid."""

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from undiffuse.data.shards import Sample, read_shards

LINK = tarfile.SYMTYPE
quick = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
records = st.dictionaries(
    st.text(max_size=8),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
        max_leaves=6,
    ),
    max_size=4,
)  # fmt: skip
pictures = hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(4)))


def some(count: int) -> Iterator[Sample]:
    for k in range(count):
        yield Sample(f"k{k:03d}", np.full((3, 2, 4), k, np.uint8), {"caption": f"number {k}"})


def encoded(picture: np.ndarray | None = None, kind: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.zeros((2, 2, 3), np.uint8) if picture is None else picture).save(out, kind)
    return out.getvalue()


def archive(path: Path, *members: tuple[str, bytes] | tuple[str, bytes, bytes], **how: Any) -> Path:
    """A tar of (name, data) or (name, link target, type), followed by twenty good samples."""
    with tarfile.open(path, "w", **how) as tar:
        for name, data, *kind in members:
            info = tarfile.TarInfo(name)
            if kind:
                info.type, info.linkname = kind[0], data.decode()
                tar.addfile(info)
            else:
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        for k in range(20):
            for ending, data in (("png", encoded()), ("json", b"{}")):
                info = tarfile.TarInfo(f"good{k:02d}.{ending}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return path


def read(*paths: Path, share: float = 1.0) -> tuple[list[Sample], list[tuple[str, str]]]:
    bad: list[tuple[str, str]] = []
    samples = read_shards(paths, on_bad=lambda *report: bad.append(report), max_bad_share=share)
    return list(samples), bad


def same(a: Sample, b: Sample) -> bool:
    return a.key == b.key and a.record == b.record and np.array_equal(a.picture, b.picture)
