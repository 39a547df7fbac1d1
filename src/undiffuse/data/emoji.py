"""The emoji data set: built from pinned npm packages, written as tar shards with captions.

`build` counts and names everything that could not be rendered.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from undiffuse.data import colors, npm, split
from undiffuse.data.captions import record_words
from undiffuse.data.composites import make_composites
from undiffuse.data.emoji_names import FLAGS, TONES, Emoji, normalize_code, read_emojibase
from undiffuse.data.emoji_sets import EMOJI_SETS, EMOJIBASE, FLUENT_FLAT, TRAINED_STYLES, EmojiSet
from undiffuse.data.iconify import (
    OPAQUE,
    RGBA,
    Svg,
    decode_png,
    match_emoji,
    read_icon_file,
    render_svg,
)
from undiffuse.data.shards import Sample, find_shards, read_shards, write_shards
from undiffuse.errors import UserError

SIDE = 64
DOMINANT_SHARE = 0.6
COMPOSITES = 16000
Track = Callable[[Iterable[Any], int, str, str], Iterable[Any]]


@dataclass
class Report:
    """What was rendered and what was not, by style."""

    drawn: Counter[str] = field(default_factory=Counter)
    absent: dict[str, list[str]] = field(default_factory=dict)  # style -> labels it lacks
    broken: list[str] = field(default_factory=list)  # "style/label: reason"
    words: list[str] = field(default_factory=list)  # of the training captions


def _png_sources(emoji_set: EmojiSet, folder: Path, rows: list[Emoji]) -> dict[str, bytes]:
    """Code -> PNG file."""
    files = npm.read_files(
        emoji_set.package, folder, lambda path: "/64/" in path and path.endswith(".png")
    )
    by_code = {Path(path).stem.lower().replace("-fe0f", ""): data for path, data in files.items()}
    return {row.code: by_code[row.code] for row in rows if row.code in by_code}


def _svg_sources(emoji_set: EmojiSet, folder: Path, rows: list[Emoji]) -> dict[str, Svg]:
    """Code -> SVG body and view box, from an Iconify file."""
    (file,) = npm.read_json(emoji_set.package, folder, "icons.json")
    chars = {}
    if emoji_set.package.name.startswith("@iconify-json/fluent"):
        (chars,) = npm.read_json(FLUENT_FLAT, folder, "chars.json")
    by_code = {normalize_code(code): name for code, name in chars.items()}
    return match_emoji(read_icon_file(file), rows, by_code)


def _render(job: tuple[str, bytes | Svg]) -> tuple[str, RGBA | str]:
    """(code, source) -> (code, picture), or (code, reason)."""
    code, source = job
    try:
        picture = (
            decode_png(source, SIDE) if isinstance(source, bytes) else render_svg(source, SIDE)
        )
        return code, picture
    except Exception as error:  # a renderer's errors have no common base class
        return code, str(error).splitlines()[0] if str(error) else type(error).__name__


def render_set(
    emoji_set: EmojiSet, folder: Path, rows: list[Emoji], report: Report, workers: int,
    track: Track = lambda rows, *_: rows,
) -> dict[str, RGBA]:  # fmt: skip
    """Every emoji of the set that can be rendered, by code. The report gets the others."""
    style = emoji_set.style
    read = _png_sources if emoji_set.has_png_files else _svg_sources
    sources = read(emoji_set, folder, rows)
    report.absent[style] = [row.label for row in rows if row.code not in sources]
    labels = {row.code: row.label for row in rows}
    pictures: dict[str, RGBA] = {}
    with ProcessPoolExecutor(workers) as pool:
        rendered = pool.map(_render, sources.items(), chunksize=64)
        for code, result in track(rendered, len(sources), "pictures", f"rendering {style}"):
            if isinstance(result, str):
                report.broken.append(f"{style}/{labels[code]}: {result}")
            else:
                pictures[code] = result
    report.drawn[style] = len(pictures)
    return pictures


def make_record(emoji: Emoji, style: str, held_out: str, picture: RGBA) -> dict:
    """The caption record of a picture. `held_out`: of its concept, as `split_concepts` says."""
    color, share = colors.dominant_color(picture[..., :3], picture[..., 3] > OPAQUE)
    kinds = {"concept": split.HELD_OUT_CONCEPT, style: split.HELD_OUT_PAIR}
    kind = kinds.get(held_out, split.TRAIN)
    return {
        "name": emoji.name,
        "keywords": list(emoji.keywords),
        "family": style,
        "group": emoji.group,
        "subgroup": emoji.subgroup,
        "tone": TONES[emoji.tone],
        "code": emoji.code,
        "concept": emoji.concept,
        "colour": color if share >= DOMINANT_SHARE and emoji.group != FLAGS else "",
        "split": kind if EMOJI_SETS[style].trained else split.UNSEEN_STYLE,
    }


def build(
    out: Path,
    folder: Path,
    *,
    offline: bool = False,
    workers: int = 2,
    log: Callable[[str], None] = lambda line: None,
    track: Track = lambda rows, *_: rows,
) -> Report:
    """Build the data set in `out` from the packages in `folder`, downloaded there unless `offline`.
    `track(rows, count, unit, work)` passes on rows and shows the progress.

    Raises UserError if npm is missing, or a package is missing or of another version.
    """
    if not offline:
        log("fetching the packages")
        npm.fetch([EMOJIBASE, *(each.package for each in EMOJI_SETS.values())], folder)
    rows = read_emojibase(*npm.read_json(EMOJIBASE, folder, "en/data.json", "en/messages.json"))
    report = Report()
    pictures: dict[str, dict[str, RGBA]] = {}
    for style, emoji_set in EMOJI_SETS.items():
        pictures[style] = render_set(emoji_set, folder, rows, report, workers, track)
        absent = len(report.absent[style])
        log(f"{style}: {report.drawn[style]} pictures, {absent} emoji not in this set")
    for label in report.broken:
        log(f"could not be rendered: {label}")
    if not any(pictures.values()):
        raise UserError(f"no picture could be rendered from the packages in {folder}")
    held_out = split.split_concepts(
        {
            row.concept: [style for style in TRAINED_STYLES if row.concept in pictures[style]]
            for row in rows
            if row.tone == 0
        },
        flags={row.concept for row in rows if row.group == FLAGS},
    )
    for style, by_code in pictures.items():
        samples = []
        for row in (row for row in rows if row.code in by_code):
            picture = by_code[row.code]
            record = make_record(row, style, held_out[row.concept], picture)
            samples.append(Sample(f"{style}_{row.code}", picture, record))
        write_shards(samples, out, prefix=style)
    log(f"making {COMPOSITES} composites")
    originals = list(read_shards(find_shards(out)))
    composites = track(make_composites(originals, COMPOSITES), COMPOSITES, "pictures", "composing")
    write_shards(composites, out, prefix="composite")
    records = (sample.record for sample in read_shards(find_shards(out)))
    trained = (record for record in records if record["split"] == split.TRAIN)
    report.words = sorted(frozenset().union(*map(record_words, trained)))
    return report
