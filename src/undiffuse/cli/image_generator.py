"""A loaded model, as evaluation asks for one."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from undiffuse.evaluation.protocols import Pictures
    from undiffuse.pipeline import TextToImage

BATCH = 16  # prompts drawn at once


class ModelPainter:
    """`evaluation.protocols.Painter` by a loaded model: index 0 of each prompt, as the command line
    draws it. A progress bar on stderr, where a person may be looking.
    """

    def __init__(self, model: "TextToImage") -> None:
        self.model = model

    def __call__(self, prompts: Sequence[str], styles: Sequence[str], seed: int) -> "Pictures":
        import numpy as np
        from tqdm import tqdm

        out = np.zeros((len(prompts), 3, 64, 64), np.uint8)
        # A call draws in one style; a picture does not depend on what is drawn beside it.
        rows = sorted(range(len(prompts)), key=lambda row: styles[row])
        with tqdm(total=len(rows), unit="picture", desc="drawing", disable=None) as bar:
            while rows:
                style = styles[rows[0]]
                part = [row for row in rows[:BATCH] if styles[row] == style]
                rows = rows[len(part) :]
                made = self.model.generate(
                    [prompts[row] for row in part], seed=seed, style=style or None
                )
                for row, picture in zip(part, made, strict=True):
                    out[row] = picture.pixels.transpose(2, 0, 1)
                bar.update(len(part))
        return out


def draw_with(
    model: "TextToImage", prompts: Sequence[str], seed: int, **options: Any
) -> "Pictures":
    """`evaluation.steering.Draw` by a loaded model."""
    import numpy as np

    made = [
        picture.pixels.transpose(2, 0, 1)
        for start in range(0, len(prompts), BATCH)
        for picture in model.generate(prompts[start : start + BATCH], 1, seed, **options)
    ]
    return np.stack(made)


def way_by(model: "TextToImage", one: str, other: str, count: int) -> list[str]:
    """`evaluation.steering.Bench.way` by a loaded model."""
    from undiffuse.explore.space import Space
    from undiffuse.pipeline.prompt import between

    return between(one, other, Space(model.clip).term, count)


def through_codec(model: "TextToImage", pictures: "Pictures") -> "Pictures":
    """Bytes `(B, 3, 64, 64)`, encoded and decoded again by a loaded model's codec."""
    import numpy as np

    parts = []
    for start in range(0, len(pictures), BATCH):
        latents = model.codec.encode(pictures[start : start + BATCH])
        parts.append(model.decode(latents).transpose(0, 3, 1, 2))
    return np.concatenate(parts)
