"""What a pretrained CLIP sees of a picture: resized, cropped, its colours scaled, as its files say.

Nothing is assumed: a setting that is missing or not read here is refused by name.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from undiffuse.pretrained.settings import Settings

if TYPE_CHECKING:
    from PIL import Image

RESAMPLE = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3}  # Pillow's numbers
HF_NAMES = (
    "CLIPImageProcessor", "CLIPImageProcessorFast", "CLIPImageProcessorPil", "CLIPFeatureExtractor",
)  # fmt: skip
LONG = 256  # times as long as wide: beyond, the resized picture would be huge, and isn't made whole


@dataclass(frozen=True)
class Preprocess:
    """Pictures to `(3, side, side)`, float32.

    `shortest`: the shorter edge after resizing, before the crop; 0 where the picture is squashed.
    `rounds`: torchvision rounds half a pixel of the crop's place to even, transformers down.
    """

    side: int
    shortest: int
    resample: int
    scale: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    rounds: bool

    @classmethod
    def from_hf(cls, settings: Settings, side: int) -> "Preprocess":
        """From preprocessor_config.json; `side` is what the network takes."""
        kinds = ("image_processor_type", "feature_extractor_type")
        kind = next((name for name in kinds if name in settings.values), kinds[0])
        settings.one_of(kind, HF_NAMES)
        # Files of 2022 don't say these two, which their reader always did.
        usual = {"do_rescale": True, "rescale_factor": 1 / 255}
        said = Settings({**usual, **settings.values}, settings.where)
        for name in ("do_resize", "do_rescale", "do_normalize"):
            said.one_of(name, (True,))
        for name in ("do_pad", "use_square_size"):
            if said.values.get(name):
                raise said.refuse(name, "false")
        return cls(
            side,
            _hf_shortest(said, side),
            said.one_of("resample", tuple(RESAMPLE.values())),
            said.number("rescale_factor", 0.0, 1.0),
            said.three("image_mean"),
            _deviation(said, "image_std"),
            rounds=False,
        )

    @classmethod
    def from_open_clip(cls, settings: Settings, side: int) -> "Preprocess":
        """From open_clip_config.json's preprocess_cfg; `side` is the network's image_size."""
        # Files of before these two could be chosen have them so.
        usual = {"interpolation": "bicubic", "resize_mode": "shortest"}
        said = Settings({**usual, **settings.values}, settings.where)
        said.nothing_else(
            ("mean", "std", "interpolation", "resize_mode"),
            {"mode": ("RGB",), "fill_color": (0,), "size": (side, [side, side])},
        )
        squash = said.one_of("resize_mode", ("shortest", "squash")) == "squash"
        way = said.one_of("interpolation", ("bicubic", "bilinear"))
        std = _deviation(said, "std")
        shortest = 0 if squash else side
        mean = said.three("mean")
        return cls(side, shortest, RESAMPLE[way], 1 / 255, mean, std, rounds=True)

    def __call__(self, image: "Image.Image") -> NDArray[np.float32]:
        """`(3, side, side)` of a picture in RGB of any size."""
        pixels = np.asarray(self.cropped(image), np.float32).transpose(2, 0, 1)
        mean, std = (np.array(three, np.float32)[:, None, None] for three in (self.mean, self.std))
        seen: NDArray[np.float32] = (pixels * np.float32(self.scale) - mean) / std
        return seen

    def cropped(self, image: "Image.Image") -> Any:
        """The picture that is seen, its colours as they are."""
        from PIL import Image

        way = Image.Resampling(self.resample)
        whole = (self.side, self.side)
        if not self.shortest:
            return image.resize(whole, way)
        short, long = min(image.size), max(image.size)
        size = tuple(
            self.shortest if edge == short else int(self.shortest * long / short)
            for edge in image.size
        )
        left, top = (self._start(edge) for edge in size)
        box = (left, top, left + self.side, top + self.side)
        if long > LONG * short:
            across, down = image.width / size[0], image.height / size[1]
            # Pillow may go down before across here, which rounds otherwise where there is noise.
            source = (box[0] * across, box[1] * down, box[2] * across, box[3] * down)
            return image.resize(whole, way, source)
        return image.resize((size[0], size[1]), way).crop(box)

    def _start(self, edge: int) -> int:
        over = edge - self.side
        return round(over / 2) if self.rounds else over // 2


def _hf_shortest(said: Settings, side: int) -> int:
    """The shorter edge after resizing; 0 for a size that says height and width."""
    size = said.values.get("size")
    if isinstance(size, dict) and size.keys() == {"height", "width"}:
        if _square(said, "size") != side:
            raise said.refuse("size", f"{side}x{side}, which the network takes")
        return 0
    if isinstance(size, dict):
        part = said.part("size")
        if part.values.keys() != {"shortest_edge"}:
            raise said.refuse("size", "shortest_edge alone, or height and width")
        shortest = part.whole("shortest_edge", 4096)
    else:
        shortest = said.whole("size", 4096)
    said.one_of("do_center_crop", (True,))
    if _square(said, "crop_size") != side:
        raise said.refuse("crop_size", f"{side}x{side}, which the network takes")
    if shortest < side:
        raise said.refuse("size", f"an edge of {side} pixels or more, the crop's")
    return shortest


def _square(said: Settings, name: str) -> int:
    """One number, or an equal height and width."""
    if not isinstance(said.values.get(name), dict):
        return said.whole(name, 4096)
    part = said.part(name)
    side = part.whole("height", 4096)
    if part.whole("width", 4096) != side:
        raise said.refuse(name, "an equal height and width")
    return side


def _deviation(said: Settings, name: str) -> tuple[float, float, float]:
    three = said.three(name)
    if min(three) <= 0:
        raise said.refuse(name, "three numbers above 0")
    return three
