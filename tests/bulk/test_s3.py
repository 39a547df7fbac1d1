"""Object storage: a local S3 server by moto, read and written through s3fs."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.bulk.conftest import SHARDS
from tests.bulk.test_job import contents
from tests.conftest import Run
from tests.sample import FOLDER
from undiffuse.bulk.job import Job, Report, Runner, do_part
from undiffuse.errors import UserError
from undiffuse.imaging.storage import StorageFolder

pytestmark = pytest.mark.slow


def parts_of(folder: Path) -> dict[str, bytes]:
    return {name: data for name, data in contents(folder).items() if name.startswith("part-")}


def local_result(run: Run, folder: Path) -> None:
    (folder / "shards").mkdir()
    for name in SHARDS:
        shutil.copy(FOLDER / name, folder / "shards")
    assert run("embed", "shards", "-o", "local", "--workers", "0")[0] == 0


def test_shards_in_s3_are_embedded_into_s3_and_searched_there(
    bucket: Any, tmp_path: Path, run: Run
) -> None:
    local_result(run, tmp_path)
    address = "s3://undiffuse/vectors"
    status, lines, err = run("embed", "s3://undiffuse/shards", "-o", address, "--workers", "0")
    assert (status, lines) == (0, [f"{address}: complete, 3 parts, 84 images, 168 texts"]), err
    bucket.get("undiffuse/vectors", str(tmp_path / "s3"), recursive=True)
    assert parts_of(tmp_path / "s3") == parts_of(tmp_path / "local")
    assert run("search", "cat", address)[1] == run("search", "cat", "local")[1]


def test_a_run_that_ends_between_part_and_report_is_completed_without_duplicates(
    bucket: Any, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    local_result(run, tmp_path)

    def cut_off(threads: int) -> Runner:
        def parts(job: Job, output: StorageFolder, numbers: list[int]) -> Iterator[Report]:
            worker = job.make_worker(threads)
            yield do_part(job.name(0), job.parts[0], output, worker)
            output.write(job.name(1), worker(job.parts[1]).data)  # its report is missing
            raise UserError("the connection was lost")

        return parts

    command = ("embed", "s3://undiffuse/shards", "-o", "s3://undiffuse/vectors", "--workers", "0")
    with monkeypatch.context() as patch:
        patch.setattr("undiffuse.bulk.job.run_in_process", cut_off)
        assert run(*command)[0] == 2
    assert not bucket.exists("undiffuse/vectors/_manifest.json")
    status, _, err = run("search", "cat", "s3://undiffuse/vectors")
    assert (status, "to its end" in err) == (2, True)
    status, _, err = run(*command)
    assert (status, "1 of 3 parts are finished already" in err) == (0, True)
    bucket.get("undiffuse/vectors", str(tmp_path / "s3"), recursive=True)
    assert parts_of(tmp_path / "s3") == parts_of(tmp_path / "local")


def test_prompts_in_s3_are_drawn_into_s3(bucket: Any, tmp_path: Path, run: Run) -> None:
    bucket.pipe_file("undiffuse/prompts.txt", b"a red apple\na fox\n")
    draw = ("draw", "--steps", "2", "--workers", "0", "--prompts")
    assert run(*draw, "s3://undiffuse/prompts.txt", "-o", "s3://undiffuse/drawn")[0] == 0
    Path("prompts.txt").write_text("a red apple\na fox\n")
    assert run(*draw, "prompts.txt", "-o", "local")[0] == 0
    drawn = bucket.cat_file("undiffuse/drawn/part-000000.tar")
    assert drawn == (tmp_path / "local" / "part-000000.tar").read_bytes()


@pytest.mark.usefixtures("two_cpus")
def test_two_workers_on_ray_write_to_s3_what_one_process_writes_here(
    bucket: Any, tmp_path: Path, run: Run
) -> None:
    local_result(run, tmp_path)
    command = ("embed", "s3://undiffuse/shards", "-o", "s3://undiffuse/vectors", "--workers", "2")
    status, _, err = run(*command)
    assert status == 0, err
    bucket.get("undiffuse/vectors", str(tmp_path / "s3"), recursive=True)
    assert parts_of(tmp_path / "s3") == parts_of(tmp_path / "local")


def test_a_bucket_that_is_missing_is_one_line(bucket: Any, run: Run) -> None:
    for arguments in (
        ("embed", "s3://nowhere/shards", "-o", "v", "--workers", "0"),
        ("embed", str(FOLDER), "-o", "s3://nowhere/v", "--workers", "0"),
        ("search", "cat", "s3://nowhere/v"),
    ):
        status, lines, err = run(*arguments)
        assert (status, lines) == (2, [])
        assert "s3://nowhere" in err
        assert len(err.splitlines()) <= 2
