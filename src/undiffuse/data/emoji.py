"""The emoji data set: built from pinned npm packages, written as tar shards with captions.

`build` names and counts everything that could not be drawn; nothing is silently fewer.
"""

import io
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from undiffuse.data import colours, packages
from undiffuse.data import emoji_sets as families
from undiffuse.data.captions import facts
from undiffuse.data.composites import composites
from undiffuse.data.emoji_names import FLAGS, TONES, Emoji, read_names
from undiffuse.data.emoji_names import icon_names as spellings
from undiffuse.data.emoji_sets import FAMILIES, Family
from undiffuse.data.shards import Sample, find_shards, read_shards, write_shards
from undiffuse.data.split import split_cells
from undiffuse.errors import UserError

SIDE = 64
INK_ALPHA = 128
DOMINANT_SHARE = 0.6
COMPOSITES = 16000
MESSAGES = "en/messages.json"

RGBA = NDArray[np.uint8]  # (64, 64, 4)


@dataclass
class Report:
    """What was drawn and what could not be: counts by family and the names behind them."""

    drawn: Counter[str] = field(default_factory=Counter)
    absent: dict[str, list[str]] = field(default_factory=dict)  # family -> labels it lacks
    broken: list[str] = field(default_factory=list)  # "family/label: reason"
    words: list[str] = field(default_factory=list)  # of the captions that are trained on

    def lines(self) -> Iterator[str]:
        """The report as a person reads it."""
        for name in self.drawn:
            lacks = self.absent.get(name, [])
            yield f"{name}: {self.drawn[name]} pictures, {len(lacks)} emoji not in this family"
        yield from (f"could not be rendered: {row}" for row in self.broken)


def render_svg(body: str, left: float, top: float, width: float, height: float) -> RGBA:
    """An icon's SVG body as `(64, 64, 4)` bytes, straight alpha. ValueError when it can't be."""
    import resvg_py

    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{left} {top} {width} {height}" width="{SIDE}" height="{SIDE}">{body}</svg>'
    )
    png = resvg_py.svg_to_bytes(svg_string=svg, width=SIDE, height=SIDE)
    return decode(bytes(png))


def decode(png: bytes) -> RGBA:
    """A PNG of the data set's size as `(64, 64, 4)` bytes. ValueError when it is not that."""
    picture = Image.open(io.BytesIO(png), formats=["PNG"])
    if picture.size != (SIDE, SIDE):
        raise ValueError(f"it is {picture.size[0]}x{picture.size[1]} pixels, not {SIDE}x{SIDE}")
    rgba = np.asarray(picture.convert("RGBA"))
    if not (rgba[..., 3] > INK_ALPHA).any():
        raise ValueError("nothing is drawn in it")
    return rgba


def _sprite_sources(family: Family, folder: Path, rows: list[Emoji]) -> dict[str, bytes]:
    """Code -> PNG file."""
    files = packages.read(family.package, folder, lambda p: "/64/" in p and p.endswith(".png"))
    by_code = {Path(p).stem.lower().replace("-fe0f", ""): data for p, data in files.items()}
    return {row.code: by_code[row.code] for row in rows if row.code in by_code}


def _icon_sources(family: Family, folder: Path, rows: list[Emoji]) -> dict[str, tuple]:
    """Code -> (SVG body, left, top, width, height)."""
    (icons,) = packages.read_json(family.package, folder, "icons.json")
    by_code = {}
    if family.package.name.startswith("@iconify-json/fluent"):
        (chars,) = packages.read_json(families.FLAT, folder, "chars.json")
        by_code = {code.replace("-fe0f", ""): name for code, name in chars.items()}
    found = {}
    for row in rows:
        names = [by_code.get(row.code, ""), *spellings(row.label)]
        icon = next((icons["icons"][n] for n in names if n in icons["icons"]), None)
        if icon is None:
            aliases = icons.get("aliases", {})
            plain = [aliases[n] for n in names if n in aliases and set(aliases[n]) == {"parent"}]
            icon = icons["icons"].get(plain[0]["parent"]) if plain else None
        if icon is not None:
            width = icon.get("width", icons.get("width", 16))
            height = icon.get("height", icons.get("height", 16))
            found[row.code] = (icon["body"], icon.get("left", 0), icon.get("top", 0), width, height)
    return found


