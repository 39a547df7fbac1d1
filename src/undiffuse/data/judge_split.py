"""The split of a data set for the judge, which is trained on everything but one picture in ten."""

from undiffuse.data.picture_set import PictureSet
from undiffuse.data.split import TRAIN, VALIDATION, unit_hash

SHARE = 0.1  # of the (concept, style) pairs, kept out to measure the judge


def is_kept_out(record: dict) -> bool:
    """Whether the judge is measured on the picture. All skin tones of a concept go together."""
    return unit_hash("judge", record["concept"], record["family"]) < SHARE


def judge_split(pictures: PictureSet) -> PictureSet:
    """The same pictures, of which those that are kept out are "validation" and all others, also
    those that the model never sees, "train".
    """
    records = [
        {**record, "split": VALIDATION if is_kept_out(record) else TRAIN}
        for record in pictures.records
    ]
    return PictureSet(pictures.pictures, records, pictures.keys)
