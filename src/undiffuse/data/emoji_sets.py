"""The open emoji sets: the style's name, the pinned npm package, and the license of the pictures.

A set under a share-alike license (CC BY-SA) is never trained on, because the weights could not be
shared freely. OpenMoji is used for evaluation only.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Package:
    """An npm package at a pinned version. `integrity`: npm's "sha512-..." of the tarball, checked
    if it is given.
    """

    name: str
    version: str
    integrity: str = ""

    @property
    def tarball(self) -> str:
        """The file name that `npm pack` gives it."""
        return f"{self.name.lstrip('@').replace('/', '-')}-{self.version}.tgz"


@dataclass(frozen=True)
class EmojiSet:
    """Emoji in one style. `license`: of the pictures, which can differ from the package's."""

    style: str
    package: Package
    license: str

    @property
    def trained(self) -> bool:
        return not self.license.startswith("CC-BY-SA")

    @property
    def has_png_files(self) -> bool:
        """Whether the package holds PNG files of 64x64 pixels, and not an Iconify file of SVG."""
        return self.package.name.startswith("emoji-datasource")


EMOJIBASE = Package("emojibase-data", "17.0.0")  # names and keywords; MIT
FLUENT_FLAT = Package("@iconify-json/fluent-emoji-flat", "1.2.6")
_SETS = (
    EmojiSet("noto", Package("emoji-datasource-google", "16.0.0"), "Apache-2.0"),
    EmojiSet("twemoji", Package("emoji-datasource-twitter", "16.0.0"), "CC-BY-4.0"),
    EmojiSet("fluent", Package("@iconify-json/fluent-emoji", "1.2.7"), "MIT"),
    EmojiSet("flat", FLUENT_FLAT, "MIT"),
    EmojiSet("emojione", Package("@iconify-json/emojione", "1.2.3"), "CC-BY-4.0"),
    EmojiSet("blob", Package("@iconify-json/noto-v1", "1.2.5"), "Apache-2.0"),
    EmojiSet("openmoji", Package("@iconify-json/openmoji", "1.2.29"), "CC-BY-SA-4.0"),
)
EMOJI_SETS = {emoji_set.style: emoji_set for emoji_set in _SETS}
TRAINED_STYLES = tuple(style for style, emoji_set in EMOJI_SETS.items() if emoji_set.trained)
