"""Progress with the time left: a bar on a terminal, elsewhere a line a minute."""

import os
import pty
import re
import subprocess
import sys
import termios

import pytest

from undiffuse.cli.progress_bar import Display, Follower, Progress, format_duration, track


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_without_a_terminal_there_is_a_line_at_the_start_each_minute_and_at_the_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    clock = Clock()
    with Progress(100, "pictures", "drawing", display=Display(clock, terminal=False)) as progress:
        for _ in range(100):
            clock.now += 12
            progress.update(note="fast")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "drawing: 1 of 100 pictures, fast, 20 min left"
    assert lines[1] == "drawing: 6 of 100 pictures, fast, 19 min left"
    assert lines[-2:] == [
        "drawing: 96 of 100 pictures, fast, 48 s left", "drawing: 100 pictures in 20 min",
    ]  # fmt: skip
    assert len(lines) == 2 + 20 - 1


def test_quick_work_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(track("abc", 3, "letters", "reading")) == ["a", "b", "c"]
    assert capsys.readouterr().err == ""


def test_what_was_done_before_does_not_count_for_the_speed() -> None:
    clock = Clock()
    progress = Progress(100, "parts", "working", 50, Display(clock, terminal=False))
    assert progress.left(0.5) is None
    clock.now = 10.0
    assert progress.left(0.75) == pytest.approx(10)


def test_each_kind_of_work_has_its_own_time(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    follow = Follower(Display(clock, terminal=False))
    follow("preparing", 0.0)
    for what in ("preparing", "encoding"):
        for share in (0.25, 0.5):
            clock.now += 30
            follow(what, share)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "preparing: 25%, 2 min left"
    assert lines[1] == "encoding: 50%, 30 s left"


def test_nothing_is_shown_when_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    display = Display(Clock(), terminal=False, quiet=True)
    display.show("working", 0.5, now=True)
    display.say("a line")
    assert capsys.readouterr().err == ""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_a_terminal_gets_a_bar_and_lines_that_stay_above_it() -> None:
    code = """
from undiffuse.cli.progress_bar import Display
display = Display()
display.show("step 1 of 2, 4 s left", 0.5)
display.say("a line that stays")
display.clear()
"""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    subprocess.run([sys.executable, "-c", code], stderr=theirs, check=True)
    os.close(theirs)
    text = b""
    try:
        while part := os.read(ours, 4096):
            text += part
    except OSError:  # Linux' way to say that the other end is closed
        pass
    os.close(ours)
    assert re.search(r" 50%\|.+\| step 1 of 2, 4 s left", text.decode())
    assert "a line that stays\r\n" in text.decode()


def test_durations_are_read_easily() -> None:
    durations = [format_duration(seconds) for seconds in (0.4, 45.2, 89, 91, 1500, 12000)]
    assert durations == ["0 s", "45 s", "89 s", "2 min", "25 min", "3 h 20 min"]
