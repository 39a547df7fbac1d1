"""Small packages in the form of those that `undiffuse data pictures` is built from."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

from PIL import Image

from undiffuse.data import peeps
from undiffuse.data.emoji_sets import EMOJIBASE, Package
from undiffuse.data.emoji_words import CLDR, CLDR_DERIVED, EMOJILIB
from undiffuse.data.icon_sets import EMOJI_3D, ICON_SETS, ICONIFY, OPEN_PEEPS
from undiffuse.data.picture_words import SHORTCODES

EMOJI = [
    {"hexcode": "1F436", "label": "dog", "group": 0, "subgroup": 0, "tags": ["pet", "pangolin"]},
    {"hexcode": "1FAB6", "label": "feather", "group": 0, "subgroup": 0},
    {"hexcode": "1F431", "label": "cat", "group": 0, "subgroup": 0},
    {"hexcode": "1F44B", "label": "waving hand", "group": 1, "subgroup": 0,
     "skins": [{"hexcode": "1F44B-1F3FF", "label": "waving hand: dark skin tone", "tone": 5}]},
]  # fmt: skip
MESSAGES = {
    "groups": [{"order": 0, "message": "animals & nature"}, {"order": 1, "message": "people"}],
    "subgroups": [{"order": 0, "message": "things"}],
}


def drawing(index: int, color: str) -> str:
    """Different drawings for different numbers, which no hash confuses."""
    x, y = 4 + 6 * (index % 4), 4 + 6 * (index // 4 % 4)
    corner = 2 + index * 3 % 24
    return (
        f'<path fill="{color}" d="M{x} {y}h14v4h-10v{4 + index % 7}h-4z"/>'
        f'<rect fill="{color}" x="{corner}" y="{28 - corner}" width="{5 + index % 5}" height="6"/>'
    )


def pack(folder: Path, package: Package, files: dict[str, Any]) -> None:
    """Write the tarball of a package."""
    files = {"package.json": {"version": package.version}, **files}
    with tarfile.open(folder / package.tarball, "w:gz") as tar:
        for name, data in files.items():
            raw = data if isinstance(data, bytes) else json.dumps(data).encode()
            info = tarfile.TarInfo(f"package/{name}")
            info.size = len(raw)
            tar.addfile(info, io.BytesIO(raw))


def icon_files() -> dict[str, Any]:
    """One file for each set: emoji, or icons good and bad."""
    files = {}
    for number, icon_set in enumerate(ICON_SETS):
        if icon_set.rule == "emoji":
            names = ["dog", "feather", "cat", "waving-hand", "waving-hand-dark-skin-tone"]
        else:
            ending = icon_set.variants[0]
            plain = ["hot-dog", "broken-sword", "sword", "arrow-left", "idea", "pangolin", "apple"]
            names = [name + ending for name in plain]
        color = "currentColor" if icon_set.tintable else "#d22"
        icons = {name: {"body": drawing(7 * number + i, color)} for i, name in enumerate(names)}
        info = {"author": {"name": f"Author {number}"}, "license": {"spdx": "MIT"}, "version": "1"}
        files[f"json/{icon_set.prefix}.json"] = {
            "prefix": icon_set.prefix, "info": info, "icons": icons, "width": 32, "height": 32,
        }  # fmt: skip
    return files


def webp(color: tuple[int, int, int, int]) -> bytes:
    out = io.BytesIO()
    picture = Image.new("RGBA", (64, 64))
    picture.paste(color, (8, 8, 40, 56))
    picture.save(out, "WEBP", lossless=True)
    return out.getvalue()


def component(names: dict[str, str]) -> bytes:
    """The generated JavaScript of a slot's parts."""
    color = "${escape.xml(`${colors.headContrast}`)}"
    lines = [f'    {name}: (components, colors) => `<circle r="90" fill="{color}"/>`,'
             for name in names if name]  # fmt: skip
    return ("export const x = {\n" + "\n".join(lines) + "\n};\n").encode()


def write_packages(folder: Path) -> None:
    """All npm packages."""
    codes = {"1F436": "dog", "1F431": "cat"}
    names = {"en/data.json": EMOJI, "en/messages.json": MESSAGES}
    pack(folder, EMOJIBASE, names | dict.fromkeys(SHORTCODES, codes))
    pack(folder, EMOJILIB, {"dist/emoji-en-US.json": {"\U0001f436": ["dog", "doggy", "dog2"]}})
    annotations = {"\U0001f431": {"default": ["pet", "feline"], "tts": ["cat"]}}
    path, key = "annotations/en/annotations.json", "annotations"
    pack(folder, CLDR, {path: {key: {"annotations": annotations}}})
    pack(folder, CLDR_DERIVED, {})
    pack(folder, ICONIFY, icon_files())
    pack(folder, EMOJI_3D, {"assets/1f436.webp": webp((200, 90, 30, 255)),
                            "assets/1f431.webp": webp((30, 90, 200, 255))})  # fmt: skip
    slots = {"head": peeps.HEADS, "face": peeps.FACES, "facialHair": peeps.BEARDS,
             "mask": peeps.MASKS, "accessories": peeps.GLASSES}  # fmt: skip
    body = "".join(f"${{(_b = (_a = components.{slot}) === null ? void 0 : '')}}" for slot in slots)
    shirt = '<rect width="704" height="400" fill="${escape.xml(`${colors.clothing}`)}"/>'
    files: dict[str, Any] = {f"lib/components/{slot}.js": component(slots[slot]) for slot in slots}
    files["lib/index.js"] = f"x = {{\n  body: `{shirt}{body}`,\n}}".encode()
    pack(folder, OPEN_PEEPS, files)
