"""Bulk jobs on Ray: the same bytes with any number of workers, and workers that die."""

import os
import signal
import sys
from functools import partial
from pathlib import Path

import pytest

from tests.bulk.test_job import contents, letters_job, write_letter
from tests.conftest import Run
from undiffuse.bulk.job import Result, run_in_process, run_job
from undiffuse.bulk.on_ray import run_on_ray
from undiffuse.errors import UserError
from undiffuse.imaging.storage import StorageFolder


def die_once(marker: Path, threads: int, part: str) -> Result:
    """Killed at part "c" the first time, in the middle of the work, as for lack of memory."""
    if part == "c" and not marker.exists():
        marker.write_text("died")
        os.kill(os.getpid(), signal.SIGKILL)
    return write_letter(threads, part)


def always_die(threads: int, part: str) -> Result:
    if part == "c":
        os.kill(os.getpid(), signal.SIGKILL)
    return write_letter(threads, part)


@pytest.mark.slow
@pytest.mark.usefixtures("two_cpus")
def test_the_part_of_a_worker_that_dies_is_done_again(tmp_path: Path) -> None:
    job = letters_job(partial(die_once, tmp_path / "marker"))
    run_job(job, StorageFolder(str(tmp_path / "ray")), run_on_ray(2))
    assert (tmp_path / "marker").exists()
    run_job(letters_job(), StorageFolder(str(tmp_path / "plain")), run_in_process(1))
    assert contents(tmp_path / "plain") == contents(tmp_path / "ray")


@pytest.mark.slow
@pytest.mark.usefixtures("two_cpus")
def test_a_part_that_always_ends_its_worker_ends_the_job_which_goes_on_later(
    tmp_path: Path,
) -> None:
    output = StorageFolder(str(tmp_path))
    with pytest.raises(UserError, match=r"part-000002\.txt ended its worker 3 times"):
        run_job(letters_job(always_die), output, run_on_ray(2))
    assert "_manifest.json" not in contents(tmp_path)
    assert run_job(letters_job(), output, run_in_process(1))["rows"] == {"letter": 8}


@pytest.mark.slow
@pytest.mark.usefixtures("two_cpus")
def test_draw_on_two_workers_writes_what_one_process_writes(tmp_path: Path, run: Run) -> None:
    Path("prompts.txt").write_text("".join(f"thing {k}\n" for k in range(10)))
    command = ("draw", "--prompts", "prompts.txt", "--steps", "2", "--per-part", "3")
    for workers in "02":
        status, _, err = run(*command, "-o", workers, "--workers", workers)
        assert status == 0, err
    assert contents(tmp_path / "0") == contents(tmp_path / "2")


@pytest.mark.slow
@pytest.mark.usefixtures("two_cpus")
def test_more_workers_than_cpus_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Ray has 2 CPUs for 5 workers: give --workers 2"):
        run_job(letters_job(), StorageFolder(str(tmp_path)), run_on_ray(5))


def test_without_ray_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"undiffuse\[bulk\].*--workers 0"):
        run_job(letters_job(), StorageFolder(str(tmp_path)), run_on_ray(2))


def test_an_address_where_nothing_answers_is_one_line(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    with pytest.raises(UserError, match=r"Ray on 127\.0\.0\.1:9 can't be reached"):
        run_job(letters_job(), StorageFolder(str(tmp_path)), run_on_ray(2, "127.0.0.1:9"))
