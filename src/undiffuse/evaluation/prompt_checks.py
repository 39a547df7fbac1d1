"""Checks of a picture by program: how many things it shows, in which color, and crops of them.

The background is white, or transparent. Things are found as groups of connected pixels.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from undiffuse.data.colors import NAMES, classify_pixels
from undiffuse.data.shapes import connected_components

INK = 26  # of 255: a pixel that is nearer to white is background
MIN_AREA = 0.004  # of the picture: what is smaller is a speck
EDGE = 3  # columns at each end of a row
MAX_WHITE_EDGE = 0.5  # of their pixels
WINDOWS = (0.5, 0.7)  # of the side
GROUND_TOLERANCE = 32  # of 255, in each channel
MAX_COUNT = 9
MIN_COLOR_SHARE = 0.35  # of a thing's pixels
LIKE = {"orange": {"brown"}, "brown": {"orange"}, "pink": {"red", "purple"}, "purple": {"pink"}}
LIKE_WEIGHT = 0.3  # of a pixel in a color that shading turns the requested one into
SIDES = {"left of": (2, -1), "right of": (2, 1), "above": (1, -1), "on top of": (1, -1),
         "below": (1, 1), "under": (1, 1)}  # relation -> axis of (3, H, W), sign  # fmt: skip
Picture = NDArray[np.uint8]  # (3, H, W), RGB on white
Mask = NDArray[np.bool_]  # (H, W)
Box = tuple[int, int, int, int]  # top, left, bottom, right


def ink(picture: Picture) -> Mask:
    """Where the picture is not background."""
    return picture.min(0) < 255 - INK


def boxes(mask: Mask) -> list[Box]:
    """The bounding boxes of the connected regions of a mask, without specks."""
    labels = connected_components(mask.astype(np.int64))
    found = []
    for label in np.unique(labels[mask]):
        rows, columns = np.nonzero(labels == label)
        if len(rows) >= MIN_AREA * mask.size / 4:
            found.append((rows.min(), columns.min(), rows.max() + 1, columns.max() + 1))
    return [(int(a), int(b), int(c), int(d)) for a, b, c, d in found]


def merge(regions: list[Box], gap: int) -> list[Box]:
    """Boxes at most `gap` pixels apart become one, until none are."""
    merged: list[Box] = []
    for region in regions:
        box = region
        while near := next((other for other in merged if _distance(box, other) <= gap), None):
            merged.remove(near)
            box = (min(box[0], near[0]), min(box[1], near[1]),
                   max(box[2], near[2]), max(box[3], near[3]))  # fmt: skip
        merged.append(box)
    return merged


def _distance(one: Box, other: Box) -> int:
    """Pixels between two boxes; below 1 if they touch or overlap."""
    return max(max(one[k], other[k]) - min(one[k + 2], other[k + 2]) for k in (0, 1))


def things(picture: Picture) -> list[Box]:
    """The boxes of the things that a picture shows several of, or of its only thing.

    A thing may have parts that do not touch. Of all distances at which parts are merged, the one
    is right that gives the things most alike in size.
    """
    side = picture.shape[-1]
    regions, best, best_spread = boxes(ink(picture)), list[Box](), np.inf
    for gap in range(max(2, side // 8)):
        merged = merge(regions, gap)
        sizes = np.array([(c - a, d - b) for a, b, c, d in merged], np.float64)
        large = [box for box, size in zip(merged, sizes, strict=True)
                 if size.prod() >= MIN_AREA * picture[0].size]  # fmt: skip
        if not 2 <= len(large) <= MAX_COUNT:
            best = best or large
            continue
        kept = np.array([(c - a, d - b) for a, b, c, d in large], np.float64)
        spread = float((kept.std(0) / kept.mean(0)).mean())
        if spread < best_spread - 0.02:
            best, best_spread = large, spread
    return best


def count(picture: Picture) -> int:
    """How many things of one kind the picture shows."""
    return len(things(picture))


def color_share(picture: Picture, color: str, mask: Mask | None = None) -> float:
    """The share of a thing's pixels that are of a color. Black outlines do not count, and white
    only if white is requested; for white the whole of the thing's box counts.
    """
    mask = ink(picture) if mask is None else mask
    if color == "white":
        mask = _filled(mask)
    if not mask.any():
        return 0.0
    counts = np.bincount(
        classify_pixels(np.ascontiguousarray(picture.transpose(1, 2, 0)))[mask],
        minlength=len(NAMES),
    ).astype(np.float64)
    for neutral in {"black", "white", "grey"} - {color}:
        counts[NAMES.index(neutral)] *= 0.5
    like = LIKE.get(color, set())
    right = counts[NAMES.index(color)] + LIKE_WEIGHT * sum(counts[NAMES.index(k)] for k in like)
    return float(right / max(counts.sum(), 1.0))


def has_color(picture: Picture, color: str) -> bool:
    """Whether the color is common in the thing, and no other one is more so."""
    mask = _filled(ink(picture)) if color == "white" else ink(picture)
    mine = color_share(picture, color, mask)
    others = (color_share(picture, other, mask) for other in NAMES if other not in (color, "white"))
    return mine >= MIN_COLOR_SHARE and mine >= max(others)


def _filled(mask: Mask) -> Mask:
    """The mask with all that the background does not reach from the border."""
    outside = np.pad(~mask, 1, constant_values=True)
    labels = connected_components(outside.astype(np.int64))
    return (labels != labels[0, 0])[1:-1, 1:-1]


def place(picture: Picture, color: str, axis: int) -> float | None:
    """The mean position of a color's pixels along an axis, or None if there are few of them."""
    hit = classify_pixels(np.ascontiguousarray(picture.transpose(1, 2, 0))) == NAMES.index(color)
    hit &= ink(picture) if color != "white" else _filled(ink(picture))
    if hit.sum() < MIN_AREA * hit.size:
        return None
    return float(np.nonzero(hit)[axis - 1].mean())


