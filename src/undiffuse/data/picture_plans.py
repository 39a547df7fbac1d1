"""Which icons of a set are drawn, and what their records say, before anything is rendered."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from undiffuse.data import colors, split
from undiffuse.data.emoji_names import FLAGS, Emoji
from undiffuse.data.icon_sets import DEFAULT_STYLE, IconSet, Rule
from undiffuse.data.icon_stop_words import VARIANTS
from undiffuse.data.icon_words import Meaning, is_clutter, meaning, readable
from undiffuse.data.iconify import Svg, match_emoji, read_icon_file
from undiffuse.data.picture_words import Words, squeeze
from undiffuse.data.rendering import Drawing

PER_NAME = 3  # drawings of one name in one set
FILLS = {
    "red": "#E5484D", "orange": "#F28C28", "yellow": "#F7CE46", "green": "#3FA34D",
    "blue": "#2F88FF", "purple": "#8E5BD0", "pink": "#F58FBF",
}  # fmt: skip
_KEY = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True)
class License:
    """Of the pictures of a set."""

    name: str
    author: str
    version: str


@dataclass
class Plan:
    """The drawings of a set. `left_out`: reason -> names. `thick`: see `render_all`."""

    name: str
    style: str
    group: str
    license: License
    drawings: list[Drawing] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)
    thick: bool = False
    emoji: bool = False  # emoji may look the same in one set (flags), and are kept
    _keys: Counter[str] = field(default_factory=Counter)

    def leave_out(self, reason: str, name: str) -> None:
        self.left_out.setdefault(reason, []).append(name)

    def add(self, name: str, source: Svg | bytes, record: Mapping[str, Any], part: str) -> None:
        """Take a drawing. `part`: its split."""
        key = f"{self.name}_{_KEY.sub('-', name.lower()).strip('-')}"[:80]
        self._keys[key] += 1
        key += f"-v{self._keys[key]}" if self._keys[key] > 1 else ""
        common = {
            "family": self.style, "style_group": self.group, "set": self.name, "split": part,
            "license": self.license.name, "tintable": self.group == "silhouette",
        }  # fmt: skip
        self.drawings.append(Drawing(key, source, {**record, **common}))


def plan_set(
    icon_set: IconSet, data: Mapping[str, Any], words: Words, chars: Mapping[str, str]
) -> Plan:
    """The plan of an Iconify set. Split of icons: a few for validation, or all unseen.

    chars: emoji code -> icon, of all sets of this designer.
    """
    info = data.get("info", {})
    license_ = License(
        info.get("license", {}).get("spdx", ""), info.get("author", {}).get("name", ""),
        str(info.get("version", "")),
    )  # fmt: skip
    plan = Plan(
        icon_set.name, icon_set.style, icon_set.group, license_,
        thick=icon_set.tintable, emoji=icon_set.group == "emoji",
    )  # fmt: skip
    if icon_set.rule == "emoji":
        _plan_emoji(plan, icon_set, data, words, chars)
    else:
        _plan_icons(plan, icon_set, data, words)
    return plan


def _plan_emoji(
    plan: Plan, icon_set: IconSet, data: Mapping[str, Any], words: Words, chars: Mapping[str, str]
) -> None:
    file = read_icon_file(_without_homonyms(data, words))
    found = match_emoji(file, words.emoji, {**chars, **file.chars})
    if len(found) < len(file.icons) / 2:  # the set spells most names in its own way
        for name, svg in file.icons.items():
            if code := words.aliases.get(squeeze(name)):
                found.setdefault(code, svg)
    add_emoji(plan, words, found, unseen=icon_set.unseen)


def _without_homonyms(data: Mapping[str, Any], words: Words) -> Mapping[str, Any]:
    """The file without flags that are named like other emoji: Turkey, the country."""
    flags = data.get("categories", {}).get("Flags", ())
    codes = {name: words.aliases.get(squeeze(name), "") for name in flags}
    wrong = {name for name, code in codes.items() if words.group_of.get(code, FLAGS) != FLAGS}
    icons = {name: icon for name, icon in data["icons"].items() if name not in wrong}
    return {**data, "icons": icons}


def add_emoji(
    plan: Plan, words: Words, sources: Mapping[str, Svg | bytes], *, unseen: bool = False
) -> None:
    """Every emoji that has a source. Of sets in one color, neither skin tones nor symbols."""
    for row in words.emoji:
        if row.code not in sources:
            plan.leave_out("not in this set", row.label)
        elif not plan.emoji and _names_color(row.name):
            plan.leave_out("named after a color", row.name)
        elif plan.emoji or not (row.tone or row.group in (FLAGS, "symbols")):
            record = words.emoji_record(row)
            if words.tests.occur(row.name):
                plan.leave_out("its name is a test word", row.name)
                continue
            part = _icon_split(plan.name, row.name, unseen=unseen)
            plan.add(row.code, sources[row.code], record, split.TRAIN if plan.emoji else part)
            if unseen:
                plan.drawings[-1].record["split"] = split.UNSEEN_STYLE


def _icon_split(prefix: str, name: str, *, unseen: bool) -> str:
    if unseen:
        return split.UNSEEN_SET
    held_out = split.unit_hash("icon", prefix, name) < split.VALIDATION_SHARE
    return split.VALIDATION if held_out else split.TRAIN


def _plan_icons(plan: Plan, icon_set: IconSet, data: Mapping[str, Any], words: Words) -> None:
    taken: dict[str, int] = {}
    for name, said, svg in variants(icon_set, data):
        if icon_set.tintable and _names_color(said):
            plan.leave_out("named after a color", name)
        elif is_clutter(said) or said in icon_set.skip:
            plan.leave_out("user interface, brand, letter or number", name)
        elif words.tests.occur(said):
            plan.leave_out("its name is a test word", name)
        elif (found := _meaning(said, icon_set.rule, words)) is None:
            plan.leave_out("names nothing concrete", name)
        elif taken.get(said, 0) >= PER_NAME:
            plan.leave_out("another drawing of the same name", name)
        else:
            if icon_set.rule == "tail":
                said, found = found.phrase, replace(found, whole=True)
            taken[said] = taken.get(said, 0) + 1
            part = _icon_split(plan.name, said, unseen=icon_set.unseen)
            plan.add(name, restyle(svg, icon_set, name), words.icon_record(said, found), part)


def _names_color(name: str) -> bool:
    return any(word in colors.NAMES for word in name.split())


def _meaning(name: str, rule: Rule, words: Words) -> Meaning | None:
    found = meaning(name, rule, words.net)
    return found or (Meaning("", name, whole=True, plain=False) if rule == "any" else None)


def variants(icon_set: IconSet, data: Mapping[str, Any]) -> Iterator[tuple[str, str, Svg]]:
    """(icon, readable name, SVG) of each visible icon in the preferred variant."""
    visible = {name: icon for name, icon in data["icons"].items() if not icon.get("hidden")}
    endings = {f"-{ending}" for ending in (*data.get("suffixes", ()), *VARIANTS) if ending}
    endings |= {*icon_set.variants, "-24px", "-outline-24px", "-negative"} - {""}
    longest = sorted(endings, key=lambda ending: (-len(ending), ending))
    best: dict[str, tuple[int, str]] = {}
    for name in visible:
        ending = next((end for end in longest if name.endswith(end) and name != end), "")
        if ending in icon_set.variants:
            rank = icon_set.variants.index(ending)
            base = name.removesuffix(ending)
            best[base] = min(best.get(base, (rank, name)), (rank, name))
    icons = read_icon_file({**data, "icons": visible}).icons
    for base, (_, name) in sorted(best.items()):
        yield name, readable(base.removeprefix("i-")), icons[name]


def restyle(svg: Svg, icon_set: IconSet, name: str) -> Svg:
    """The icon with bolder strokes, and with its exchangeable fill in a color chosen by hash."""
    body = svg[0].replace(*icon_set.stroke) if icon_set.stroke[0] else svg[0]
    if icon_set.fill:
        choice = list(FILLS.values())
        color = choice[int(split.unit_hash("fill", icon_set.prefix, name) * len(choice))]
        body = re.sub(icon_set.fill, color, body, flags=re.IGNORECASE)
    return (body, *svg[1:])


def hold_out(plans: Iterable[Plan], flags: set[str]) -> None:
    """Mark the held-out (concept, style) pairs of the trained emoji families, in all skin tones.

    None is in the default style, in which every name is trained on.
    """
    families = [plan for plan in plans if plan.emoji and _is_trained(plan)]
    styles: dict[str, set[str]] = {}
    for plan in families:
        for drawing in plan.drawings:
            styles.setdefault(drawing.record["concept"], set()).add(plan.style)
    held_out = split.split_pairs(styles, flags, never=DEFAULT_STYLE)
    for plan in families:
        for drawing in plan.drawings:
            if held_out[drawing.record["concept"]] == plan.style:
                drawing.record["split"] = split.HELD_OUT_PAIR


def _is_trained(plan: Plan) -> bool:
    return all(drawing.record["split"] == split.TRAIN for drawing in plan.drawings)


def flag_concepts(emoji: Iterable[Emoji]) -> set[str]:
    """The concepts of flags."""
    return {row.name for row in emoji if row.group == FLAGS}
