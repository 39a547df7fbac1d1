"""How much more of its style and of its color a prompt gets in the last steps."""

from collections.abc import Sequence
from typing import NamedTuple

from undiffuse.config import DrawConfig
from undiffuse.pipeline.options import DrawOptions
from undiffuse.pipeline.prompt import Prompt


class Strengths(NamedTuple):
    """Of one row of a batch; 0 where the last steps have the vector of the others."""

    style: float
    color: float


def late_strengths(
    rows: Sequence[Prompt], config: DrawConfig, options: DrawOptions
) -> list[Strengths]:
    """The strengths of each row. A style that is only the model's default gets no strength, and a
    color of a literal prompt neither, unless the options give it.
    """
    styled = options.get("style_strength") is not None
    colored = not options.get("literal") or options.get("color_strength") is not None
    return [
        Strengths(
            config.style_strength * (styled or row.style_requested),
            config.color_strength * (colored and row.colorless != row.terms),
        )
        for row in rows
    ]