def crop(picture: Picture, box: Box) -> Picture:
    """A part of the picture, on a white square of the picture's size with a small margin."""
    top, left, bottom, right = box
    pixels = picture[:, top:bottom, left:right].transpose(1, 2, 0)
    part = Image.fromarray(np.ascontiguousarray(pixels))
    side = picture.shape[-1]
    scale = 0.92 * side / max(part.size)
    size = (max(1, round(part.width * scale)), max(1, round(part.height * scale)))
    square = Image.new("RGB", (side, side), (255, 255, 255))
    resized = part.resize(size, Image.Resampling.BICUBIC)
    square.paste(resized, ((side - size[0]) // 2, (side - size[1]) // 2))
    return np.ascontiguousarray(np.asarray(square).transpose(2, 0, 1))


def halves(picture: Picture, axis: int) -> tuple[Picture, Picture]:
    """The left and right (axis 2) or upper and lower (axis 1) halves, each cropped to its ink."""
    half = picture.shape[axis] // 2
    blank = np.full_like(picture, 255)
    parts = []
    for keep in (slice(None, half), slice(half, None)):
        part, where = blank.copy(), (slice(None),) * axis + (keep,)
        part[where] = picture[where]
        parts.append(_tight(part))
    return parts[0], parts[1]


def windows(picture: Picture) -> Iterator[Picture]:
    """Crops at the corners, edges and center, cropped to their ink: of things that overlap, one is
    in the middle of a window and little of the other is in it.
    """
    side = picture.shape[-1]
    for share in WINDOWS:
        size = round(share * side)
        for top in (0, (side - size) // 2, side - size):
            for left in (0, (side - size) // 2, side - size):
                part = np.full_like(picture, 255)
                where = (slice(None), slice(top, top + size), slice(left, left + size))
                part[where] = picture[where]
                yield _tight(part)


def _tight(picture: Picture) -> Picture:
    rows, columns = np.nonzero(ink(picture))
    if not len(rows):
        return picture
    return crop(picture, (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1))


def has_ground(picture: Picture) -> bool:
    """Whether most of the picture's left and right border is not white."""
    ends = np.concatenate([picture[..., :EDGE], picture[..., -EDGE:]], axis=2)
    return bool((ends.min(0) >= 255 - INK).mean() <= MAX_WHITE_EDGE)


def without_ground(picture: Picture) -> Picture:
    """The picture with white where it is colored as at the left or right end of the same row. Snow,
    a night sky or a meadow go; what stands before them stays.
    """
    near = np.zeros(picture.shape[1:], bool)
    for part in (picture[..., :EDGE], picture[..., -EDGE:]):
        color = np.median(part, axis=2, keepdims=True)
        near |= np.abs(picture - color).max(0) <= GROUND_TOLERANCE
    return np.where(near, np.uint8(255), picture)


def views(picture: Picture, overlapping: bool = False) -> Iterator[Picture]:
    """The picture and crops of it in which a thing fills more of the square: its parts, and halves;
    and windows, if things may overlap.
    """
    yield picture
    picture = without_ground(picture) if has_ground(picture) else picture
    parts = merge(boxes(ink(picture)), 1)
    largest = sorted(parts, key=lambda b: (b[2] - b[0]) * (b[3] - b[1]))[-4:]
    yield from (crop(picture, box) for box in largest)
    for axis in (1, 2):
        yield from halves(picture, axis)
    if overlapping:
        yield from windows(picture)
