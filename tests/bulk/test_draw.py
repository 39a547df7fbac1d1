"""`undiffuse draw --prompts`: files of prompts to shards, with a tiny model of random weights."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import undiffuse
from tests.bulk.test_job import contents
from tests.conftest import Run
from undiffuse.bulk.draw import cut, draw_job
from undiffuse.bulk.prompts import PromptRow, read_prompts
from undiffuse.data.sources import open_source
from undiffuse.errors import UserError

pytestmark = pytest.mark.slow

pytest.importorskip("fsspec")

PLAIN = ("--workers", "0", "--steps", "2")


def members(folder: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for path in sorted(folder.glob("part-*.tar")):
        with tarfile.open(path) as tar:
            for info in tar:
                assert info.name not in found
                found[info.name] = tar.extractfile(info).read()  # type: ignore[union-attr]
    return found


def draw(run: Run, *arguments: str) -> tuple[int, list[str], str]:
    return run("draw", "--prompts", *arguments, *PLAIN)


def test_each_line_is_drawn_as_draw_does_alone(tmp_path: Path, run: Run) -> None:
    Path("prompts.txt").write_text("\ufeffa red apple\n\n  a fox  \n", encoding="utf-8")
    status, lines, _ = draw(run, "prompts.txt", "-o", "shards", "-n", "2", "--seed", "3")
    assert (status, lines) == (0, ["shards: complete, 1 parts, 4 images"])
    made = members(tmp_path / "shards")
    assert sorted(made) == sorted(
        f"{key}.{ending}"
        for key in ("000000000-0000", "000000000-0001", "000000001-0000", "000000001-0001")
        for ending in ("png", "txt", "json")
    )
    fox = ("a fox", "-n", "2", "--seed", "3", "--steps", "2", "--scale", "4", "-o", "fox.png")
    run("draw", *fox)
    assert made["000000001-0001.png"] == Path("fox-2.png").read_bytes()
    assert made["000000001-0001.txt"] == b"a fox"
    record = json.loads(made["000000001-0001.json"])
    assert (record["prompt"], record["seed"], record["index"]) == ("a fox", 3, 1)


def test_the_same_bytes_in_parts_of_any_size_and_after_a_kill(tmp_path: Path, run: Run) -> None:
    rows = [f"prompt {k},{k % 2},{k % 3 + 1},{'noto' if k % 4 else ''}" for k in range(9)]
    Path("p.csv").write_text("\n".join(["prompt,seed,n,style", *rows]))
    for size in ("4", "1000"):
        draw(run, "p.csv", "-o", f"by{size}", "--per-part", size)
    assert len(list((tmp_path / "by4").glob("*.tar"))) > 3
    assert members(tmp_path / "by4") == members(tmp_path / "by1000")
    before = contents(tmp_path / "by4")
    for name in ("part-000001.tar", "_manifest.json", "_parts/part-000002.json"):
        (tmp_path / "by4" / name).unlink()
    draw(run, "p.csv", "-o", "by4", "--per-part", "4")
    assert contents(tmp_path / "by4") == before


def test_tables_have_a_seed_a_number_and_a_style_for_each_row(
    model_folder: Path, tmp_path: Path, run: Run
) -> None:
    arrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    rows: list[dict[str, Any]] = [
        {"prompt": "a cat", "seed": 5, "n": 2, "style": "noto"},
        {"prompt": "a dog", "seed": None, "n": None, "style": None},
    ]
    Path("p.jsonl").write_text("\n".join(map(json.dumps, rows)))
    Path("p.csv").write_text("prompt;seed;n;style\na cat;5;2;noto\na dog;;;\n")
    parquet.write_table(arrow.Table.from_pylist(rows), "p.parquet")
    for name in ("jsonl", "csv", "parquet"):
        assert draw(run, f"p.{name}", "-o", name, "--style", "flat")[0] == 0
    made = members(tmp_path / "csv")
    assert made == members(tmp_path / "jsonl") == members(tmp_path / "parquet")
    records = [json.loads(data) for name, data in made.items() if name.endswith("json")]
    assert [(r["seed"], r["index"], r["style"]) for r in records] == [
        (5, 0, "noto"), (5, 1, "noto"), (0, 0, "flat"),
    ]  # fmt: skip
    model = undiffuse.load(model_folder)
    (alone,) = model.generate("a cat", seed=5, style="noto", steps=2, first_index=1)
    pixels = np.asarray(Image.open(io.BytesIO(made["000000000-0001.png"])))
    assert np.array_equal(pixels[::4, ::4], alone.pixels)


def test_the_result_is_a_data_set_in_both_formats(tmp_path: Path, run: Run) -> None:
    pytest.importorskip("pyarrow")
    Path("p.txt").write_text("a red apple\na fox\n")
    for file_format in ("webdataset", "parquet"):
        draw(run, "p.txt", "-o", file_format, "--format", file_format, "--scale", "1")
    shard, table = (list(open_source(tmp_path / name)) for name in ("webdataset", "parquet"))
    assert [item.captions for item in shard] == [["a red apple"], ["a fox"]]
    for one, other in zip(shard, table, strict=True):
        assert one.captions == other.captions
        assert one.image.shape == (64, 64, 4)
        assert np.array_equal(one.image, other.image)


def test_prompts_that_cannot_be_drawn_are_named_and_the_others_drawn(
    tmp_path: Path, run: Run
) -> None:
    rows = ["a cat,,", '"cat + ",,', "a dog,x,", "bird,-1,", ",,", "fox,,2000", "hen,1.5,"]
    Path("p.csv").write_text("\n".join(["prompt,seed,n", *rows]))
    status, lines, err = draw(run, "p.csv", "-o", "shards")
    assert (status, lines) == (0, ["shards: complete, 1 parts, 1 images"])
    assert "p.csv:4: seed=x: give 0 to" in err
    assert "p.csv:3: 'cat + ' has an empty term" in err
    assert "p.csv:7: n=2000: give 1 to 1000" in err
    assert {name[:14] for name in members(tmp_path / "shards")} == {"000000000-0000"}


def test_a_hostile_prompt_is_only_text(tmp_path: Path, run: Run) -> None:
    texts = ["../../etc/passwd", "a\0b", "x" * 5000, "\ud83d\ude00 smile"]
    Path("p.jsonl").write_text("\n".join(json.dumps({"prompt": text}) for text in texts))
    assert draw(run, "p.jsonl", "-o", "shards")[0] == 0
    assert all(name[:9].isdigit() for name in members(tmp_path / "shards"))


def test_errors_name_the_thing_and_the_way_out(tmp_path: Path, run: Run) -> None:
    Path("p.txt").write_text("a cat\n")
    Path("empty.txt").write_text("\n\n")
    Path("p.csv").write_text("name,seed\ncat,1\n" * 30)
    for arguments, said in (
        (("draw", "--prompts", "p.txt"), "give one by -o"),
        (("draw", "cat", "--prompts", "p.txt", "-o", "s"), "leave out PROMPT"),
        (("draw", "cat", "--max-bad", "0.2"), "--max-bad goes with --prompts"),
        (("draw",), "Missing argument"),
        (("draw", "--prompts", "none.txt", "-o", "s"), "none.txt can't be reached: no such file"),
        (("draw", "--prompts", "empty.txt", "-o", "s"), "holds no prompt"),
        (("draw", "--prompts", "p.txt", "-o", "s", "--style", "oil"), "oil"),
        (("draw", "--prompts", "p.csv", "-o", "s", "--workers", "0"), "there is no column prompt"),
    ):
        status, lines, err = run(*arguments)
        assert (status, lines) == (2, [])
        assert said in err
        assert len(err.splitlines()) <= 2


def test_parts_are_cut_by_pictures_and_keep_every_prompt() -> None:
    rows = [PromptRow(k, "", f"p{k}", 0, n, None) for k, n in enumerate([3, 3, 9, 1, 0, 1, 1])]
    parts = list(cut(rows, 4))
    assert [[row.n for row in part] for part in parts] == [[3], [3], [9], [1, 0, 1, 1]]
    assert [row for part in parts for row in part] == rows


def test_a_file_of_too_many_prompts_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("undiffuse.bulk.prompts.MAX_PROMPTS", 3)
    (tmp_path / "p.txt").write_text("cat\n" * 4)
    with pytest.raises(UserError, match="more than 3 prompts"):
        list(read_prompts(str(tmp_path / "p.txt"), 0, 1))


def test_a_worker_with_another_model_stops(model_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text("cat\n")
    job = draw_job(str(tmp_path / "p.txt"), model_folder, steps=1)
    worker = job.make_worker(1)
    worker.hashes = {"model": "0" * 16}  # type: ignore[attr-defined]
    with pytest.raises(UserError, match="give every machine the same"):
        worker(job.parts[0])
