"""The shapes data set: scenes of simple objects, their captions, and a checker of pictures.

The checker looks at the pixels only, so it can also check the pictures that a model generates.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from itertools import permutations, product

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from undiffuse.data.shards import Sample
from undiffuse.data.split import HELD_OUT_PAIR, TRAIN

SIDE = 64  # pixels
# No two on one line through white, or the soft edge of one object has the color of another.
COLORS = {
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
SIZES = {"small": 7.5, "large": 12.0}  # half the longer side of the bounding box, pixels
RELATIONS = {"left of": (1, 0), "right of": (-1, 0), "above": (0, 1), "below": (0, -1)}  # a to b
_EDGE = 0.3  # of an object's color: pixels with more belong to the object
_NAMES = COLORS | {"pink": (255, 165, 185), "brown": (125, 75, 40), "gray": (140, 140, 140)}
# sRGB light to cone responses to Oklab, bottosson.github.io/posts/oklab
_CONES = np.array([[0.4122, 0.5363, 0.0514], [0.2119, 0.6807, 0.1074], [0.0883, 0.2817, 0.6300]])
_OKLAB = np.array([[0.2105, 0.7936, -0.0041], [1.9780, -2.4286, 0.4506], [0.0259, 0.7828, -0.8087]])


@dataclass(frozen=True)
class SceneObject:
    """An object centered at (x, y), pixels from the top left. A detected shape can be "unknown"."""

    color: str
    shape: str
    size: str
    x: float
    y: float


@dataclass(frozen=True)
class Scene:
    """One to four equal objects or, with a relation, two different ones."""

    objects: tuple[SceneObject, ...]
    relation: str | None = None

    def __post_init__(self) -> None:
        kinds = len({(each.color, each.shape, each.size) for each in self.objects})
        equal = kinds == 1 and len(self.objects) <= 4 and self.relation is None
        if not equal and not (kinds == len(self.objects) == 2 and self.relation in RELATIONS):
            raise ValueError("use 1 to 4 equal objects, or 2 different objects with a relation")


@dataclass(frozen=True)
class CheckResult:
    """For each property of a scene whether the picture has it, and the detected objects."""

    verdicts: dict[str, bool]
    detected: tuple[SceneObject, ...]

    @property
    def passed(self) -> bool:
        """Whether the picture has every property."""
        return all(self.verdicts.values())


@cache
def _outlines() -> dict[str, np.ndarray]:
    """(N, 2) corners of each shape, x right, y down, in a centered box of at most 2x2."""
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
    """(64, 64, 4) uint8 RGBA, opaque: the objects on a white background, anti-aliased."""
    fine = 8
    canvas = Image.new("RGB", (SIDE * fine, SIDE * fine), "white")
    for each in scene.objects:
        corners = _outlines()[each.shape] * SIZES[each.size] + (each.x, each.y)
        points = corners * fine - 0.5  # Pillow counts from the middle of the first pixel
        ImageDraw.Draw(canvas).polygon(points.ravel().tolist(), COLORS[each.color])
    return np.array(canvas.reduce(fine).convert("RGBA"))


def scene_caption(scene: Scene) -> str:
    """Such as "three small red stars", or "a large blue ring left of a small red circle"."""
    names = [f"{each.size} {each.color} {each.shape}" for each in scene.objects]
    if scene.relation is not None:
        return f"a {names[0]} {scene.relation} a {names[1]}"
    ending = "" if len(names) == 1 else "es" if names[0].endswith("s") else "s"
    return f"{('a', 'two', 'three', 'four')[len(names) - 1]} {names[0]}{ending}"


def _uniform(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """In [0, 1), from raw bits, the only stream that NumPy keeps the same in all versions."""
    bits = rng.bit_generator.random_raw(int(np.prod(shape)))
    return (bits >> np.uint64(11)).reshape(shape) * 2.0**-53


def _is_related(relation: str, a: np.ndarray, b: np.ndarray, margin: float = 1.0) -> np.ndarray:
    """Whether "a RELATION b" is true of points (..., 2): `margin` times as far along as across."""
    along = (b - a) @ np.array(RELATIONS[relation])
    return along > margin * (np.abs(b - a).sum(-1) - np.abs(along))


def _random_centers(
    rng: np.random.Generator, radii: np.ndarray, relation: str | None
) -> np.ndarray:
    """(N, 2) centers, at least 4 pixels between any two boxes, so that blur keeps them apart."""
    low = radii[:, None] + 1
    apart = (radii[:, None] + radii + 4) * (1 - np.eye(len(radii)))
    while True:
        tries = low + _uniform(rng, 256, len(radii), 2) * (SIDE - 2 * low)  # (T, N, 2)
        fits = (np.abs(tries[:, :, None] - tries[:, None]).max(-1) >= apart).all((1, 2))
        if relation is not None:
            fits &= _is_related(relation, tries[:, 0], tries[:, 1], margin=2.0)
        if fits.any():
            return tries[fits.argmax()].round(2)


def random_scene(rng: np.random.Generator) -> Scene:
    """One to four equal objects or, half of the time, two of different color, shape or both."""
    every = list(product(COLORS, SHAPES, SIZES))
    first, second, number, side = _uniform(rng, 4)
    kinds, relation = [every[int(first * len(every))]] * (1 + int(number * 8) % 4), None
    if number >= 0.5:
        others = [kind for kind in every if kind[:2] != kinds[0][:2]]  # size alone is a weak sign
        kinds, relation = [kinds[0], others[int(second * len(others))]], [*RELATIONS][int(side * 4)]
    centers = _random_centers(rng, np.array([SIZES[size] for *_, size in kinds]), relation).tolist()
    pairs = zip(kinds, centers, strict=True)
    return Scene(tuple(SceneObject(*kind, *at) for kind, at in pairs), relation)


def scene_at(index: int, seed: int) -> Scene:
    """The scene with this index in the data set of this seed, both in [0, 2**64)."""
    return random_scene(np.random.Generator(np.random.Philox(key=seed << 64 | index)))


def is_held_out(scene: Scene) -> bool:
    """Whether an object has a held-out pair of color and shape: one shape of each color, one color
    of each shape.
    """
    held_out = {(color, SHAPES[(3 * i + 1) % 8]) for i, color in enumerate(COLORS)}
    return any((each.color, each.shape) in held_out for each in scene.objects)


def shapes_samples(count: int, seed: int) -> Iterator[Sample]:
    """The first `count` samples of this seed. Each depends only on (seed, index)."""
    for index in range(count):
        scene = scene_at(index, seed)
        split = HELD_OUT_PAIR if is_held_out(scene) else TRAIN
        record = {"caption": scene_caption(scene), "scene": asdict(scene), "split": split}
        yield Sample(f"shapes-{seed}-{index:07d}", draw_scene(scene), record)


def detect_objects(picture: np.ndarray) -> tuple[SceneObject, ...]:
    """The objects in a picture (H, W, 3) uint8, largest first, in coordinates of 64x64 pixels."""
    image = Image.fromarray(picture).convert("RGB").resize((SIDE, SIDE))
    ink = 255.0 - np.array(image)  # (H, W, 3); less at a soft edge, in the same direction
    smooth = 255.0 - np.array(image.filter(ImageFilter.BoxBlur(1)))
    axes = 255.0 - np.array([*COLORS.values()])  # (K, 3)
    nearest = (smooth @ axes.T / np.linalg.norm(axes, axis=1)).argmax(-1)  # (H, W)
    cover = (ink * axes[nearest]).sum(-1) / (axes[nearest] ** 2).sum(-1)
    classes = np.where(cover > _EDGE, 1 + nearest, 0).astype(np.uint8)
    labels, image = connected_components(classes), Image.fromarray(classes)
    low, high = image.filter(ImageFilter.MinFilter(3)), image.filter(ImageFilter.MaxFilter(3))
    # inner pixels: a speck, or the seam of two objects that touch, has almost none
    bulk = np.bincount(labels[np.array(low) == np.array(high)])
    return tuple(_describe(ink, labels == k) for k in np.argsort(-bulk) if k and bulk[k] >= 9)


def connected_components(classes: np.ndarray) -> np.ndarray:
    """(H, W): a number for each 4-connected region of one class, 0 for class 0."""
    classes = np.pad(classes, 1)
    labels = np.where(classes, np.arange(classes.size).reshape(classes.shape), 0)
    while True:
        before = labels
        for step, axis in product((1, -1), (0, 1)):
            same = np.roll(classes, step, axis) == classes
            labels = np.where(same, np.minimum(labels, np.roll(labels, step, axis)), labels)
        labels = labels.ravel()[labels]  # a label is the index of a pixel of the region
        if (labels == before).all():
            return labels[1:-1, 1:-1]


def _describe(ink: np.ndarray, mask: np.ndarray) -> SceneObject:
    depth = np.linalg.norm(ink[mask], axis=1)
    core = np.median(ink[mask][depth >= np.quantile(depth, 0.7)], axis=0)
    cover = np.where(mask, np.clip(ink @ core / (core @ core), 0, 1), 0)
    patch, x, y = _patch(cover)
    fit = [np.minimum(patch, t).sum() / np.maximum(patch, t).sum() for t in _templates()]
    shape = SHAPES[int(np.argmax(fit)) // 4] if max(fit) >= 0.75 else "unknown"
    reach = max((cover > 0.5).any(axis).sum() / 2 for axis in (0, 1))
    size = min(SIZES, key=lambda name: abs(np.log(reach / SIZES[name])))
    lab = np.cbrt((np.array([255 - core, *_NAMES.values()]) / 255) ** 2.2 @ _CONES.T) @ _OKLAB.T
    # hue counts more than lightness: dark red is red
    color = [*_NAMES][np.linalg.norm((lab[1:] - lab[0]) * (0.4, 1, 1), axis=1).argmin()]
    return SceneObject(color, shape, size, x, y)


def _patch(cover: np.ndarray) -> tuple[np.ndarray, float, float]:
    """(24, 24), moved and scaled to one center and area so that shapes compare; and its center."""
    total = cover.sum()
    y, x = (float((cover * i).sum() / total) + 0.5 for i in np.indices(cover.shape))
    step = 2.1 * total**0.5 / 24
    affine = (step, 0, x - 12 * step, 0, step, y - 12 * step)
    image = Image.fromarray(cover.astype(np.float32))
    patch = image.transform((24, 24), Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR)
    return np.array(patch), x, y


@cache
def _templates() -> list[np.ndarray]:
    """Four patches of each shape: small and large, sharp and blurred as a model can draw them."""
    patches = []
    for shape, size, blur in product(SHAPES, SIZES, (0.0, 1.4)):
        drawn = Image.fromarray(draw_scene(Scene((SceneObject("black", shape, size, 32, 32),))))
        ink = 255.0 - np.array(drawn.convert("L").filter(ImageFilter.GaussianBlur(blur)))
        patches.append(_patch(np.where(ink > _EDGE * ink.max(), ink / ink.max(), 0))[0])
    return patches


def check_scene(picture: np.ndarray, scene: Scene) -> CheckResult:
    """Compare a picture (H, W, 3) uint8 with the caption of a scene, which gives no positions.

    The detected objects are matched with the scene's in the best way. "color", "shape" and "size"
    are true if they are in every match. An extra or missing object fails "count", a missing one
    also "relation".
    """
    detected, due = detect_objects(picture), len(scene.objects)
    options: list[tuple[int, int, dict[str, bool]]] = []
    for parts in permutations(detected[:5] + (None,) * (due - len(detected)), due):
        pairs = [(a, b) for a, b in zip(scene.objects, parts, strict=True) if b]
        verdicts, likeness = {"count": len(detected) == due}, 0
        for name in ("color", "shape", "size"):
            equal = [getattr(a, name) == getattr(b, name) for a, b in pairs]
            verdicts[name], likeness = bool(equal) and all(equal), likeness + sum(equal)
        if scene.relation is not None:
            at = np.array([(b.x, b.y) for _, b in pairs])
            verdicts["relation"] = len(at) == 2 and bool(_is_related(scene.relation, *at))
        options.append((likeness, sum(verdicts.values()), verdicts))
    return CheckResult(max(options, key=lambda option: option[:2])[2], detected)
