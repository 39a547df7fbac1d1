"""Which pictures train, and which are kept to judge: fixed by hashes, so that it never moves.

A *concept* is an emoji without its skin tone ("man cook"); a *cell* is a concept in one family.
- held-out concepts: trained in no family at all;
- held-out cells: one family of a concept, in all its skin tones, where others are trained.
"""

import hashlib
from collections.abc import Iterable, Mapping

SALT = "undiffuse-1"
CONCEPT_SHARE = 0.03
CELL_SHARE = 0.42
MIN_FAMILIES = 3  # what is held out must have been drawn by this many families


def unit_hash(*parts: str) -> float:
    """A number in [0, 1) that depends on the parts and on nothing else."""
    digest = hashlib.sha256("\x1f".join((SALT, *parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def split_cells(families: Mapping[str, Iterable[str]], flags: set[str]) -> dict[str, str]:
    """For each concept what is held out: "concept", a family's name, or "" for nothing.

    `families`: concept -> the trained families that draw it. Flags are never held out.
    """
    return {
        concept: _held_out(concept, sorted(drawn), flags) for concept, drawn in families.items()
    }


def _held_out(concept: str, drawn: list[str], flags: set[str]) -> str:
    if concept in flags or len(drawn) < MIN_FAMILIES:
        return ""
    if unit_hash("concept", concept) < CONCEPT_SHARE:
        return "concept"
    if unit_hash("cell", concept) < CELL_SHARE:
        return drawn[int(unit_hash("family", concept) * len(drawn))]
    return ""
