"""Pictures and archives for the tests of data sources."""

import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, settings
from PIL import Image

from undiffuse.data.sources import Item, open_source

RED = (200, 30, 40)
quick = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 10 20">{}</svg>'
BAR = SVG.format('<rect width="10" height="20" fill="#c81e28"/>').encode()


def picture(kind: str = "PNG", color: Any = RED, size: tuple[int, int] = (8, 6)) -> bytes:
    """A picture's file of one color."""
    out = io.BytesIO()
    Image.new("RGB", size, color).save(out, kind)
    return out.getvalue()


def noise(seed: int, side: int = 8) -> bytes:
    """A PNG like no other seed's."""
    out = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def write(root: Path, files: dict[str, bytes | str]) -> Path:
    """Files below a folder, by their paths."""
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)
    return root


def tar(*members: tuple[str, bytes | str], how: str = "w", **options: Any) -> bytes:
    """An archive of (name, data)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=how, **options) as archive:
        for name, data in members:
            raw = data.encode() if isinstance(data, str) else data
            info = tarfile.TarInfo(name)
            info.size = len(raw)
            archive.addfile(info, io.BytesIO(raw))
    return out.getvalue()


def read(address: Any, **options: Any) -> dict[str, Item]:
    """The items by their keys, which must differ."""
    items = list(open_source(address, **{"max_bad_share": 1.0, **options}))
    assert len({item.key for item in items}) == len(items)
    return {item.key: item for item in items}


def read_with_bad(address: Any, **options: Any) -> tuple[dict[str, Item], list[tuple[str, str]]]:
    """The items by their keys, and what was left out."""
    source = open_source(address, **{"max_bad_share": 1.0, **options})
    items = {item.key: item for item in source}
    assert source.bad_count == len(source.bad) == source.seen - len(items)
    return items, source.bad
