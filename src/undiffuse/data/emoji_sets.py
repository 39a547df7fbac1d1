"""The open emoji families: which npm package holds each, pinned, and under which licence.

A family whose licence asks that what is made from it carry the same licence (CC BY-SA) is never
trained on: weights that learned from it could not be shared freely. OpenMoji is for evaluation.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Package:
    """An npm package at a pinned version."""

    name: str
    version: str
    licence: str

    @property
    def tarball(self) -> str:
        """The file name `npm pack` gives it."""
        return f"{self.name.lstrip('@').replace('/', '-')}-{self.version}.tgz"


@dataclass(frozen=True)
class Family:
    """One set of emoji in one style. `kind`: "sprites" are PNG files, "icons" are SVG bodies."""

    name: str
    title: str
    package: Package
    kind: str
    trained: bool = True


NAMES = Package("emojibase-data", "17.0.0", "MIT")
FLAT = Package("@iconify-json/fluent-emoji-flat", "1.2.6", "MIT")

# The licence is that of the pictures, which need not be that of the package around them.
FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family(
            "noto",
            "Noto Emoji",
            Package("emoji-datasource-google", "16.0.0", "Apache-2.0"),
            "sprites",
        ),
        Family(
            "twemoji",
            "Twemoji",
            Package("emoji-datasource-twitter", "16.0.0", "CC-BY-4.0"),
            "sprites",
        ),
        Family(
            "fluent",
            "Fluent Emoji, colour",
            Package("@iconify-json/fluent-emoji", "1.2.7", "MIT"),
            "icons",
        ),
        Family("flat", "Fluent Emoji, flat", FLAT, "icons"),
        Family(
            "emojione",
            "EmojiOne 2",
            Package("@iconify-json/emojione", "1.2.3", "CC-BY-4.0"),
            "icons",
        ),
        Family(
            "blob",
            "Noto Emoji 1, the blobs",
            Package("@iconify-json/noto-v1", "1.2.5", "Apache-2.0"),
            "icons",
        ),
        Family(
            "openmoji",
            "OpenMoji",
            Package("@iconify-json/openmoji", "1.2.29", "CC-BY-SA-4.0"),
            "icons",
            trained=False,
        ),
    )
}
TRAINED = tuple(name for name, family in FAMILIES.items() if family.trained)
