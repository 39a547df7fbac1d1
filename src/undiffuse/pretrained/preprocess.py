"""Image preprocessing of a pretrained CLIP: resize, crop and normalize, as its files say.

transformers' processor is not used: open_clip crops a quarter of all images one pixel further, and
a very long image would be resized as a whole, which takes gigabytes.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from undiffuse.pretrained.files import OPEN_CLIP_CONFIG, check_supported, read_json, user_errors

Floats = NDArray[np.float32]
MAX_EDGE = 4096
LONG = 256  # ratio of the edges above which only the crop is resized
# Supported values of settings; None stands for a missing one.
HF_SUPPORTED = {
    "do_resize": (True,), "do_rescale": (True, None), "do_normalize": (True,),
    "do_pad": (False, None), "use_square_size": (False, None),
}  # fmt: skip
OPEN_CLIP_SUPPORTED = {
    "resize_mode": ("shortest", "squash", None), "interpolation": ("bicubic", "bilinear", None),
    "mode": ("RGB", None), "fill_color": (0, None),
}  # fmt: skip


@dataclass(frozen=True)
class Preprocess:
    """Converts RGB images to `(3, side, side)`, float32.

    `shortest`: the shorter edge before the crop; 0 to resize both edges to `side`. `rounds`: the
    crop's offset is rounded half to even, as in torchvision; else down, as in transformers.
    """

    side: int
    shortest: int
    resample: Image.Resampling
    scale: float
    mean: list[float]
    std: list[float]
    rounds: bool

    def __post_init__(self) -> None:
        mean, std = (np.array(rgb, np.float32) for rgb in (self.mean, self.std))
        usable = mean.shape == std.shape == (3,) and np.isfinite([mean, std]).all()
        if not usable or min(std) <= 0 or not 0 < self.scale <= 1:
            raise ValueError(f"mean={self.mean}, std={self.std}, scale={self.scale} are not usable")
        if self.shortest not in (0, *range(self.side, MAX_EDGE + 1)):
            raise ValueError(f"size={self.shortest!r:.60} is not from {self.side} to {MAX_EDGE}")

    def __call__(self, image: Image.Image) -> Floats:
        """`(3, side, side)` of an RGB image of any size."""
        pixels = np.asarray(self._cropped(image), np.float32) * np.float32(self.scale)
        mean, std = np.array([self.mean, self.std], np.float32)
        return np.ascontiguousarray(((pixels - mean) / std).transpose(2, 0, 1))

    def _cropped(self, image: Image.Image) -> Image.Image:
        if not self.shortest:
            return image.resize((self.side, self.side), self.resample)
        short = min(image.size)
        size = [int(self.shortest * edge // short) for edge in image.size]
        excess = [edge - self.side for edge in size]
        left, top = (round(n / 2) if self.rounds else n // 2 for n in excess)
        box = (left, top, left + self.side, top + self.side)
        if max(image.size) <= LONG * short:
            return image.resize(size, self.resample).crop(box)
        across, down = image.width / size[0], image.height / size[1]
        source = (box[0] * across, box[1] * down, box[2] * across, box[3] * down)
        return image.resize((self.side, self.side), self.resample, source)


def read_preprocess(folder: Path, config_path: Path, side: int) -> tuple[Preprocess, Path]:
    """The preprocessing of images to `side`, and the file that describes it.

    UserError for a file that is missing or broken, or for a setting that is not supported.
    """
    path, read, part = folder / "preprocessor_config.json", _from_hf, None
    if config_path.name == OPEN_CLIP_CONFIG:
        path, read, part = config_path, _from_open_clip, "preprocess_cfg"
    elif not path.is_file() and (folder / "processor_config.json").is_file():
        path, part = folder / "processor_config.json", "image_processor"
    values = read_json(path)
    with user_errors(path):
        return read(values[part] if part else values, side), path


def _from_hf(values: dict[str, Any], side: int) -> Preprocess:
    check_supported(values, HF_SUPPORTED)
    size, square = values["size"], {"height": side, "width": side}
    size = size if isinstance(size, dict) else {"shortest_edge": size}
    if size != square:
        check_supported(values, {"do_center_crop": (True,), "crop_size": (side, square)})
        if size.keys() != {"shortest_edge"}:
            raise ValueError(f"size={size!r:.60} is not supported")
    resample = Image.Resampling(values["resample"])
    shortest, scale = size.get("shortest_edge", 0), values.get("rescale_factor", 1 / 255)
    mean, std = values["image_mean"], values["image_std"]
    return Preprocess(side, shortest, resample, scale, mean, std, rounds=False)


def _from_open_clip(values: dict[str, Any], side: int) -> Preprocess:
    check_supported(values, OPEN_CLIP_SUPPORTED | {"size": (None, side, [side, side])})
    shortest = 0 if values.get("resize_mode") == "squash" else side
    resample = Image.Resampling[values.get("interpolation", "bicubic").upper()]
    return Preprocess(side, shortest, resample, 1 / 255, values["mean"], values["std"], rounds=True)
