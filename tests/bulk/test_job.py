"""Jobs: interrupted, repeated and changed; the parts here are letters."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from undiffuse.bulk.job import Job, Report, Result, finished, run_in_process, run_job
from undiffuse.errors import UserError
from undiffuse.imaging.storage import StorageFolder

LETTERS = list("abcdefgh")


def write_letter(threads: int, part: str) -> Result:
    return Result(part.encode() * 10, {"letter": 1}, [])


def letters_job(worker: Callable[[int, Any], Result] = write_letter, **changes: Any) -> Job:
    about: dict[str, Any] = {"settings": {"model": "m1"}, "parts": LETTERS, "inputs": LETTERS}
    about |= changes
    return Job("test", suffix=".txt", make_worker=lambda threads: partial(worker, threads), **about)


def run(job: Job, folder: Path, **options: Any) -> dict[str, Any]:
    return run_job(job, StorageFolder(str(folder)), run_in_process(1), **options)


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_the_manifest_lists_every_part_once_with_its_size_and_counts(tmp_path: Path) -> None:
    manifest = run(letters_job(), tmp_path)
    assert [part["name"] for part in manifest["parts"]] == [f"part-{k:06d}.txt" for k in range(8)]
    assert manifest["rows"] == {"letter": 8}
    for part, letter in zip(manifest["parts"], LETTERS, strict=True):
        data = (tmp_path / part["name"]).read_bytes()
        assert (data, len(data)) == (letter.encode() * 10, part["bytes"])
    assert json.loads((tmp_path / "_manifest.json").read_text()) == manifest


def test_an_interrupted_job_goes_on_and_ends_with_the_same_bytes(tmp_path: Path) -> None:
    run(letters_job(), tmp_path / "whole")
    done: list[str] = []

    def stop_at(letter: str, threads: int, part: str) -> Result:
        if part == letter:
            raise KeyboardInterrupt
        done.append(part)
        return write_letter(threads, part)

    for letter in "cf":
        with pytest.raises(KeyboardInterrupt):
            run(letters_job(partial(stop_at, letter)), tmp_path / "cut")
        assert "_manifest.json" not in contents(tmp_path / "cut")
    run(letters_job(partial(stop_at, "")), tmp_path / "cut")
    assert done == LETTERS  # each part once
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


def test_a_part_without_its_report_is_done_again_and_stands_there_once(tmp_path: Path) -> None:
    manifest = run(letters_job(), tmp_path)
    whole = contents(tmp_path)
    (tmp_path / "_parts" / "part-000002.json").unlink()  # killed between the two writes
    (tmp_path / "part-000003.txt").unlink()
    (tmp_path / "part-000004.txt").write_bytes(b"short")
    (tmp_path / "_parts" / "part-000005.json").write_text("{")
    (tmp_path / ".undiffuse-1-half").write_bytes(b"left by a process that was killed")
    job = letters_job()
    left = set(range(8)) - {int(name[5:11]) for name in finished(job, StorageFolder(str(tmp_path)))}
    assert left == {2, 3, 4, 5}
    assert run(job, tmp_path) == manifest
    assert contents(tmp_path) == whole


def test_a_finished_job_is_not_done_again(tmp_path: Path) -> None:
    manifest = run(letters_job(), tmp_path)

    def fail(threads: int, part: str) -> Result:
        pytest.fail("a part was done twice")

    assert run(letters_job(fail), tmp_path) == manifest


def test_results_of_two_jobs_are_never_mixed(tmp_path: Path) -> None:
    run(letters_job(), tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    before = contents(tmp_path)
    for other in (
        letters_job(settings={"model": "m2"}),
        letters_job(inputs=["other"]),
        letters_job(parts=LETTERS[:3]),
    ):
        with pytest.raises(UserError, match="another job"):
            run(other, tmp_path)
    with pytest.raises(UserError, match="model: m1 there, m2 now"):
        run(letters_job(settings={"model": "m2"}), tmp_path)
    assert contents(tmp_path) == before
    run(letters_job(parts=LETTERS[:3]), tmp_path, overwrite=True)
    assert {path.name for path in tmp_path.glob("part-*")} == {f"part-00000{k}.txt" for k in "012"}
    assert (tmp_path / "notes.txt").exists()


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(b"mine")
    with pytest.raises(UserError, match="holds other files"):
        run(letters_job(), tmp_path, overwrite=True)
    assert contents(tmp_path) == {"photo.png": b"mine"}


def test_too_many_bad_samples_stop_the_job_also_when_it_is_started_again(tmp_path: Path) -> None:
    def half_bad(threads: int, part: str) -> Result:
        return Result(part.encode(), {"letter": 10}, [f"{part}{k}: torn" for k in range(10)])

    for _ in range(2):
        with pytest.raises(UserError, match=r"30 of 60 .* --max-bad; c0: torn"):
            run(letters_job(half_bad), tmp_path)
    manifest = run(letters_job(half_bad), tmp_path, max_bad_share=0.5)
    assert manifest["bad"] == 80
    assert len(manifest["bad_named"]) == 20


def test_a_part_that_goes_missing_while_others_are_done_is_an_error(tmp_path: Path) -> None:
    def remove_first(threads: int, part: str) -> Result:
        if part == "h":
            (tmp_path / "part-000000.txt").unlink()
        return write_letter(threads, part)

    with pytest.raises(UserError, match="has gone or was changed"):
        run(letters_job(remove_first), tmp_path)
    assert run(letters_job(), tmp_path)["rows"] == {"letter": 8}


def test_a_report_is_plain_json(tmp_path: Path) -> None:
    run(letters_job(), tmp_path)
    report = Report(**json.loads((tmp_path / "_parts" / "part-000000.json").read_text()))
    assert (report.name, report.bytes, report.rows) == ("part-000000.txt", 10, {"letter": 1})
