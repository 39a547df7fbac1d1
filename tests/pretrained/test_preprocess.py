"""The preprocessing of a pretrained CLIP, against transformers' own image processor."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("transformers")
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from undiffuse.errors import UserError
from undiffuse.imaging.read import open_image
from undiffuse.pretrained.preprocess import Preprocess, read_preprocess

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


def read_hf(folder: Path, settings: Any) -> Preprocess:
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return read_preprocess(folder, folder / "config.json", 224)[0]


def read_open_clip(folder: Path, settings: Any) -> Preprocess:
    path = folder / "open_clip_config.json"
    path.write_text(json.dumps({"preprocess_cfg": settings}))
    return read_preprocess(folder, path, 224)[0]


def picture(mode: str, size: tuple[int, int]) -> Image.Image:
    """Half smooth, half noise."""
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 4), np.uint8)
    pixels[: size[1] // 2] = 255 - pixels[: size[1] // 2] // 9
    return Image.fromarray(pixels, "RGBA").convert(mode)


def levels(found: np.ndarray, wanted: np.ndarray) -> float:
    """The largest difference, in levels of 255."""
    return float((np.abs(found - wanted) * np.array(STD)[:, None, None]).max() * 255)


def normalized(image: Image.Image) -> np.ndarray:
    return ((np.asarray(image) / 255 - MEAN) / STD).transpose(2, 0, 1)


def peer(image: Image.Image, **settings: Any) -> np.ndarray:
    return np.asarray(CLIPImageProcessorPil(**settings)(image)["pixel_values"][0])


def test_images_of_all_modes_and_sizes_equal_those_of_transformers(tmp_path: Path) -> None:
    preprocess = read_hf(tmp_path, NEW)
    for mode in ("RGB", "RGBA", "L", "LA", "P", "1", "CMYK"):
        for size in SIZES if mode == "RGB" else SIZES[1:4]:
            file = tmp_path / ("x.tiff" if mode == "CMYK" else "x.png")
            picture(mode, size).save(file)
            found = preprocess(open_image(file))
            assert (found.shape, found.dtype) == ((3, 224, 224), np.float32)
            assert levels(found, peer(Image.open(file))) <= 1.0 + 1e-3, (mode, size)


def test_a_jpeg_is_decoded_at_full_size(tmp_path: Path) -> None:
    picture("RGB", (1500, 1100)).save(tmp_path / "x.jpg")
    found = read_hf(tmp_path, NEW)(open_image(tmp_path / "x.jpg"))
    assert levels(found, peer(Image.open(tmp_path / "x.jpg"))) <= 1e-3


def test_other_settings_equal_those_of_transformers(tmp_path: Path) -> None:
    for change in (
        {"size": {"shortest_edge": 256}},
        {"size": {"height": 224, "width": 224}},
        {"resample": 2},
        {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.5, 0.6, 0.7]},
        {"rescale_factor": 1 / 127.5},
    ):
        preprocess = read_hf(tmp_path, {**NEW, **change})
        for size in SIZES[1:5]:
            image = picture("RGB", size)
            assert np.abs(preprocess(image) - peer(image, **change)).max() < 1e-4, change


def test_files_of_2022_and_processor_config_are_read(tmp_path: Path) -> None:
    image = picture("RGB", (300, 230))
    wanted = read_hf(tmp_path, NEW)(image)
    np.testing.assert_allclose(read_hf(tmp_path, OLD)(image), wanted, atol=1e-6)
    (tmp_path / "preprocessor_config.json").unlink()
    (tmp_path / "processor_config.json").write_text(json.dumps({"image_processor": NEW}))
    found, path = read_preprocess(tmp_path, tmp_path / "config.json", 224)
    assert np.array_equal(found(image), wanted)
    assert path == tmp_path / "processor_config.json"


def test_only_the_crop_of_a_very_long_image_is_resized(tmp_path: Path) -> None:
    """The whole image would have 224x13,440,000 pixels."""
    line = picture("RGB", (60_000, 1))
    found = read_hf(tmp_path, NEW)(line)
    near = line.crop((29_990, 0, 30_010, 1))
    side = near.resize((20 * 224, 224), Image.Resampling.BICUBIC)
    assert levels(found, normalized(side.crop((2240 - 112, 0, 2240 + 112, 224)))) <= 1.0 + 1e-3


def test_open_clips_crop_is_torchvisions(tmp_path: Path) -> None:
    """Half a pixel is rounded to even, and not down."""
    image = picture("RGB", (227, 224))  # the crop starts at 1.5, that is 2
    found = read_open_clip(tmp_path, OPEN)(image)
    assert levels(found, normalized(image.crop((2, 0, 226, 224)))) < 0.01
    squashed = read_open_clip(tmp_path, {**OPEN, "resize_mode": "squash", "size": [224, 224]})
    assert levels(squashed(image), peer(image, size={"height": 224, "width": 224})) < 0.01
    assert read_open_clip(tmp_path, {"mean": MEAN, "std": STD}) == read_open_clip(tmp_path, OPEN)


def test_settings_that_are_not_supported_are_refused(tmp_path: Path) -> None:
    for change, message in (
        ({"do_resize": False}, "do_resize=False"),
        ({"do_normalize": None}, "do_normalize=None"),
        ({"do_center_crop": False}, "do_center_crop=False"),
        ({"do_pad": True}, "do_pad=True"),
        ({"resample": "bicubic"}, "bicubic"),
        ({"size": {"longest_edge": 224}}, "size="),
        ({"size": {"shortest_edge": 224, "longest_edge": 500}}, "size="),
        ({"size": {"shortest_edge": 200}}, "size=200"),
        ({"size": 10**9}, "size=1000000000 is not from 224 to 4096"),
        ({"size": "224"}, "size='224'"),
        ({"crop_size": {"height": 224, "width": 200}}, "crop_size="),
        ({"crop_size": 336}, "crop_size=336"),
        ({"image_mean": [0.5, 0.5]}, "."),
        ({"image_mean": [0.5, 0.5, float("nan")]}, "mean="),
        ({"image_std": [0.5, 0.0, 0.5]}, "std="),
        ({"rescale_factor": 0}, "scale=0"),
    ):
        with pytest.raises(
            UserError, match=rf"preprocessor_config.json can't be used: .*{message}"
        ):
            read_hf(tmp_path, {**NEW, **change})
    for name in ("size", "crop_size", "image_mean", "image_std", "resample", "do_resize"):
        with pytest.raises(UserError, match=name):
            read_hf(tmp_path, {key: value for key, value in NEW.items() if key != name})


def test_open_clips_settings_that_are_not_supported_are_refused(tmp_path: Path) -> None:
    for change in ({"resize_mode": "longest"}, {"interpolation": "random"}, {"mode": "L"},
                   {"size": 336}, {"std": None}, {"fill_color": 255}):  # fmt: skip
        with pytest.raises(UserError, match=f"open_clip_config.json .*{next(iter(change))}"):
            read_open_clip(tmp_path, {**OPEN, **change})
