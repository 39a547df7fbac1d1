"""`undiffuse studio` as a program: errors in one line, and an end by Ctrl-C."""

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.conftest import Run


def test_another_address_without_a_token_is_refused(run: Run, tmp_path: Path) -> None:
    status, _, err = run("studio", "--no-open", "--host", "0.0.0.0")
    assert (status, err.count("\n")) == (2, 1)
    assert "--token" in err
    assert not list(tmp_path.iterdir())


def test_a_port_that_is_taken_is_one_line(run: Run, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        status, _, err = run("studio", "--no-open", "--port", str(other.getsockname()[1]))
    assert (status, err.count("\n")) == (2, 1)
    assert "can't be used" in err
    assert not list(tmp_path.iterdir())


def test_a_model_that_is_missing_is_one_line(run: Run, tmp_path: Path) -> None:
    status, _, err = run("studio", "--no-open", "--port", "0", model=tmp_path / "none")
    assert (status, err.count("\n")) == (2, 1)


@pytest.mark.slow
def test_it_serves_until_it_is_interrupted(model_folder: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-c", "from undiffuse.cli.main import main; main()", "studio",
             "--no-open", "--port", "0", "--model", str(model_folder),
             "--folder", "kept"]  # fmt: skip
    process = subprocess.Popen(
        words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        # A shell's background jobs, which a test run may be one of, ignore SIGINT.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        page = line.split()[4]
        with urllib.request.urlopen(page) as reply:
            assert b"<!doctype html>" in reply.read()
        stream = urllib.request.Request(  # a drawing that runs does not keep it
            f"{page}api/draw", b'{"steps": 1000, "count": 4, "keep": false}',
            {"content-type": "application/json"},
        )  # fmt: skip
        with urllib.request.urlopen(stream) as events:
            assert events.readline().startswith(b"event: ")
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (process.returncode, err) == (130, "undiffuse: stopped\n")
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["uploads"]
