"""A loaded model, in the form that evaluation needs."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from undiffuse.config import IMAGE_SIZE

if TYPE_CHECKING:
    from undiffuse.evaluation.protocols import Pictures
    from undiffuse.imaging.png import Pixels
    from undiffuse.pipeline import Picture, TextToImage

BATCH = 16  # prompts per call of the model


def on_white_at(pixels: "Pixels", side: int) -> "Pixels":
    """Bytes (3, H, W) on white; larger pictures are reduced to `side`."""
    from undiffuse.imaging.output import Output

    output = Output(side if len(pixels) > side else None, "white")
    return output.render(pixels).transpose(2, 0, 1)


class ModelGenerator:
    """An `ImageGenerator` that draws as the command line does: index 0 of each prompt.

    Pictures are on white, and at most `side` pixels high and wide: by default, as judges and data
    sets have them. `options`: of `TextToImage.generate`, for every call.
    """

    def __init__(self, model: "TextToImage", side: int = IMAGE_SIZE, **options: Any) -> None:
        self.model, self.side, self.options = model, side, options

    def __call__(self, prompts: Sequence[str], styles: Sequence[str], seed: int) -> "Pictures":
        import numpy as np

        pictures: dict[int, Any] = {}
        for style in sorted(set(styles)):  # a call of the model draws in one style
            rows = [row for row, other in enumerate(styles) if other == style]
            drawn = self.draw([prompts[row] for row in rows], seed, style=style or None)
            pictures.update(zip(rows, drawn, strict=True))
        return np.stack([pictures[row] for row in range(len(prompts))])

    def draw(self, prompts: Sequence[str], seed: int, **options: Any) -> "Pictures":
        """`(B, 3, H, W)`, one picture per prompt.

        `options`: of `TextToImage.generate`. A longer call shows its progress on stderr.
        """
        import numpy as np

        from undiffuse.cli.progress_bar import Progress

        drawn: list[Picture] = []
        with Progress(len(prompts), "pictures", "drawing") as progress:
            for start in range(0, len(prompts), BATCH):
                some = prompts[start : start + BATCH]
                drawn += self.model.generate(some, seed=seed, **self.options | options)
                progress.update(len(drawn) - progress.done)
        return np.stack([on_white_at(picture.pixels, self.side) for picture in drawn])

    def interpolate(self, one: str, other: str, count: int) -> list[str]:
        """`count` prompts from one to the other, as `undiffuse between` uses them."""
        from undiffuse.explore.space import Space
        from undiffuse.pipeline.prompt import interpolate_prompts

        return interpolate_prompts(one, other, Space(self.model.clip).encode_term, count)

    def reconstruct(self, pictures: "Pictures") -> "Pictures":
        """Pictures `(B, 3, H, W)`, encoded and decoded by the model's codec."""
        import numpy as np

        parts = [pictures[i : i + BATCH] for i in range(0, len(pictures), BATCH)]
        decoded = [self.model.decode(self.model.codec.encode(part)) for part in parts]
        return np.stack([on_white_at(picture, self.side) for part in decoded for picture in part])