def _draw(job: tuple[str, str, bytes | tuple]) -> tuple[str, RGBA | str]:
    """(family, code, source) -> (code, picture), or (code, reason)."""
    _, code, source = job
    try:
        return code, decode(source) if isinstance(source, bytes) else render_svg(*source)
    except Exception as error:  # a renderer's own errors have no common base
        return code, str(error).splitlines()[0] if str(error) else type(error).__name__


def draw_family(
    family: Family, folder: Path, rows: list[Emoji], report: Report, workers: int
) -> dict[str, RGBA]:
    """Every emoji of the family that can be drawn, by code; the rest goes into the report."""
    read = _sprite_sources if family.kind == "sprites" else _icon_sources
    sources = read(family, folder, rows)
    report.absent[family.name] = [row.label for row in rows if row.code not in sources]
    jobs = [(family.name, code, source) for code, source in sources.items()]
    labels = {row.code: row.label for row in rows}
    pictures: dict[str, RGBA] = {}
    with ProcessPoolExecutor(workers) as pool:
        for code, result in pool.map(_draw, jobs, chunksize=64):
            if isinstance(result, str):
                report.broken.append(f"{family.name}/{labels[code]}: {result}")
            else:
                pictures[code] = result
    report.drawn[family.name] = len(pictures)
    return pictures


def record(emoji: Emoji, family: str, held_out: str, picture: RGBA) -> dict:
    """The caption record that lies beside each picture."""
    ink = picture[..., 3] > INK_ALPHA
    colour, share = colours.dominant(picture[..., :3], ink)
    if not FAMILIES[family].trained:
        split = "evaluation"
    elif held_out == "concept":
        split = "held-out concept"
    else:
        split = "held-out cell" if held_out == family else "train"
    return {
        "name": emoji.name,
        "keywords": list(emoji.keywords),
        "family": family,
        "group": emoji.group,
        "subgroup": emoji.subgroup,
        "tone": TONES[emoji.tone],
        "code": emoji.code,
        "concept": emoji.concept,
        "colour": colour if share >= DOMINANT_SHARE and emoji.group != FLAGS else "",
        "split": split,
    }


def build(
    out: Path,
    folder: Path,
    *,
    offline: bool = False,
    workers: int = 2,
    say: Callable[[str], None] = lambda line: None,
) -> Report:
    """Build the data set into `out` from the packages in `folder`, fetched there unless `offline`.

    Raises UserError for a missing npm, a package that is missing or of another version.
    """
    chosen = list(FAMILIES.values())
    if not offline:
        say("fetching the packages")
        packages.fetch([families.NAMES, *(family.package for family in chosen)], folder)
    rows = read_names(*packages.read_json(families.NAMES, folder, "en/data.json", MESSAGES))
    report = Report()
    drawn: dict[str, dict[str, RGBA]] = {}
    for family in chosen:
        say(f"drawing {family.title}")
        drawn[family.name] = draw_family(family, folder, rows, report, workers)
    if not any(drawn.values()):
        raise UserError(f"not one picture could be drawn from {folder}")
    held_out = split_cells(
        {
            row.concept: [name for name in families.TRAINED if row.concept in drawn[name]]
            for row in rows
            if row.tone == 0
        },
        flags={row.concept for row in rows if row.group == FLAGS},
    )
    for name, pictures in drawn.items():
        samples = (
            Sample(
                f"{name}_{row.code}",
                pictures[row.code],
                record(row, name, held_out[row.concept], pictures[row.code]),
            )
            for row in rows
            if row.code in pictures
        )
        write_shards(samples, out, prefix=name)
    say(f"making {COMPOSITES} composites")
    originals = list(read_shards(find_shards(out)))
    write_shards(composites(originals, COMPOSITES), out, prefix="composite")
    trained = (sample.record for sample in read_shards(find_shards(out)))
    report.words = sorted({w for r in trained if r["split"] == "train" for w in facts(r)})
    return report
