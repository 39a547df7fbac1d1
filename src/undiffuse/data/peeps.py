"""People of Open Peeps (Pablo Stanley, CC0), drawn by parts, so that captions are exactly true.

The parts are read out of the generated JavaScript of the npm package @dicebear/open-peeps; none of
it is run.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from numpy.random import Generator, Philox

from undiffuse.data import npm
from undiffuse.data.icon_sets import OPEN_PEEPS
from undiffuse.data.iconify import Svg
from undiffuse.errors import UserError

COUNT = 1500
VIEW = (-60, -100, 804, 804)  # wider than the package's, which cuts some heads
SLOTS = ("head", "face", "facialHair", "mask", "accessories")
# Names of the parts as people say them. Parts that are left out: an unclear or a second meaning.
HEADS = {
    "afro": "an afro", "bangs": "bangs", "bangs2": "bangs", "bantuKnots": "bantu knots",
    "bun": "a bun", "bun2": "a bun", "buns": "two buns", "cornrows": "cornrows",
    "cornrows2": "cornrows", "dreads1": "dreadlocks", "dreads2": "dreadlocks",
    "flatTop": "a flat top", "flatTopLong": "a high flat top", "grayBun": "a gray bun",
    "grayMedium": "gray hair", "grayShort": "short gray hair", "hatBeanie": "a beanie",
    "hatHip": "a hat", "hijab": "a hijab", "long": "long hair",
    "longBangs": "long hair and bangs", "longCurly": "long curly hair",
    "medium1": "medium hair", "medium2": "medium hair", "medium3": "medium hair",
    "mediumBangs": "medium hair and bangs", "mediumBangs2": "medium hair and bangs",
    "mediumBangs3": "medium hair and bangs", "mediumStraight": "straight hair",
    "mohawk": "a mohawk", "mohawk2": "a mohawk", "noHair1": "a bald head",
    "noHair2": "a bald head", "noHair3": "a bald head", "pomp": "a pompadour",
    "shaved1": "shaved sides", "shaved2": "shaved sides", "shaved3": "shaved sides",
    "short1": "short hair", "short2": "short hair", "short3": "short hair",
    "short4": "short hair", "short5": "short hair", "turban": "a turban",
    "twists": "twists", "twists2": "twists",
}  # fmt: skip
FACES = {
    "angryWithFang": "angry", "awe": "amazed", "calm": "calm", "cheeky": "cheeky",
    "concerned": "worried", "concernedFear": "worried", "contempt": "scornful", "cute": "cute",
    "driven": "determined", "eatingHappy": "happy", "eyesClosed": "sleeping",
    "fear": "scared", "lovingGrin1": "loving", "lovingGrin2": "loving", "old": "old",
    "rage": "furious", "serious": "serious", "smile": "smiling", "smileBig": "happy",
    "smileLOL": "laughing", "smileTeethGap": "grinning", "solemn": "sad",
    "suspicious": "suspicious", "tired": "tired", "veryAngry": "very angry",
}  # fmt: skip
BEARDS = {
    "": "", "chin": "a chin beard", "full": "a full beard", "full2": "a full beard",
    "full3": "a full beard", "full4": "a full beard", "goatee1": "a goatee", "goatee2": "a goatee",
} | {f"moustache{n}": "a mustache" for n in range(1, 10)}  # fmt: skip
MASKS = {"": "", "medicalMask": "a face mask", "respirator": "a respirator"}
GLASSES = {
    "": "", "eyepatch": "an eye patch", "sunglasses": "sunglasses", "sunglasses2": "sunglasses",
    "glasses": "glasses",
} | {f"glasses{n}": "glasses" for n in range(2, 6)}  # fmt: skip
CLOTHES = {
    "red": "#e78276", "orange": "#ffb457", "yellow": "#fdea6b", "green": "#78c985",
    "blue": "#8fa7df", "pink": "#f29fd0", "white": "#ffffff", "black": "#333333",
}  # fmt: skip
HAIR = {"black": "#2c1b18", "brown": "#724133", "blond": "#e2bd72", "red": "#c9502f",
        "gray": "#b5aeae", "pink": "#f59797"}  # fmt: skip
SKIN = {
    "light skin tone": "#ffdbb4", "medium-light skin tone": "#edb98a",
    "medium skin tone": "#d08b5b", "medium-dark skin tone": "#ae5d29", "dark skin tone": "#694d3d",
}  # fmt: skip
_PART = re.compile(r"^    (\w+): \(components, colors\) => `(.*)`,?$", re.MULTILINE)
_COLOR = re.compile(r"\$\{escape\.xml\(`\$\{colors\.(\w+)\}`\)\}")
_SLOT = re.compile(r"\$\{\(_\w = \(_\w = components\.(\w+)\)[^}]*\}")
_BODY = re.compile(r"body: `(.*?)`,\n", re.DOTALL)


@dataclass(frozen=True)
class Parts:
    """The SVG templates: of the whole person, and slot -> part -> template."""

    body: str
    slots: dict[str, dict[str, str]]


def read_parts(folder: Path) -> Parts:
    """The parts from the package's tarball. UserError if it is missing or has another form."""
    paths = {f"lib/components/{slot}.js": slot for slot in SLOTS}
    files = npm.read_files(OPEN_PEEPS, folder, {*paths, "lib/index.js"}.__contains__)
    body = _BODY.search(files.get("lib/index.js", b"").decode())
    slots = {
        slot: {"": "", **dict(_PART.findall(files.get(path, b"").decode()))}
        for path, slot in paths.items()
    }
    wanted = {"head": HEADS, "face": FACES, "facialHair": BEARDS, "mask": MASKS,
              "accessories": GLASSES}  # fmt: skip
    for slot, names in wanted.items():
        if body is None or not names.keys() <= slots[slot].keys():
            raise UserError(f"{OPEN_PEEPS.tarball} has no parts for {slot}: delete it, run again")
    assert body is not None
    return Parts(body[1], slots)


