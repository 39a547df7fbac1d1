"""The emoji in this repository, read once: 254 pictures of six families and 20 composites."""

from functools import cache
from pathlib import Path

from undiffuse.clip.tokenizer import Tokenizer
from undiffuse.data.picture_set import PictureSet
from undiffuse.data.shards import Sample, find_shards, read_shards

FOLDER = Path(__file__).parent / "data" / "emoji"


@cache
def samples() -> tuple[Sample, ...]:
    """Originals and composites."""
    return tuple(read_shards(find_shards(FOLDER)))


@cache
def originals() -> tuple[Sample, ...]:
    return tuple(sample for sample in samples() if not sample.record.get("composite"))


@cache
def pictures() -> PictureSet:
    return PictureSet.from_samples(samples())


@cache
def tokenizer(size: int = 900) -> Tokenizer:
    """Learned from the names and keywords: some 390 merges over the 512 letters."""
    from undiffuse.training.bpe import train_bpe

    records = [sample.record for sample in originals()]
    texts = [text for record in records for text in (record["name"], *record["keywords"])]
    return train_bpe(texts, size, context=16)
