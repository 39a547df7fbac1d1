"""The split of a data set for the judge.

It is trained on all pictures but those of held-out (concept, style) pairs and the validation, on
which a model is not trained either. So real pictures of them are as new to it as drawings are.
"""

from undiffuse.data.picture_set import PictureSet
from undiffuse.data.split import HELD_OUT_PAIR, TRAIN, VALIDATION


def is_kept_out(record: dict) -> bool:
    """Whether the judge is not trained on the picture."""
    return record["split"] in (HELD_OUT_PAIR, VALIDATION)


def judge_split(pictures: PictureSet) -> PictureSet:
    """The same pictures, of which those that are kept out are "validation" and all others, also
    the concepts and styles that the model never sees, "train".
    """
    records = [
        {**record, "split": VALIDATION if is_kept_out(record) else TRAIN}
        for record in pictures.records
    ]
    return PictureSet(pictures.pictures, records, pictures.keys)
