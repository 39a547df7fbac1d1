"""The picture sets of `undiffuse data pictures`: style, source, license, and which names are taken.

Left out: sets under GPL, share-alike and non-commercial licenses, brands, file types, coins and
country flags. OpenMoji (CC BY-SA) serves evaluation only, Flat Color Icons is never trained on.
"""

from dataclasses import dataclass
from typing import Literal

from undiffuse.data.emoji_sets import Package

ICONIFY = Package("@iconify/json", "2.2.535")  # nearly all open icon sets, each in one JSON file
EMOJI_3D = Package("@lobehub/fluent-emoji-3d", "1.1.0")  # MIT; 256x256 WebP
OPEN_PEEPS = Package("@dicebear/open-peeps", "9.4.3")  # code MIT, drawings CC0
DEFAULT_STYLE = "twemoji"  # what ships must draw every plain name in it: nothing is held out

Group = Literal["emoji", "color icon", "silhouette", "people", "clipart"]
# What a set's names are: those of emoji; phrases, whose last noun has to be concrete ("broken
# sword"); or nouns with modifiers ("home alert"), so that the whole name has to be concrete.
# "tail": words of categories stand before the name ("pet animals rabbit"), and are cut off.
# "any": what is not of a user interface.
Rule = Literal["emoji", "head", "tail", "whole", "any"]


@dataclass(frozen=True)
class IconSet:
    """Icons of one look.

    style     what captions call the look; several sets of one look share it.
    prefix    the set's name in `ICONIFY`.
    variants  endings of names in order of preference. Icons with another known ending are left out.
    stroke    (what, by what): the stroke width of the SVG, drawn bolder.
    fill      the color that the set's users are meant to exchange.
    skip      names that are of brands, or wrong, in this set.
    unseen    never trained on.
    """

    style: str
    prefix: str
    group: Group
    rule: Rule
    variants: tuple[str, ...] = ("",)
    stroke: tuple[str, str] = ("", "")
    fill: str = ""
    unseen: bool = False
    skip: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The set's name in keys and shards."""
        plain = self.style if self.group == "emoji" else self.prefix
        return f"{self.style}-{plain}" if self.style in ("solid", "line") else plain

    @property
    def tintable(self) -> bool:
        """Whether the icons have one color, which can be exchanged."""
        return self.group == "silhouette"


def _emoji(style: str, prefix: str, *, unseen: bool = False) -> IconSet:
    return IconSet(style, prefix, "emoji", "emoji", unseen=unseen)


def _color(
    style: str, prefix: str, *variants: str, rule: Rule = "head", fill: str = "",
    unseen: bool = False, skip: tuple[str, ...] = (),
) -> IconSet:  # fmt: skip
    return IconSet(
        style, prefix, "color icon", rule, variants or ("",), fill=fill, unseen=unseen, skip=skip
    )


def _mono(
    style: str, prefix: str, *variants: str, rule: Rule = "whole",
    stroke: tuple[str, str] = ("", ""), skip: tuple[str, ...] = (),
) -> IconSet:  # fmt: skip
    return IconSet(style, prefix, "silhouette", rule, variants or ("",), stroke, skip=skip)


# Of two pictures that are the same, the one of the earlier set is kept.
ICON_SETS = (
    _emoji(DEFAULT_STYLE, "twemoji"),
    _emoji("noto", "noto"),
    _emoji("fluent", "fluent-emoji"),
    _emoji("flat", "fluent-emoji-flat"),
    _emoji("emojione", "emojione"),
    _emoji("blob", "noto-v1"),
    _emoji("fxemoji", "fxemoji"),
    _emoji("streamline", "streamline-emojis"),
    _emoji("openmoji", "openmoji", unseen=True),
    _color("ultimate", "streamline-ultimate-color"),
    _color("kameleon", "streamline-kameleon-color"),
    _color("sticker", "streamline-stickies-color"),
    _color("flat ui", "flat-ui", skip=("retina", "trunk", "safe", "art")),
    _color("poly", "glyphs-poly"),
    _color("icon park", "icon-park", rule="whole", fill="#2F88FF", skip=("fork", "slave")),
    _color("gradient", "fluent-color", "-48", "-32", "-28", "-24", "-20", "-16"),
    _color("plump", "streamline-plump-color"),
    _color("flex", "streamline-flex-color"),
    _color("cyber", "streamline-cyber-color"),
    _color("sharp", "streamline-sharp-color"),
    _color("core", "streamline-color"),
    _color("flat color", "flat-color-icons", rule="any", unseen=True),
    _mono("mono emoji", "fluent-emoji-high-contrast", rule="emoji"),
    _mono("mono emoji", "emojione-monotone", rule="emoji"),
    _mono("pixel", "streamline-pixel", rule="tail"),
    _mono("game icon", "game-icons", rule="head"),
    _mono("pinhead", "pinhead", rule="head"),
    _mono("health icon", "healthicons", rule="head"),
    _mono("map icon", "roentgen", rule="head"),
    _mono("map icon", "temaki", rule="head"),
    _mono("map icon", "maki", rule="head"),
    _mono("solid", "mdi", "", "-outline", skip=("apple",)),
    _mono("solid", "ph", "-fill"),
    _mono("solid", "fa7-solid"),
    _mono("solid", "mingcute", "-fill"),
    _mono("solid", "solar", "-bold"),
    _mono("solid", "material-symbols", "-rounded"),
    _mono("solid", "fluent", "-24-filled", "-20-filled", "-28-filled", "-32-filled", "-48-filled"),
    _mono("solid", "boxicons", "-filled"),
    _mono("solid", "reicon", "-filled"),
    _mono("solid", "keyline-icons", "-fill"),
    _mono("solid", "glyphs", "-bold"),
    _mono("solid", "at-icons"),
    _mono("solid", "bi", "-fill", "", skip=("apple",)),
    _mono("solid", "carbon", "--filled", ""),
    _mono("solid", "vaadin"),
    _mono("solid", "fontisto"),
    _mono("solid", "icon-park-solid"),
    _mono("solid", "griddy-icons", "-filled"),
    _mono("solid", "si", "-fill"),
    _mono("solid", "mage", "-fill"),
    _mono("solid", "clarity", "-solid"),
    _mono("solid", "tdesign", "-filled"),
    _mono("solid", "ion", ""),
    _mono("solid", "f7", "-fill"),
    _mono("solid", "osmic"),
    _mono("solid", "icons8"),
    _mono("solid", "majesticons"),
    _mono("solid", "streamline-plump"),
    _mono("line", "lucide", stroke=('stroke-width="2"', 'stroke-width="2.2"')),
    _mono("line", "tabler", "-filled", ""),
    _mono("line", "hugeicons", stroke=('stroke-width="1.5"', 'stroke-width="2"')),
    _mono("line", "iconoir", "-solid", "", stroke=('stroke-width="1.5"', 'stroke-width="2"')),
)  # fmt: skip
