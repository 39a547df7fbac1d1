"""The shapes set: drawn by a program, so that what a caption asks for can be checked exactly.

The checker knows nothing of how a picture came about: it finds the things in the pixels alone.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from itertools import permutations, product

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from undiffuse.data.shards import Sample

SIDE = 64  # pixels
# No two on one line through white, or the soft edge of one thing has the colour of another.
COLOURS = {
    "red": (215, 30, 40),
    "orange": (250, 135, 15),
    "yellow": (250, 220, 40),
    "green": (35, 150, 60),
    "cyan": (50, 200, 220),
    "blue": (40, 75, 215),
    "purple": (135, 50, 170),
    "black": (25, 25, 25),
}
SHAPES = ("circle", "square", "triangle", "diamond", "star", "heart", "cross", "ring")
SIZES = {"small": 7.5, "large": 12.0}  # half the longer side of the box around a thing, pixels
RELATIONS = {"left of": (1, 0), "right of": (-1, 0), "above": (0, 1), "below": (0, -1)}  # a to b
_EDGE = 0.3  # share of a colour from which on a pixel belongs to a thing
_NAMES = COLOURS | {"pink": (255, 165, 185), "brown": (125, 75, 40), "grey": (140, 140, 140)}
# sRGB light to cone responses to Oklab, bottosson.github.io/posts/oklab
_CONES = np.array([[0.4122, 0.5363, 0.0514], [0.2119, 0.6807, 0.1074], [0.0883, 0.2817, 0.6300]])
_OKLAB = np.array([[0.2105, 0.7936, -0.0041], [1.9780, -2.4286, 0.4506], [0.0259, 0.7828, -0.8087]])


@dataclass(frozen=True)
class Thing:
    """One thing around (x, y), pixels from the top left; as seen, its shape may be "unknown"."""

    colour: str
    shape: str
    size: str
    x: float
    y: float


@dataclass(frozen=True)
class Scene:
    """Up to four things alike in all but place or, with a relation, two that differ."""

    things: tuple[Thing, ...]
    relation: str | None = None

    def __post_init__(self) -> None:
        kinds = len({(thing.colour, thing.shape, thing.size) for thing in self.things})
        alike = kinds == 1 and len(self.things) <= 4 and self.relation is None
        if not alike and not (kinds == len(self.things) == 2 and self.relation in RELATIONS):
            raise ValueError(f"{kinds} kinds of {len(self.things)} things, {self.relation}")


@dataclass(frozen=True)
class CheckResult:
    """Of each property that a scene asks for, whether it is there; and all that was seen."""

    verdicts: dict[str, bool]
    seen: tuple[Thing, ...]

    @property
    def passed(self) -> bool:
        return all(self.verdicts.values())


@cache
def _outlines() -> dict[str, np.ndarray]:
    """(N, 2) corners of each shape, x right, y down; the box around is centred and 2 at most."""
    a = np.linspace(0, 2 * np.pi, 121)[:, None]
    rim = np.concatenate([np.sin(a), -np.cos(a)], 1)
    dip = -13 * np.cos(a) + 5 * np.cos(2 * a) + 2 * np.cos(3 * a) + np.cos(4 * a)
    arm = np.array([(-0.36, -1), (0.36, -1), (0.36, -0.36)])
    corners = {
        "circle": rim,
        "square": rim[15:-1:30],
        "triangle": rim[:-1:40],
        "diamond": rim[:-1:30],
        "star": rim[:-1:12] * np.resize((1, 0.42), (10, 1)),
        "heart": np.concatenate([16 * np.sin(a) ** 3, dip], 1),
        "cross": np.concatenate([arm @ [(-y, x), (-x, -y)] for x, y in rim[:-1:30]]),
        "ring": np.concatenate([rim, 0.52 * rim[::-1]]),
    }
    return {k: (2 * c - c.max(0) - c.min(0)) / np.ptp(c, axis=0).max() for k, c in corners.items()}


def draw_scene(scene: Scene) -> np.ndarray:
    """(64, 64, 4) uint8 RGBA, opaque: the things on a white ground, with soft edges."""
    fine = 8
    canvas = Image.new("RGB", (SIDE * fine, SIDE * fine), "white")
    for thing in scene.things:
        corners = _outlines()[thing.shape] * SIZES[thing.size] + (thing.x, thing.y)
        points = corners * fine - 0.5  # Pillow counts from the middle of the first pixel
        ImageDraw.Draw(canvas).polygon(points.ravel().tolist(), COLOURS[thing.colour])
    return np.array(canvas.reduce(fine).convert("RGBA"))


def caption(scene: Scene) -> str:
    """Such as "three small red stars", or "a large blue ring left of a small red circle"."""
    names = [f"{thing.size} {thing.colour} {thing.shape}" for thing in scene.things]
    if scene.relation is not None:
        return f"a {names[0]} {scene.relation} a {names[1]}"
    ending = "" if len(names) == 1 else "es" if names[0].endswith("s") else "s"
    return f"{('a', 'two', 'three', 'four')[len(names) - 1]} {names[0]}{ending}"


def _uniform(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """In [0, 1), from raw bits: NumPy fixes no other stream of a generator across its versions."""
    bits = rng.bit_generator.random_raw(int(np.prod(shape)))
    return (bits >> np.uint64(11)).reshape(shape) * 2.0**-53


def _holds(relation: str, a: np.ndarray, b: np.ndarray, margin: float = 1.0) -> np.ndarray:
    """Whether "a RELATION b" is true of points (..., 2): `margin` times as far along as across."""
    along = (b - a) @ np.array(RELATIONS[relation])
    return along > margin * (np.abs(b - a).sum(-1) - np.abs(along))


def _places(rng: np.random.Generator, radii: np.ndarray, relation: str | None) -> np.ndarray:
    """(N, 2) centres, 4 pixels between any two boxes so that blur keeps them apart."""
    low = radii[:, None] + 1
    apart = (radii[:, None] + radii + 4) * (1 - np.eye(len(radii)))
    while True:
        tries = low + _uniform(rng, 256, len(radii), 2) * (SIDE - 2 * low)  # (T, N, 2)
        fits = (np.abs(tries[:, :, None] - tries[:, None]).max(-1) >= apart).all((1, 2))
        if relation is not None:
            fits &= _holds(relation, tries[:, 0], tries[:, 1], margin=2.0)
        if fits.any():
            return tries[fits.argmax()].round(2)


def random_scene(rng: np.random.Generator) -> Scene:
    """One to four like things or, half of the time, two that differ in colour, shape or both."""
    looks = list(product(COLOURS, SHAPES, SIZES))
    first, second, number, side = _uniform(rng, 4)
    kinds, relation = [looks[int(first * len(looks))]] * (1 + int(number * 8) % 4), None
    if number >= 0.5:
        others = [look for look in looks if look[:2] != kinds[0][:2]]  # size alone is a weak sign
        kinds, relation = [kinds[0], others[int(second * len(others))]], [*RELATIONS][int(side * 4)]
    places = _places(rng, np.array([SIZES[size] for *_, size in kinds]), relation).tolist()
    return Scene(tuple(Thing(*k, *at) for k, at in zip(kinds, places, strict=True)), relation)


def scene_at(index: int, seed: int) -> Scene:
    """The scene of that index in the set of that seed, both in [0, 2**64)."""
    return random_scene(np.random.Generator(np.random.Philox(key=seed << 64 | index)))


def shapes_samples(count: int, seed: int) -> Iterator[Sample]:
    """The first `count` samples of the set of that seed; each a function of (seed, index) alone."""
    for index in range(count):
        scene = scene_at(index, seed)
        record = {"caption": caption(scene), "scene": asdict(scene)}
        yield Sample(f"shapes-{seed}-{index:07d}", draw_scene(scene), record)


def look(picture: np.ndarray) -> tuple[Thing, ...]:
    """The things in a picture (H, W, 3) uint8, largest first, as if it were 64 pixels a side."""
    image = Image.fromarray(picture).convert("RGB").resize((SIDE, SIDE))
    ink = 255.0 - np.array(image)  # (H, W, 3); a soft edge on white has less, in one direction
    calm = 255.0 - np.array(image.filter(ImageFilter.BoxBlur(1)))
    axes = 255.0 - np.array([*COLOURS.values()])  # (K, 3)
    nearest = (calm @ axes.T / np.linalg.norm(axes, axis=1)).argmax(-1)  # (H, W)
    cover = (ink * axes[nearest]).sum(-1) / (axes[nearest] ** 2).sum(-1)
    classes = np.where(cover > _EDGE, 1 + nearest, 0).astype(np.uint8)
    labels, drawn = _components(classes), Image.fromarray(classes)
    low, high = drawn.filter(ImageFilter.MinFilter(3)), drawn.filter(ImageFilter.MaxFilter(3))
    # pixels off the rim: a speck, or the seam of two things that touch, has next to none
    bulk = np.bincount(labels[np.array(low) == np.array(high)])
    return tuple(_describe(ink, labels == k) for k in np.argsort(-bulk) if k and bulk[k] >= 9)


def _components(classes: np.ndarray) -> np.ndarray:
    """(H, W): a number for each region of one class, 0 for class 0; corners do not connect."""
    classes = np.pad(classes, 1)
    labels = np.where(classes, np.arange(classes.size).reshape(classes.shape), 0)
    while True:
        before = labels
        for step, axis in product((1, -1), (0, 1)):
            same = np.roll(classes, step, axis) == classes
            labels = np.where(same, np.minimum(labels, np.roll(labels, step, axis)), labels)
        labels = labels.ravel()[labels]  # a label is the place of a pixel of the region: follow it
        if (labels == before).all():
            return labels[1:-1, 1:-1]


def _describe(ink: np.ndarray, mask: np.ndarray) -> Thing:
    depth = np.linalg.norm(ink[mask], axis=1)
    core = np.median(ink[mask][depth >= np.quantile(depth, 0.7)], axis=0)
    cover = np.where(mask, np.clip(ink @ core / (core @ core), 0, 1), 0)
    patch, x, y = _patch(cover)
    fit = [np.minimum(patch, t).sum() / np.maximum(patch, t).sum() for t in _templates()]
    shape = SHAPES[int(np.argmax(fit)) // 4] if max(fit) >= 0.75 else "unknown"
    reach = max((cover > 0.5).any(axis).sum() / 2 for axis in (0, 1))
    size = min(SIZES, key=lambda name: abs(np.log(reach / SIZES[name])))
    lab = np.cbrt((np.array([255 - core, *_NAMES.values()]) / 255) ** 2.2 @ _CONES.T) @ _OKLAB.T
    # hue says more than lightness: dark red is red
    colour = [*_NAMES][np.linalg.norm((lab[1:] - lab[0]) * (0.4, 1, 1), axis=1).argmin()]
    return Thing(colour, shape, size, x, y)


def _patch(cover: np.ndarray) -> tuple[np.ndarray, float, float]:
    """(24, 24), brought to one place and one area so that shapes compare; and the centre it had."""
    total = cover.sum()
    y, x = (float((cover * i).sum() / total) + 0.5 for i in np.indices(cover.shape))
    step = 2.1 * total**0.5 / 24
    affine = (step, 0, x - 12 * step, 0, step, y - 12 * step)
    image = Image.fromarray(cover.astype(np.float32))
    patch = image.transform((24, 24), Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR)
    return np.array(patch), x, y


@cache
def _templates() -> list[np.ndarray]:
    """Four patches of each shape: small and large, sharp and blurred as a model may draw them."""
    patches = []
    for shape, size, blur in product(SHAPES, SIZES, (0.0, 1.4)):
        drawn = Image.fromarray(draw_scene(Scene((Thing("black", shape, size, 32, 32),))))
        ink = 255.0 - np.array(drawn.convert("L").filter(ImageFilter.GaussianBlur(blur)))
        patches.append(_patch(np.where(ink > _EDGE * ink.max(), ink / ink.max(), 0))[0])
    return patches


def check(picture: np.ndarray, scene: Scene) -> CheckResult:
    """Compare a picture (H, W, 3) uint8 with what a scene's caption asks for; so not with places.

    What is seen is matched with what is asked as well as can be. "colour", "shape" and "size" hold
    if they do in every match; what is too much or missing fails "count", and missing "relation".
    """
    seen, due, options = look(picture), len(scene.things), list[tuple[int, int, dict[str, bool]]]()
    for parts in permutations(seen[:5] + (None,) * (due - len(seen)), due):
        pairs = [(a, b) for a, b in zip(scene.things, parts, strict=True) if b]
        verdicts, likeness = {"count": len(seen) == due}, 0
        for name in ("colour", "shape", "size"):
            equal = [getattr(a, name) == getattr(b, name) for a, b in pairs]
            verdicts[name], likeness = bool(equal) and all(equal), likeness + sum(equal)
        if scene.relation is not None:
            at = np.array([(b.x, b.y) for _, b in pairs])
            verdicts["relation"] = len(at) == 2 and bool(_holds(scene.relation, *at))
        options.append((likeness, sum(verdicts.values()), verdicts))
    return CheckResult(max(options, key=lambda option: option[:2])[2], seen)
