"""The shapes set: drawn by a program, so that what a caption asks for can be checked exactly.

A scene holds one to four like things, or two unlike ones and how the first lies to the second. The
checker knows nothing of how a picture came about: it finds the things in the pixels and compares.
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
RELATIONS = {
    "left of": (1, 0),
    "right of": (-1, 0),
    "above": (0, 1),
    "below": (0, -1),
}  # to the 2nd
_COUNTS = ("a", "two", "three", "four")
_GAP = 4.0  # pixels of ground between things: a blurred picture still shows them apart
_SPECK = 20  # pixels; what is smaller is no thing
_FIT = 0.8  # overlap with a shape from which on a thing is one
_NOT_DRAWN = {"pink": (255, 165, 185), "brown": (125, 75, 40), "grey": (140, 140, 140)}
# sRGB light to cone responses to Oklab, bottosson.github.io/posts/oklab
_CONES = np.array([[0.4122, 0.5363, 0.0514], [0.2119, 0.6807, 0.1074], [0.0883, 0.2817, 0.6300]])
_OKLAB = np.array([[0.2105, 0.7936, -0.0041], [1.9780, -2.4286, 0.4506], [0.0259, 0.7828, -0.8087]])


@dataclass(frozen=True)
class Thing:
    """One thing in a picture, around (x, y) in pixels from the top left corner."""

    colour: str
    shape: str
    size: str
    x: float
    y: float

    @property
    def kind(self) -> tuple[str, str, str]:
        return self.colour, self.shape, self.size


@dataclass(frozen=True)
class Scene:
    """Up to four things alike in all but place or, with a relation, two that differ."""

    things: tuple[Thing, ...]
    relation: str | None = None

    def __post_init__(self) -> None:
        kinds = {thing.kind for thing in self.things}
        fits = len(kinds) == 1 and len(self.things) <= len(_COUNTS)
        if self.relation is not None:
            fits = len(kinds) == len(self.things) == 2 and self.relation in RELATIONS
        if not fits or not kinds <= set(product(COLOURS, SHAPES, SIZES)):
            raise ValueError(f"no scene: {kinds} x {len(self.things)}, relation {self.relation}")


@dataclass(frozen=True)
class CheckResult:
    """For each property that the scene asks for, whether it is there; and all that was seen."""

    verdicts: dict[str, bool]
    seen: tuple[Thing, ...]

    @property
    def passed(self) -> bool:
        return all(self.verdicts.values())


@cache
def _outlines() -> dict[str, np.ndarray]:
    """(N, 2) corners of each shape, x to the right and y down, in a box of longer side 2 around 0."""
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
    return {
        shape: (2 * c - c.max(0) - c.min(0)) / np.ptp(c, axis=0).max()
        for shape, c in corners.items()
    }


def draw_scene(scene: Scene) -> np.ndarray:
    """(64, 64, 4) uint8 RGBA, opaque: the things on a white ground, with soft edges."""
    fine = 8
    canvas = Image.new("RGB", (SIDE * fine, SIDE * fine), "white")
    for thing in scene.things:
        corners = _outlines()[thing.shape] * SIZES[thing.size] + (thing.x, thing.y)
        # Pillow counts from the middle of the first pixel
        points = (corners * fine - 0.5).ravel().tolist()
        ImageDraw.Draw(canvas).polygon(points, COLOURS[thing.colour])
    return np.array(canvas.reduce(fine).convert("RGBA"))


def caption(scene: Scene) -> str:
    """Such as "three small red stars", or "a large blue ring left of a small red circle"."""
    names = [f"{thing.size} {thing.colour} {thing.shape}" for thing in scene.things]
    if scene.relation is not None:
        return f"a {names[0]} {scene.relation} a {names[1]}"
    ending = "" if len(names) == 1 else "es" if names[0].endswith("s") else "s"
    return f"{_COUNTS[len(names) - 1]} {names[0]}{ending}"


def _uniform(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """In [0, 1), from raw bits: of a generator's streams NumPy fixes only these for all versions."""
    bits = rng.bit_generator.random_raw(int(np.prod(shape)))
    return (bits >> np.uint64(11)).reshape(shape) * 2.0**-53


def _holds(relation: str, a: np.ndarray, b: np.ndarray, margin: float = 1.0) -> np.ndarray:
    """Whether "a RELATION b" is true of points (..., 2): `margin` times as far along as across."""
    along = (b - a) @ np.array(RELATIONS[relation])
    return along > margin * (np.abs(b - a).sum(-1) - np.abs(along))


def _places(rng: np.random.Generator, radii: np.ndarray, relation: str | None) -> np.ndarray:
    """(N, 2) centres with ground between all boxes, and the relation plain to see."""
    low = radii[:, None] + 1
    apart = (radii[:, None] + radii + _GAP) * ~np.eye(len(radii), dtype=bool)
    while True:
        tries = low + _uniform(rng, 256, len(radii), 2) * (SIDE - 2 * low)  # (T, N, 2)
        between = np.abs(tries[:, :, None] - tries[:, None]).max(-1)  # (T, N, N)
        fits = (between >= apart).all((1, 2))
        if relation is not None:
            fits &= _holds(relation, tries[:, 0], tries[:, 1], margin=2.0)
        if fits.any():
            return tries[fits.argmax()].round(2)