@dataclass(frozen=True)
class Person:
    """One choice of parts and colors, by their names in the package."""

    head: str
    face: str
    beard: str
    mask: str
    glasses: str
    clothes: str
    hair: str
    skin: str


def people(count: int, seed: int = 0) -> Iterator[Person]:
    """`count` different people. Number k depends on the seed and the numbers before only."""
    taken: set[Person] = set()
    index = 0
    while len(taken) < count:
        rng = Generator(Philox(key=[seed, index]))
        index += 1
        mask = _maybe(MASKS, 0.06, rng)
        person = Person(
            _any(HEADS, rng), _any(FACES, rng), "" if mask else _maybe(BEARDS, 0.2, rng), mask,
            _maybe(GLASSES, 0.3, rng), _any(CLOTHES, rng), _any(HAIR, rng), _any(SKIN, rng),
        )  # fmt: skip
        if person not in taken:
            taken.add(person)
            yield person


def _any(names: dict[str, str], rng: Generator) -> str:
    return list(names)[int(rng.integers(len(names)))]


def _maybe(names: dict[str, str], probability: float, rng: Generator) -> str:
    chosen = list(names)[1 + int(rng.integers(len(names) - 1))]
    return chosen if rng.random() < probability else ""


def draw(person: Person, parts: Parts) -> Svg:
    """The person as SVG body and view box."""
    colors = {
        "skin": SKIN[person.skin], "clothing": CLOTHES[person.clothes],
        "headContrast": HAIR[person.hair],
    }  # fmt: skip
    chosen = {"head": person.head, "face": person.face, "facialHair": person.beard,
              "mask": person.mask, "accessories": person.glasses}  # fmt: skip
    body = _SLOT.sub(lambda found: parts.slots[found[1]][chosen[found[1]]], parts.body)
    return _COLOR.sub(lambda found: colors[found[1]], body), *VIEW


def attributes(person: Person, parts: Parts) -> list[str]:
    """What the person has and wears, exactly: "a red shirt", "glasses"."""
    hair = HEADS[person.head]
    if "headContrast" in parts.slots["head"][person.head]:
        hair = _with_color(hair, person.hair)
    words = [hair, BEARDS[person.beard], GLASSES[person.glasses], MASKS[person.mask]]
    article = "an" if person.clothes[0] in "aeiou" else "a"
    return [word for word in (*words, f"{article} {person.clothes} shirt") if word]


def _with_color(thing: str, color: str) -> str:
    if thing.startswith("a bald") or "gray" in thing:
        return thing
    for article in ("an ", "a "):
        if thing.startswith(article):
            return f"a {color} {thing.removeprefix(article)}"
    return f"{color} {thing}"


def record_of(person: Person, parts: Parts) -> dict[str, object]:
    """Name, captions and attributes of a person."""
    mood, have = FACES[person.face], attributes(person, parts)
    with_ = " and ".join([", ".join(have[:-1]), have[-1]] if len(have) > 1 else have)
    article = "an" if mood[0] in "aeiou" else "a"
    name = f"{article} {mood} person with {with_}"
    captions = [name, f"person with {with_}", f"{mood} person with {have[0]}",
                f"{mood} person, {person.skin}, {', '.join(have)}"]  # fmt: skip
    return {
        "name": name, "captions": captions, "keywords": ["person", mood, *have],
        "attributes": have, "mood": mood, "concept": f"{mood} person", "tone": person.skin,
        "group": "people & body", "subgroup": "open-peeps", "gloss": "",
    }  # fmt: skip
