"""Sampling of training pictures."""

import numpy as np
from numpy.random import Generator

from undiffuse.config import DrawConfig
from undiffuse.data.picture_set import BalancedSampler, PictureSet

COMPOSITE_SHARE = 0.375
OTHER_SHARE = 0.2  # of the originals, where a data set has emoji and others
# Of the emoji, in the style that is drawn by default, beside those that the concepts bring.
DEFAULT_STYLE_SHARE = 0.25


class MixedSampler:
    """Samples original pictures evenly by concept, emoji more often than others and the default
    style more often than other styles, and composites as `COMPOSITE_SHARE` of them.
    """

    def __init__(self, pictures: PictureSet) -> None:
        self.composites = pictures.rows(lambda r: bool(r.get("composite")))
        originals = pictures.rows(lambda r: not r.get("composite"))
        emoji = pictures.rows(lambda r: not r.get("composite") and is_emoji(r))
        other = np.setdiff1d(originals, emoji)
        first, second = (emoji, other) if len(emoji) else (other, emoji)
        self.originals = BalancedSampler(pictures, first)
        self.other = BalancedSampler(pictures, second) if len(second) else None
        style = DrawConfig().style
        default = pictures.rows(lambda r: r["family"] == style and not r.get("composite"))
        self.default = BalancedSampler(pictures, default) if len(default) else None

    def draw(self, count: int, rng: Generator) -> np.ndarray:
        """`count` rows, the composites last."""
        composites = int(count * COMPOSITE_SHARE) if len(self.composites) else 0
        other = int((count - composites) * OTHER_SHARE) if self.other else 0
        emoji = count - composites - other
        default = int(emoji * DEFAULT_STYLE_SHARE) if self.default else 0
        rows = [self.originals.draw(emoji - default, rng)]
        if self.default and default:
            rows.append(self.default.draw(default, rng))
        if self.other and other:
            rows.append(self.other.draw(other, rng))
        if composites:
            rows.append(rng.choice(self.composites, composites))
        return np.concatenate(rows)


def is_emoji(record: dict) -> bool:
    """Whether a picture is an emoji, as all are of a data set that does not say."""
    return bool(record.get("style_group", "emoji") == "emoji")
