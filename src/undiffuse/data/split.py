"""Which pictures are trained on and which are held out, fixed by hashes.

A *concept* is an emoji without its skin tone ("man cook"). Held out for evaluation are
- whole concepts, in every style;
- (concept, style) pairs, in all skin tones. The concept is trained on in the other styles.

A record's `split` is one of the four constants below.
"""

import hashlib
from collections.abc import Iterable, Mapping

TRAIN, HELD_OUT_PAIR, HELD_OUT_CONCEPT = "train", "held-out cell", "held-out concept"
UNSEEN_STYLE = "evaluation"  # of a style that is never trained on
SALT = "undiffuse-1"
CONCEPT_SHARE = 0.03
PAIR_SHARE = 0.42
MIN_STYLES = 3  # a concept in fewer styles is never held out


def unit_hash(*parts: str) -> float:
    """A number in [0, 1) that depends only on the parts."""
    digest = hashlib.sha256("\x1f".join((SALT, *parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def split_concepts(styles: Mapping[str, Iterable[str]], flags: set[str]) -> dict[str, str]:
    """What is held out of each concept: "concept" for all of it, a style, or "" for nothing.

    `styles`: concept -> the trained styles that have it. `flags`: concepts never held out.
    """
    return {name: _held_out(name, sorted(have), flags) for name, have in styles.items()}


def _held_out(concept: str, styles: list[str], flags: set[str]) -> str:
    if concept in flags or len(styles) < MIN_STYLES:
        return ""
    if unit_hash("concept", concept) < CONCEPT_SHARE:
        return "concept"
    if unit_hash("cell", concept) < PAIR_SHARE:
        return styles[int(unit_hash("family", concept) * len(styles))]
    return ""
