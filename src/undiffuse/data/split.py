"""Which pictures are trained on and which are held out, fixed by hashes.

A *concept* is an emoji without its skin tone ("man cook"). Held out for evaluation are
- whole concepts, in every style;
- (concept, style) pairs, in all skin tones. The concept is trained on in the other styles.

A record's `split` is one of the constants below.
"""

import hashlib
from collections.abc import Iterable, Mapping

TRAIN, HELD_OUT_PAIR, HELD_OUT_CONCEPT = "train", "held-out cell", "held-out concept"
UNSEEN_STYLE = "evaluation"  # of a style that is never trained on
VALIDATION = "validation"  # icons that are not trained on, of sets that are
UNSEEN_SET = "unseen style"  # an icon set that is kept for fine-tuning experiments
SALT = "undiffuse-1"
CONCEPT_SHARE = 0.03
PAIR_SHARE = 0.42
VALIDATION_SHARE = 0.03  # of the icons
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
    return _held_out_pair(concept, styles)


def split_pairs(styles: Mapping[str, Iterable[str]], flags: set[str], never: str) -> dict[str, str]:
    """The style that is held out of each concept, or "" for none. `never`: a style that never is.

    As `split_concepts`, but no concept is held out in every style.
    """
    return {
        name: _held_out_pair(name, sorted(set(have) - {never}))
        if name not in flags and len(set(have)) >= MIN_STYLES
        else ""
        for name, have in styles.items()
    }


def _held_out_pair(concept: str, styles: list[str]) -> str:
    if styles and unit_hash("cell", concept) < PAIR_SHARE:
        return styles[int(unit_hash("family", concept) * len(styles))]
    return ""