def random_scene(rng: np.random.Generator) -> Scene:
    """One to four like things or, half of the time, two that differ in colour or shape or both."""
    looks = list(product(COLOURS, SHAPES, SIZES))
    first, second, number, side = _uniform(rng, 4) * (len(looks), len(looks), 8, 4)
    kinds, relation = [looks[int(first)]] * (int(number) % 4 + 1), None
    if number >= 4:
        # told apart by size alone, two things would rest on the weakest of the verdicts
        others = [look for look in looks if look[:2] != kinds[0][:2]]
        kinds = [kinds[0], others[int(second) % len(others)]]
        relation = list(RELATIONS)[int(side)]
    places = _places(rng, np.array([SIZES[size] for *_, size in kinds]), relation).tolist()
    things = (Thing(*kind, x, y) for kind, (x, y) in zip(kinds, places, strict=True))
    return Scene(tuple(things), relation)


def scene_at(index: int, seed: int) -> Scene:
    """The scene of that index in the set of that seed, both in [0, 2**64)."""
    key = np.array([seed, index], np.uint64)
    return random_scene(np.random.Generator(np.random.Philox(key=key)))


def shapes_samples(count: int, seed: int) -> Iterator[Sample]:
    """The first `count` samples of the set of that seed; each a function of (seed, index) alone."""
    for index in range(count):
        scene = scene_at(index, seed)
        record = {"caption": caption(scene), "scene": asdict(scene)}
        yield Sample(f"shapes-{seed}-{index:07d}", draw_scene(scene), record)


def look(picture: np.ndarray) -> tuple[Thing, ...]:
    """The things in a picture (H, W, 3) uint8, the largest first, as if it were 64 pixels wide.

    A shape may be "unknown", a colour also "pink", "brown" or "grey".
    """
    if picture.shape != (SIDE, SIDE, 3):
        picture = np.array(Image.fromarray(picture).resize((SIDE, SIDE)))
    ink = 255.0 - picture  # (H, W, 3); a soft edge on white has less of it, in the same direction
    axes = 255.0 - np.array(list(COLOURS.values()))  # (K, 3)
    nearest = (ink @ axes.T / np.linalg.norm(axes, axis=1)).argmax(-1)  # (H, W)
    cover = (ink * axes[nearest]).sum(-1) / (axes[nearest] ** 2).sum(-1)
    labels = _components(np.where(cover > 0.4, 1 + nearest, 0))
    area = np.bincount(labels.ravel())
    labels[area[labels] < _SPECK] = 0
    kept = sorted(set(labels.flat) - {0}, key=lambda label: -area[label])
    return tuple(_describe(ink, labels, label) for label in kept)


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


def _describe(ink: np.ndarray, labels: np.ndarray, label: int) -> Thing:
    """The thing that covers a region, its soft edge included."""
    mask = labels == label
    depth = np.linalg.norm(ink[mask], axis=1)
    core = np.median(ink[mask][depth >= np.quantile(depth, 0.6)], axis=0)
    near = np.array(Image.fromarray(mask.astype(np.uint8)).filter(ImageFilter.MaxFilter(5)))
    cover = np.clip(ink @ core / (core @ core), 0, 1) * near * np.isin(labels, (0, label))
    patch, x, y = _patch(np.where(cover < 0.15, 0, cover))
    overlap = {
        shape: max(np.minimum(patch, t).sum() / np.maximum(patch, t).sum() for t in templates)
        for shape, templates in _templates().items()
    }
    shape = max(overlap, key=overlap.__getitem__)
    reach = max((cover > 0.5).any(axis).sum() / 2 for axis in (0, 1))
    size = min(SIZES, key=lambda name: abs(np.log(reach / SIZES[name])))
    return Thing(_name(255 - core), shape if overlap[shape] >= _FIT else "unknown", size, x, y)


def _name(rgb: np.ndarray) -> str:
    names = COLOURS | _NOT_DRAWN
    lab = np.cbrt((np.array([rgb, *names.values()]) / 255) ** 2.2 @ _CONES.T) @ _OKLAB.T
    return list(names)[int(np.linalg.norm(lab[1:] - lab[0], axis=1).argmin())]


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
def _templates() -> dict[str, list[np.ndarray]]:
    """Patches of each shape, small and large, sharp and blurred as a model may draw them."""
    patches: dict[str, list[np.ndarray]] = {shape: [] for shape in SHAPES}
    for shape, size, blur in product(SHAPES, SIZES, (0.0, 1.4)):
        drawn = Image.fromarray(draw_scene(Scene((Thing("black", shape, size, 32, 32),))))
        grey = np.array(drawn.convert("L").filter(ImageFilter.GaussianBlur(blur)), float)
        patches[shape].append(_patch((255 - grey) / (255 - grey.min()))[0])
    return patches


def check(picture: np.ndarray, scene: Scene) -> CheckResult:
    """Compare a picture (H, W, 3) uint8 with what a scene's caption asks for; so not with places.

    What is seen is matched with what is asked as well as can be, and a property holds if it does in
    each match. What is missing or too much fails "count", what is missing "relation" too.
    """
    seen = look(picture)
    spare = (None,) * (len(scene.things) - len(seen))
    verdicts = max(
        (_compare(scene, parts) for parts in permutations(seen[:5] + spare, len(scene.things))),
        key=lambda verdicts: sum(verdicts.values()),
    )
    return CheckResult(verdicts | {"count": len(seen) == len(scene.things)}, seen)


def _compare(scene: Scene, parts: tuple[Thing | None, ...]) -> dict[str, bool]:
    pairs = [(a.kind, b.kind) for a, b in zip(scene.things, parts, strict=True) if b is not None]
    likes = [[asked == found for asked, found in zip(*pair, strict=True)] for pair in pairs]
    verdicts = {
        name: bool(likes) and all(like[k] for like in likes)
        for k, name in enumerate(("colour", "shape", "size"))
    }
    if scene.relation is not None:
        a, b = (np.array([p.x, p.y]) if p else None for p in parts)
        verdicts["relation"] = None not in parts and bool(_holds(scene.relation, *places))
    return verdicts
