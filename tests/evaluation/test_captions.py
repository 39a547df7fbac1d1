"""Captions of a data set are found from its pictures and from drawings; splits are by hash."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import CLIP, Run, write_fast, write_part
from tests.evaluation.fakes import ConstantEncoder, KnowingEncoder, blank, sample
from undiffuse.data.judge_split import is_kept_out, judge_split
from undiffuse.errors import UserError
from undiffuse.evaluation.caption_metrics import choose_rows, evaluate_captions, on_white
from undiffuse.imaging.png import encode_png
from undiffuse.runtime.session import weight_file


def test_real_pictures_are_found_and_blank_drawings_are_not() -> None:
    pictures, encoder = sample().pictures, KnowingEncoder(sample())
    rows = choose_rows(pictures, "held-out", 40)
    metrics = evaluate_captions(
        pictures, rows, encoder, lambda texts, seed: blank(len(texts), 120), 0
    )
    found = {metric.name: metric for metric in metrics}
    assert found["real pictures, R-precision@1"].value == 1.0
    assert found["drawings, R-precision@5"].value < 0.2
    ratio = found["drawings, R-precision@5, as a share of real"].value
    assert ratio == found["drawings, R-precision@5"].value
    constant = evaluate_captions(pictures, rows, ConstantEncoder(), None)
    assert next(iter(constant)).value == 0.0


def test_the_rows_of_a_split_do_not_change_and_unknown_splits_are_refused() -> None:
    pictures = sample().pictures
    assert list(choose_rows(pictures, "held-out", 9)) == list(choose_rows(pictures, "held-out", 9))
    assert all(pictures.records[row]["split"] != "train"
               for row in choose_rows(pictures, "held-out", 9))  # fmt: skip
    with pytest.raises(UserError, match="no picture is in the split 'x': use one of"):
        choose_rows(pictures, "x", 9)


def test_the_judge_is_trained_on_all_but_held_out_pairs_and_skin_tones_go_together() -> None:
    pictures = sample().pictures
    split = judge_split(pictures)
    for before, after in zip(pictures.records, split.records, strict=True):
        kept = before["split"] in ("held-out cell", "validation")
        assert after["split"] == ("validation" if kept else "train")
        assert is_kept_out(before) == kept
    by_pair: dict[tuple[str, str], set[str]] = {}
    for record in split.records:
        by_pair.setdefault((record["concept"], record["family"]), set()).add(record["split"])
    assert {len(splits) for splits in by_pair.values()} == {1}


def test_transparent_pictures_are_put_on_white() -> None:
    picture = np.zeros((1, 4, 2, 2), np.uint8)
    picture[0, :, 0, 0] = (100, 0, 0, 128)
    white = on_white(picture)
    assert white[0, :, 1, 1].tolist() == [255, 255, 255]
    assert white[0, :, 0, 0].tolist() == [227, 127, 127]


def test_the_command_takes_a_folder_of_pictures_and_texts(
    run: Run, model_folder: Path, tmp_path: Path
) -> None:
    judge, data = tmp_path / "judge", tmp_path / "mine"
    shutil.copytree(model_folder, judge)
    write_part(judge, "clip", CLIP, seed=3)
    for split in ("train", "validation"):
        (data / split).mkdir(parents=True)
        for k in range(6):
            pixels = np.full((20, 20, 3), 40 * k, np.uint8)
            (data / split / f"{split}{k}.png").write_bytes(encode_png(pixels))
            (data / split / f"{split}{k}.txt").write_text(f"{split} picture {k}")
    status, out, err = run(
        "evaluate", "captions", "--data", str(data), "--judge", str(judge), "--count", "4"
    )
    assert status == 0, err
    assert any("drawings, R-precision@5, as a share of real" in line for line in out)
    assert any("among 12 captions" in line for line in out)


def test_an_int8_model_draws_nearly_the_same_and_is_refused_in_its_own_folder(
    run: Run, model_folder: Path, tmp_path: Path
) -> None:
    status, out, err = run("train", "export-int8", str(model_folder), "-o", "small", model=None)
    assert status == 0, err
    assert [line.split(":")[0] for line in out] == ["clip", "codec", "denoiser"]
    sheet = ("--sheet", "both.png")
    status, out, err = run("evaluate", "compare", "small", "--count", "12", *sheet)
    assert status == 0, err
    with Image.open(tmp_path / "both.png") as both:
        assert both.height > 3.9 * 128  # two rows of ten, and two of two
    decibels = next(line for line in out if "PSNR" in line)
    assert float(decibels.split("|")[2]) > 30
    again = run("train", "export-int8", "small", "-o", "small", model=None)
    assert again[0] == 2
    assert "give another folder" in again[2]
    status, _, err = run("train", "export-int8", str(tmp_path), "-o", "other", model=None)
    assert status == 2
    assert "has no weight file" in err


def test_only_some_files_become_int8(run: Run, model_folder: Path, tmp_path: Path) -> None:
    model = write_fast(tmp_path / "model", model_folder)
    status, out, err = run("train", "export-int8", str(model), "-o", "small", "--only", "denoiser",
                           "--only", "denoiser-fast", model=None)  # fmt: skip
    assert status == 0, err
    assert [line.split(":")[0] for line in out] == ["clip", "codec", "denoiser", "denoiser-fast"]
    for kind in ("clip", "codec"):
        assert (
            weight_file(tmp_path / "small", kind).read_bytes()
            == weight_file(model, kind).read_bytes()
        )
    for kind in ("denoiser", "denoiser-fast"):
        sizes = [weight_file(folder, kind).stat().st_size for folder in (tmp_path / "small", model)]
        assert sizes[0] < 0.6 * sizes[1]
    status, _, err = run("a cat", "-o", "a.png", model=tmp_path / "small")
    assert status == 0, err


def test_all_files_become_int8_and_still_belong_together(
    run: Run, model_folder: Path, tmp_path: Path
) -> None:
    model = write_fast(tmp_path / "model", model_folder)
    run("train", "export-int8", str(model), "-o", "small", model=None)
    for arguments in ((), ("--no-fast",)):
        status, _, err = run("a cat", "-o", "a.png", "--overwrite", *arguments,
                             model=tmp_path / "small")  # fmt: skip
        assert status == 0, err
