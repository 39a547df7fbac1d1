"""Pictures that are the same, or nearly: hashes of pixels, and a search among them."""

from collections.abc import Iterator
from hashlib import blake2b
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from undiffuse.data.sources.fit import flatten

HASH_BITS = 2  # of 64 that may differ between near duplicates
COLOR = 12  # of 255: the difference in color that they may have, in any of 4x4 parts
_GRAY = (128, 128, 128)
_BANDS = ((0, 22), (22, 21), (43, 21))  # of two different bits, one band of three holds neither
_BLOCK = 1024  # rows of a comparison at a time

Pixels = NDArray[np.uint8]
Pairs = Iterator[tuple[int, int]]


def pixel_hash(image: Pixels) -> bytes:
    """8 bytes that two pictures share only if every visible pixel is the same."""
    visible = np.where(image[..., 3:] > 0, image, 0)
    return blake2b(visible.tobytes() + str(image.shape).encode(), digest_size=8).digest()


def difference_hash(image: Pixels) -> tuple[int, Pixels]:
    """dHash, 64 bits: whether each of 8x8 places over gray is darker than its right neighbor. And
    4x4 mean colors, (48,), because the hash sees none."""
    flat = Image.fromarray(flatten(image, _GRAY)[..., :3])
    box = Image.Resampling.BOX
    gray = np.asarray(flat.convert("L").resize((9, 8), box), np.int16)
    bits = np.packbits((gray[:, 1:] > gray[:, :-1] + 1).ravel())
    return int.from_bytes(bits.tobytes(), "big"), np.asarray(flat.resize((4, 4), box)).ravel()


def near_pairs(hashes: NDArray[np.uint64], colors: Pixels) -> list[tuple[int, int]]:
    """Rows (i, j) of near duplicates. `colors`: (N, 48), see `difference_hash`.

    Enough pairs that near duplicates hang together, not each pair of a large group.
    """
    order = np.lexsort((*colors.T[::16], hashes))
    same = [(a, b) for a, b in pairwise(order) if hashes[a] == hashes[b]]
    distinct, rows = np.unique(hashes, return_index=True)
    near = ((rows[a], rows[b]) for a, b in _close(distinct))
    pairs = {(int(min(pair)), int(max(pair))) for found in (same, near) for pair in found}
    distances = {pair: _color_distance(colors, *pair) for pair in pairs}
    return sorted(pair for pair, distance in distances.items() if distance <= COLOR)


def _color_distance(colors: Pixels, one: int, other: int) -> int:
    return int(np.abs(colors[one].astype(np.int16) - colors[other]).max())


def _close(hashes: NDArray[np.uint64]) -> Pairs:
    """Pairs of different hashes with at most `HASH_BITS` different bits, some more than once."""
    for shift, width in _BANDS:
        band = hashes >> np.uint64(shift) & np.uint64((1 << width) - 1)
        order = np.argsort(band, kind="stable")
        starts = np.flatnonzero(np.diff(band[order], prepend=band[order[:1]] + np.uint64(1)))
        for group in np.split(order, starts[1:]):
            if len(group) > 1:
                yield from _compare(hashes, group)


def _compare(hashes: NDArray[np.uint64], group: NDArray[np.int64]) -> Pairs:
    for start in range(0, len(group), _BLOCK):
        rows = group[start : start + _BLOCK]
        rest = group[start:]
        bits = np.bitwise_count(hashes[rows][:, None] ^ hashes[rest][None])
        for a, b in np.argwhere(bits <= HASH_BITS):
            if a < b:
                yield int(rows[a]), int(rest[b])


def groups_of(pairs: list[tuple[int, int]]) -> list[list[int]]:
    """The rows that hang together by pairs, each group in order, by its first row."""
    parent: dict[int, int] = {}

    def root(row: int) -> int:
        while parent.setdefault(row, row) != row:
            parent[row] = row = parent[parent[row]]
        return row

    for one, other in pairs:
        first, last = sorted((root(one), root(other)))
        parent[last] = first
    groups: dict[int, list[int]] = {}
    for row in sorted(parent):
        groups.setdefault(root(row), []).append(row)
    return list(groups.values())
