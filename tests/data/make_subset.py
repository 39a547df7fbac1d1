"""Makes tests/data/emoji, a small subset of the emoji data set.

python -m tests.data.make_subset data/emoji tests/data/emoji
"""

import sys
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

from undiffuse.data.composites import make_composites
from undiffuse.data.emoji_sets import TRAINED_STYLES
from undiffuse.data.shards import Sample, find_shards, read_shards, write_shards
from undiffuse.data.split import unit_hash
from undiffuse.errors import UserError

# Always chosen: what the tests' prompts name, two heads and accessories for them, and pairs of
# names of which one adds a word: man and man cook, cat and cat face.
ALWAYS = "red apple, green apple, man, man cook, cat, cat face, grinning face, top hat, glasses"
# Of six: people in all of them would fill the subset.
KEPT_TONES = ("", "light skin tone", "dark skin tone")
COMPOSITE_SHARE = 0.08


def choose(samples: Sequence[Sample], count: int) -> list[Sample]:
    """`count` emoji or slightly more: whole concepts, in every style that is trained on.

    After `ALWAYS`, the groups and the held-out concepts take turns, each ordered by hash. Choosing
    from a subset gives that subset again. Raises UserError if there are fewer than `count`.
    """
    concepts: dict[str, list[Sample]] = {}
    for sample in samples:
        record = sample.record
        is_original = record["family"] in TRAINED_STYLES and not record.get("composite")
        if is_original and record["tone"] in KEPT_TONES:
            concepts.setdefault(record["concept"], []).append(sample)
    total = sum(map(len, concepts.values()))
    if total < count:
        raise UserError(f"there are only {total} pictures to choose {count} from")
    chosen: set[str] = set()
    order = _order({concept: group[0].record for concept, group in concepts.items()})
    while sum(len(concepts[concept]) for concept in chosen) < count:
        chosen.add(next(order))
    return [sample for name, group in concepts.items() if name in chosen for sample in group]


def _order(records: dict[str, dict]) -> Iterator[str]:
    concept_of = {record["name"]: concept for concept, record in records.items()}
    first = [concept_of[name] for name in ALWAYS.split(", ") if name in concept_of]
    yield from first
    kinds: dict[str, list[str]] = {}
    for concept in sorted(records.keys() - first, key=lambda name: unit_hash("sample", name)):
        record = records[concept]
        held_out = record["split"] == "held-out concept"
        kinds.setdefault(record["split"] if held_out else record["group"], []).append(concept)
    for turn in zip_longest(*(kinds[kind] for kind in sorted(kinds))):
        yield from (concept for concept in turn if concept is not None)


def with_composites(chosen: Sequence[Sample]) -> Iterator[tuple[str, list[Sample]]]:
    """(shard prefix, samples): each style in its own shards, for its license, then composites."""
    for style in TRAINED_STYLES:
        own = [sample for sample in chosen if sample.record["family"] == style]
        if own:
            yield style, own
    count = round(len(chosen) * COMPOSITE_SHARE)
    yield "composite", list(make_composites(chosen, count))


def main(data: Path, out: Path, count: int = 250) -> None:
    """Write the subset of the data set in `data` to `out`."""
    chosen = choose(list(read_shards(find_shards(data))), count)
    for prefix, samples in with_composites(chosen):
        write_shards(samples, out, prefix=prefix)
        print(f"{prefix}: {len(samples)} pictures")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
