"""What a pretrained CLIP sees of a picture, against transformers' own image processor."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("transformers")
from transformers.models.clip.image_processing_pil_clip import (
    CLIPImageProcessorPil,
)

from undiffuse.errors import UserError
from undiffuse.imaging.read import open_image
from undiffuse.pretrained.preprocess import Preprocess
from undiffuse.pretrained.settings import Settings

MEAN, STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
# The file that openai/clip-vit-base-patch32 came with in 2022.
OLD = {
    "crop_size": 224, "do_center_crop": True, "do_normalize": True, "do_resize": True,
    "feature_extractor_type": "CLIPFeatureExtractor", "image_mean": MEAN, "image_std": STD,
    "resample": 3, "size": 224,
}  # fmt: skip
NEW = {
    "crop_size": {"height": 224, "width": 224}, "do_center_crop": True, "do_convert_rgb": True,
    "do_normalize": True, "do_rescale": True, "do_resize": True, "image_mean": MEAN,
    "image_processor_type": "CLIPImageProcessor", "image_std": STD, "resample": 3,
    "rescale_factor": 0.00392156862745098, "size": {"shortest_edge": 224},
}  # fmt: skip
OPEN = {"mean": MEAN, "std": STD, "interpolation": "bicubic", "resize_mode": "shortest"}
SIZES = [(224, 224), (223, 225), (640, 427), (101, 333), (31, 17), (1, 1), (900, 60), (7, 500)]


def picture(mode: str, size: tuple[int, int], seed: int = 0) -> Image.Image:
    rng = np.random.default_rng(seed)
    shape = (size[1], size[0], 4)
    pixels = rng.integers(0, 256, shape, np.uint8)
    pixels[: size[1] // 2] = 255 - pixels[: size[1] // 2] // 9  # smooth, and noise
    return Image.fromarray(pixels, "RGBA").convert(mode)


def levels(found: np.ndarray, wanted: np.ndarray) -> float:
    """The largest difference, in levels of 255."""
    return float((np.abs(found - wanted) * np.array(STD)[:, None, None]).max() * 255)


def scaled(pixels: np.ndarray) -> np.ndarray:
    """`(3, H, W)` in [0, 1], less the mean, by the deviation."""
    return (pixels - np.array(MEAN)[:, None, None]) / np.array(STD)[:, None, None]


def peer(image: Image.Image, **settings: Any) -> np.ndarray:
    return np.asarray(CLIPImageProcessorPil(**settings)(image)["pixel_values"][0])


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1", "CMYK"])
@pytest.mark.parametrize("size", SIZES)
def test_as_transformers_does(mode: str, size: tuple[int, int], tmp_path: Path) -> None:
    file = tmp_path / ("x.tiff" if mode == "CMYK" else "x.png")
    picture(mode, size).save(file)
    ours = Preprocess.from_hf(Settings(NEW, "file"), 224)(open_image(file))
    assert ours.shape == (3, 224, 224)
    assert ours.dtype == np.float32
    assert levels(ours, peer(Image.open(file))) <= 1.0 + 1e-3


def test_a_jpeg_is_decoded_whole(tmp_path: Path) -> None:
    picture("RGB", (1500, 1100)).save(tmp_path / "x.jpg")
    ours = Preprocess.from_hf(Settings(NEW, "file"), 224)(open_image(tmp_path / "x.jpg"))
    assert levels(ours, peer(Image.open(tmp_path / "x.jpg"))) <= 1e-3


@pytest.mark.parametrize(
    "change",
    [
        {"size": {"shortest_edge": 256}},
        {"size": {"height": 224, "width": 224}},
        {"resample": 2},
        {"resample": 1},
        {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.5, 0.6, 0.7]},
        {"rescale_factor": 1 / 127.5},
    ],
)
def test_other_settings(change: dict[str, Any]) -> None:
    for size in SIZES[1:5]:
        image = picture("RGB", size)
        ours = Preprocess.from_hf(Settings({**NEW, **change}, "file"), 224)(image)
        assert np.abs(ours - peer(image, **change)).max() < 1e-4


def test_files_of_2022() -> None:
    old, new = (Preprocess.from_hf(Settings(said, "file"), 224) for said in (OLD, NEW))
    image = picture("RGB", (300, 230))
    np.testing.assert_allclose(old(image), new(image), atol=1e-6)


def test_a_line_of_pixels_is_never_made_whole() -> None:
    """Resized whole, this would have 224x13,440,000 pixels."""
    line = picture("RGB", (60_000, 1))
    ours = Preprocess.from_hf(Settings(NEW, "file"), 224)(line)
    near = line.crop((29_990, 0, 30_010, 1))
    side = near.resize((20 * 224, 224), Image.Resampling.BICUBIC)
    wanted = np.asarray(side.crop((2240 - 112, 0, 2240 + 112, 224))).transpose(2, 0, 1) / 255
    assert levels(ours, scaled(wanted)) <= 1.0 + 1e-3


def test_open_clips_settings() -> None:
    """torchvision's crop: half a pixel is rounded to even, and not down."""
    image = picture("RGB", (227, 224))  # three too many: from 1.5, which is 2
    seen = Preprocess.from_open_clip(Settings(OPEN, "file"), 224)(image)
    wanted = np.asarray(image.crop((2, 0, 226, 224))).transpose(2, 0, 1) / 255
    assert (
        levels(seen, (wanted - np.array(MEAN)[:, None, None]) / np.array(STD)[:, None, None]) < 0.01
    )
    other = Preprocess.from_open_clip(Settings({**OPEN, "resize_mode": "squash"}, "file"), 224)
    size = {"height": 224, "width": 224}
    assert levels(other(image), peer(image, size=size)) < 0.01
    assert Preprocess.from_open_clip(Settings({"mean": MEAN, "std": STD}, "file"), 224) == (
        Preprocess.from_open_clip(Settings(OPEN, "file"), 224)
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"do_resize": False}, "do_resize=False"),
        ({"do_normalize": None}, "do_normalize=None"),
        ({"do_center_crop": False}, "do_center_crop=False"),
        ({"do_pad": True}, "do_pad=True"),
        ({"resample": 5}, "resample=5"),
        ({"resample": "bicubic"}, "resample='bicubic'"),
        ({"size": {"longest_edge": 224}}, "size="),
        ({"size": {"shortest_edge": 200}}, "size="),
        ({"size": "224"}, "size='224'"),
        ({"crop_size": {"height": 224, "width": 200}}, "crop_size="),
        ({"crop_size": 336}, "crop_size=336"),
        ({"image_mean": [0.5, 0.5]}, "image_mean="),
        ({"image_mean": [0.5, 0.5, float("nan")]}, "image_mean="),
        ({"image_std": [0.5, 0.0, 0.5]}, "image_std="),
        ({"rescale_factor": 0}, "rescale_factor=0"),
        ({"rescale_factor": True}, "rescale_factor=True"),
        ({"image_processor_type": "ViTImageProcessor"}, "image_processor_type='ViT"),
    ],
)
def test_what_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=f"^file.* has {said}"):
        Preprocess.from_hf(Settings({**NEW, **change}, "file"), 224)


