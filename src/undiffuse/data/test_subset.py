"""A small part of the emoji set, for tests: whole concepts, chosen by hash, with composites."""

from collections.abc import Iterator, Sequence
from itertools import zip_longest

from undiffuse.data.composites import composites
from undiffuse.data.emoji_sets import TRAINED
from undiffuse.data.shards import Sample
from undiffuse.data.split import unit_hash
from undiffuse.errors import UserError

# Always there: what prompts ask for, two heads and what they can wear, and pairs of pictures of
# which one shows something more: man and man cook, cat and cat face.
ALWAYS = "red apple, green apple, man, man cook, cat, cat face, grinning face, top hat, glasses"
# Of six: people in all of them would be the whole sample.
KEPT_TONES = ("", "light skin tone", "dark skin tone")
COMPOSITE_SHARE = 0.08


def choose(samples: Sequence[Sample], count: int) -> list[Sample]:
    """`count` originals or a few more, each concept in every family that trained weights may share.

    After `ALWAYS`, the groups and the held-out concepts take turns, each in an order by hash. The
    choice out of a choice is that choice again. Raises UserError when there are fewer.
    """
    concepts: dict[str, list[Sample]] = {}
    for sample in samples:
        record = sample.record
        shared = record["family"] in TRAINED and not record.get("composite")
        if shared and record["tone"] in KEPT_TONES:
            concepts.setdefault(record["concept"], []).append(sample)
    chosen: set[str] = set()
    total = 0
    for concept in _order({name: found[0].record for name, found in concepts.items()}):
        if total >= count:
            break
        chosen.add(concept)
        total += len(concepts[concept])
    if total < count:
        raise UserError(f"there are only {total} pictures to choose {count} from")
    return [sample for name, found in concepts.items() if name in chosen for sample in found]


def _order(records: dict[str, dict]) -> Iterator[str]:
    always = {record["name"]: concept for concept, record in records.items()}
    first = [always[name] for name in ALWAYS.split(", ") if name in always]
    yield from first
    kinds: dict[str, list[str]] = {}
    for concept in sorted(records.keys() - first, key=lambda name: unit_hash("sample", name)):
        record = records[concept]
        rare = record["split"] == "held-out concept"
        kinds.setdefault("held-out concept" if rare else record["group"], []).append(concept)
    for turn in zip_longest(*(kinds[kind] for kind in sorted(kinds))):
        yield from (concept for concept in turn if concept is not None)


def with_composites(chosen: Sequence[Sample]) -> Iterator[tuple[str, list[Sample]]]:
    """Shard prefix -> samples: the families apart, as their licences are, then composites."""
    for family in TRAINED:
        own = [sample for sample in chosen if sample.record["family"] == family]
        if own:
            yield family, own
    yield "composite", list(composites(chosen, round(len(chosen) * COMPOSITE_SHARE)))
