"""The pictures of the second model: emoji, icons, clip art and people, written as tar shards.

Everything is planned first, from names alone: what is drawn, under which name, in which split. Then
each set is rendered and written; a set whose shards are there is not rendered again.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from pathlib import Path
from time import monotonic
from typing import Any

from undiffuse.data import clipart, deb, npm, peeps, split
from undiffuse.data.emoji_names import FLAGS, normalize_code
from undiffuse.data.emoji_words import PACKAGES
from undiffuse.data.icon_sets import EMOJI_3D, ICON_SETS, ICONIFY, OPEN_PEEPS, Rule
from undiffuse.data.icon_words import meaning
from undiffuse.data.iconify import read_icon_file
from undiffuse.data.picture_plans import (
    License,
    Plan,
    add_emoji,
    flag_concepts,
    hold_out,
    plan_set,
)
from undiffuse.data.picture_report import Report
from undiffuse.data.picture_words import Words, read_words
from undiffuse.data.rendering import Drawing, Rendered, Seen, describe_all, render_all
from undiffuse.data.shards import EncodedSample, write_shards
from undiffuse.data.sources.webdataset import read_samples
from undiffuse.errors import UserError
from undiffuse.imaging.files import read_text, write_atomic

SIDE = 256
DOMINANT_SHARE = 0.6
FLUENT_FLAT = "json/fluent-emoji-flat.json"
CLIPS_PER_NAME = 3
STATE = "sets"  # folder of what is known of the sets that are done

Log = Callable[[str], None]


def read_test_words(path: Path) -> list[str]:
    """The keys of a JSON file. UserError if it can't be read or holds no object."""
    try:
        value = json.loads(read_text(path))
    except ValueError as error:
        raise UserError(f"{path} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise UserError(f"{path} holds a {type(value).__name__}: its keys are to be the words")
    return list(value)


def fetch(folder: Path) -> None:
    """Download the packages that `folder` lacks. UserError if one can't be had."""
    npm.fetch([*PACKAGES, ICONIFY, EMOJI_3D, OPEN_PEEPS], folder)
    deb.fetch(clipart.OPENCLIPART, folder)


def plan_all(folder: Path, words: Words) -> list[Plan]:
    """The plans of all sets, with their splits. UserError if a package is missing."""
    paths = {f"json/{icon_set.prefix}.json": icon_set for icon_set in ICON_SETS}
    files = npm.read_files(ICONIFY, folder, paths.__contains__)
    for path in paths:
        if path not in files:
            raise UserError(f"{ICONIFY.tarball} in {folder} has no {path}: delete it and run again")
    flat = npm.parse_json(ICONIFY, FLUENT_FLAT, files[FLUENT_FLAT])
    fluent = read_icon_file(flat).chars  # Fluent Emoji in color has the same names, but no codes
    plans = []
    for path, icon_set in paths.items():
        data = npm.parse_json(ICONIFY, path, files.pop(path))
        chars = fluent if icon_set.prefix.startswith("fluent-emoji") else {}
        plans.append(plan_set(icon_set, data, words, chars))
    emoji = [plan for plan in plans if plan.emoji]
    icons = [plan for plan in plans if not plan.emoji]
    plans = [*emoji, plan_3d(folder, words), *icons, plan_clipart(folder, words),
             plan_people(folder)]  # fmt: skip
    hold_out(plans, flag_concepts(words.emoji))
    return plans


def plan_3d(folder: Path, words: Words) -> Plan:
    """Fluent Emoji in three dimensions, from WebP files."""
    files = npm.read_files(EMOJI_3D, folder, lambda path: path.endswith(".webp"))
    sources = {normalize_code(Path(path).stem): data for path, data in files.items()}
    author = License("MIT", "Microsoft", EMOJI_3D.version)
    plan = Plan("3d", "3d", "emoji", author, emoji=True)
    add_emoji(plan, words, sources)
    return plan


def plan_clipart(folder: Path, words: Words) -> Plan:
    """Objects of the Open Clip Art Library, of each name the smallest drawings."""
    author = License("public domain", "Open Clip Art Library", clipart.OPENCLIPART.version)
    plan = Plan("clipart", "clipart", "clipart", author)
    clips = []
    for clip in clipart.read_clips(folder):
        if isinstance(clip, tuple):
            plan.leave_out(clip[1], clip[0])
        else:
            clips.append(clip)
    taken: Counter[str] = Counter()
    for clip in sorted(clips, key=lambda one: (len(one.svg), one.path)):
        senses = [(name, meaning(name, _clip_rule(clip, name), words.net)) for name in clip.names]
        name, found = next((pair for pair in senses if pair[1]), ("", None))
        if found is None or words.tests.occur(name):
            plan.leave_out("names nothing concrete" if found is None else "test word", clip.path)
        elif taken[name] == CLIPS_PER_NAME:
            plan.leave_out("another drawing of the same name", clip.path)
        else:
            taken[name] += 1
            record = words.icon_record(name, found, clip.subjects)
            held_out = split.unit_hash("icon", plan.name, name) < split.VALIDATION_SHARE
            part = split.VALIDATION if held_out else split.TRAIN
            plan.add(clip.path.removesuffix(".svg"), clip.svg, record, part)
    return plan


def _clip_rule(clip: clipart.Clip, name: str) -> Rule:
    """File names end in the names of people and the like: they have to be concrete as a whole."""
    return "head" if name == clip.names[0] else "whole"


def plan_people(folder: Path) -> Plan:
    """People of Open Peeps."""
    plan = Plan("open-peeps", "open peeps", "people",
                License("CC0-1.0", "Pablo Stanley", OPEN_PEEPS.version))  # fmt: skip
    parts = peeps.read_parts(folder)
    for index, person in enumerate(peeps.people(peeps.COUNT)):
        held_out = split.unit_hash("icon", plan.name, str(person)) < split.VALIDATION_SHARE
        part = split.VALIDATION if held_out else split.TRAIN
        plan.add(f"{index:05d}", peeps.draw(person, parts), peeps.record_of(person, parts), part)
    return plan


def build(
    out: Path, folder: Path, *, offline: bool = False, workers: int = 2, side: int = SIDE,
    test_words: Iterable[str] = (), log: Log = lambda line: None,
) -> Report:  # fmt: skip
    """Build the data set in `out` from the packages in `folder`, downloaded there unless `offline`.

    test_words: words that must be in no text; `report.json` counts what was left out for them.
    UserError if npm, apt, WordNet or a package is missing.
    """
    if not offline:
        log("fetching the packages")
        fetch(folder)
    words = read_words(folder, test_words)
    plans = plan_all(folder, words)
    log(f"{sum(len(plan.drawings) for plan in plans)} drawings of {len(plans)} sets to render")
    report, seen, start, chain = Report(), Seen(), monotonic(), f"{side}"
    with ProcessPoolExecutor(workers) as pool:
        for number, plan in enumerate(plans, 1):
            chain = _digest(plan, chain)
            count = _make_set(plan, chain, out, side, seen, report, pool)
            log(f"{plan.name}: {count} pictures, set {number} of {len(plans)}, "
                f"{monotonic() - start:.0f} s")  # fmt: skip
    _remove_others(out, {plan.name for plan in plans})
    report.test_words_dropped = dict(words.tests.dropped)
    return report


def _digest(plan: Plan, before: str) -> str:
    """Of everything that a set's shards depend on, the sets before it included."""
    digest = hashlib.sha256(before.encode())
    for drawing in plan.drawings:
        digest.update(repr((drawing.key, drawing.source, drawing.record)).encode())
    return digest.hexdigest()


def _make_set(
    plan: Plan, chain: str, out: Path, side: int, seen: Seen, report: Report, pool: Executor
) -> int:
    """Render and write a set, or read what an interrupted run wrote. Returns the pictures."""
    state = out / STATE / f"{plan.name}.json"
    done = json.loads(state.read_text(encoding="utf-8")) if state.exists() else {}
    records: list[dict[str, Any]] = []
    if done.get("digest") == chain:
        files = list(_read_set(out, plan.name))
        pictures = describe_all((png for _, png, _ in files), pool, side)
        for (key, _, record), picture in zip(files, pictures, strict=True):
            seen.add(key, picture)
            records.append(record)
    else:
        state.unlink(missing_ok=True)
        done = {"digest": chain, "duplicates": [], "broken": []}
        write_shards(_samples(plan, side, seen, done, records, pool), out, prefix=plan.name)
        state.parent.mkdir(exist_ok=True)
        write_atomic(state, json.dumps(done).encode())
    report.duplicates += done["duplicates"]
    report.broken += done["broken"]
    report.left_out[plan.name] = plan.left_out
    report.count(plan, records)
    return len(records)


def _samples(
    plan: Plan, side: int, seen: Seen, done: dict[str, Any], records: list[dict[str, Any]],
    pool: Executor,
) -> Iterator[EncodedSample]:  # fmt: skip
    """The set's pictures that are not those of an earlier set, nor (icons) of the same one."""
    own: list[tuple[str, Rendered]] = []
    whole = plan.group != "clipart"
    for drawing, picture in render_all(plan.drawings, pool, side, plan.thick, whole):
        if isinstance(picture, str):
            done["broken"].append(f"{drawing.key}: {picture}")
        elif original := seen.find(picture):
            done["duplicates"].append([drawing.key, original])
        else:
            own.append((drawing.key, picture))
            if not plan.emoji:
                seen.add(*own.pop())
            record = _with_colors(drawing, picture)
            records.append(record)
            yield EncodedSample(drawing.key, picture.png, record)
    for key, picture in own:
        seen.add(key, picture)


def _with_colors(drawing: Drawing, picture: Rendered) -> dict[str, Any]:
    """The record with the colors' names. `colour`: of pictures that have one main color."""
    plain = picture.dominant >= DOMINANT_SHARE and drawing.record["group"] != FLAGS
    named = plain and not drawing.record["tintable"]
    colour = picture.colors[0] if named and picture.colors else ""
    return {**drawing.record, "colors": picture.colors, "colour": colour}


def _shards(out: Path, name: str) -> list[Path]:
    return sorted(out.glob(f"{name}-{'[0-9]' * 6}.tar"))


def _read_set(out: Path, name: str) -> Iterator[tuple[str, bytes, dict[str, Any]]]:
    """Key, PNG file and record of each picture that an earlier run wrote."""
    for path in _shards(out, name):
        with path.open("rb") as raw:
            for key, files, _, _ in read_samples(raw):
                yield key, files["picture"], json.loads(files["json"])


def _remove_others(out: Path, names: set[str]) -> None:
    """Shards of sets that an earlier version of the table had."""
    for state in (out / STATE).glob("*.json"):
        if state.stem not in names:
            for path in (*_shards(out, state.stem), state):
                path.unlink()