@pytest.mark.parametrize("name", ["size", "crop_size", "image_mean", "image_std", "resample",
                                  "do_resize", "do_center_crop", "do_normalize",
                                  "image_processor_type"])  # fmt: skip
def test_what_is_missing_is_named(name: str) -> None:
    said = {key: value for key, value in NEW.items() if key != name}
    with pytest.raises(UserError, match=f"has no {name}"):
        Preprocess.from_hf(Settings(said, "file"), 224)


@pytest.mark.parametrize(
    "change",
    [{"resize_mode": "longest"}, {"interpolation": "random"}, {"mode": "L"}, {"size": 336},
     {"mean": 0.5}, {"std": None}, {"fill_color": 255}, {"something": 1}],
)  # fmt: skip
def test_what_is_refused_of_open_clip(change: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=next(iter(change))):
        Preprocess.from_open_clip(Settings({**OPEN, **change}, "file"), 224)


@pytest.mark.parametrize("text", ["", "[]", "{", "nul", '"x"', "[" * 100_000, "\udc80"])
def test_files_that_are_no_settings(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(UserError, match=r"x\.json"):
        Settings.read(tmp_path / "x.json")
    (tmp_path / "y.json").write_text(json.dumps(NEW))
    assert Settings.read(tmp_path / "y.json").values == NEW
