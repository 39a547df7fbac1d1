"""Every command with hostile arguments: status 0 or 2, one line of error, nothing half written.

`pytest tests/cli/test_hostile.py --hypothesis-profile=hostile` makes 2,000 calls.
"""

import importlib.util
import os
import shutil
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import BytesIO, TextIOWrapper
from itertools import count
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.cli.stubs import stub_evaluation, stub_training
from tests.cli.tree import COMMANDS
from tests.sample import samples
from undiffuse.cli.deprecated import RenamedOption
from undiffuse.cli.main import main
from undiffuse.data.shards import write_shards
from undiffuse.pipeline import SHIPPED_WEIGHTS

DATASETS = Path(__file__).parents[2] / "datasets"
FULL = importlib.util.find_spec("torch") is not None
SECONDS = 60  # of one call, or it hangs
EXAMPLES = max(150, settings().max_examples)

# Files that each call finds in its folder, and paths that can't be used.
FILES = [
    "picture.png", "drawn.png", "broken.png", "locked.png", "latin1.txt", "words.txt", "empty",
    "pictures", "nothing", "shards", "model", "judge", "model/clip.safetensors",
    "model/codec.safetensors", "model/denoiser.safetensors", "judge/clip.safetensors",
    "synonyms.json", "dangling.png", "loop.png", "socket",
]  # fmt: skip
NEW = ["new.png", "new.gif", "new.html", "new", "new/deep", "./new.png", "NEW.png", "link/new.png"]
BAD_PATHS = [
    "", ".", "..", "missing", "missing/deep.png", "picture.png/below.png", "n" * 300 + ".png",
    "n" * 300, "d/" * 2100 + "x", "/proc", "/proc/new.png", "/proc/self/mem", "/dev/null/x", "~",
    "line\nbreak.png", "\x1b[31m.png", "äpfel.png", "\udcff.png",
]  # fmt: skip
TEXTS = [
    "a red apple", "man + 0.8 hat - beard", "cat - picture.png", "picture.png", "", "cat,dog",
    "a drawing of {}", '"a - b"', "x.png - x.png",
]  # fmt: skip
BAD_TEXTS = [
    "9" * 39 + ".0 cat", "9" * 400 + "*cat + dog", "cat - cat", '"unclosed', "x" * 100_000,
    "9" * 100_000, "+", "- -", "0.0 cat", " + ".join("x" * 40), "\x00 ".replace("\x00", "\x01"),
    "a\x1b[2Jb", "\udcff", "\ud800 cat", "missing.png", "broken.png + cat", "pictures", "{}" * 99,
    "🐈\u200d⬛", "\u202e", "cubist", "magic",
]  # fmt: skip
BAD_NUMBERS = ["", "x", "nan", "inf", "-inf", "1e400", "-1", "0", "1.5", "9" * 30, "9" * 5000, "٣"]
# What a parameter of this name is usually given, where not any file will do.
USUAL = {
    "data": ["shards"], "model": ["model"], "judge": ["judge"], "weights": ["model"],
    "clip": ["model"], "clip_path": ["model/clip.safetensors"], "folder": ["pictures"],
    "codec_path": ["model/codec.safetensors"], "judge_path": ["judge/clip.safetensors"],
    "picture": ["drawn.png"], "pictures": ["picture.png"], "like": ["picture.png"],
    "start": ["picture.png"], "mask": ["mask.png"], "dictionary": ["words.txt"],
    "synonyms": ["synonyms.json"], "start_weights": ["model/denoiser.safetensors"],
    "start_decoder": ["model/codec.safetensors"], "sampled_by": ["model"], "steps": ["codec=1"],
    "labels": ["cat,dog"], "style": ["noto", ""], "sampler": ["blend", "ddim"],
    "index_path": ["undiffuse-index"], "trace_path": ["trace.png", "trace.gif"],
}  # fmt: skip


def mostly(good: list[str], bad: list[str]) -> st.SearchStrategy[str]:
    return st.sampled_from([good] * 9 + [bad]).flatmap(st.sampled_from)


def values(param: click.Parameter) -> st.SearchStrategy[str]:
    """Words for one parameter, by its type and name."""
    kind = param.type
    if isinstance(kind, click.Choice):
        return mostly([*map(str, kind.choices)], BAD_TEXTS)
    if isinstance(kind, click.IntRange):
        low, high = kind.min or 0, kind.max or 0
        return mostly([str(low), str(low + 1)], [*BAD_NUMBERS, str(low - 1), str(high + 1)])
    if isinstance(kind, click.types.FloatParamType):
        return mostly(["0.5", "1", "0.01"], BAD_NUMBERS)
    if isinstance(kind, click.types.StringParamType):
        hostile = mostly(USUAL.get(param.name or "", TEXTS), BAD_TEXTS)
        return st.one_of(hostile, hostile, hostile, st.text(max_size=20))
    output = not isinstance(kind, click.Path) or param.name == "out"
    return mostly(NEW if output else USUAL.get(param.name or "", FILES), FILES + BAD_PATHS)


@st.composite
def calls(draw: st.DrawFn) -> list[str]:
    """The words of a call that is right in most of its parts."""
    path = draw(st.sampled_from(list(COMMANDS)))
    words = [] if path == ("draw",) and draw(st.booleans()) else list(path)
    for param in COMMANDS[path].params:
        likely = 98 if param.required else 25  # percent
        if draw(st.sampled_from(range(100))) >= likely:
            continue
        value = draw(values(param)).replace("\0", "")  # which no system lets through
        names = [*param.opts, *([param.old] if isinstance(param, RenamedOption) else [])]
        if isinstance(param, click.Argument):
            words.append(value)
        elif isinstance(param, click.Option) and param.is_flag:
            words.append(draw(st.sampled_from([*param.opts, *param.secondary_opts])))
        elif names[-1].startswith("--") and draw(st.booleans()):
            words.append(f"{names[-1]}={value}")
        else:
            words += [draw(st.sampled_from(names)), value]
    extra = draw(st.sampled_from([[]] * 60 + [["--stpes", "3"], ["--", "-x"], ["\udcff"], [""]]))
    return words + extra


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, request: Any) -> Path:
    """A folder with all `FILES`."""
    folder = tmp_path_factory.mktemp("template")
    model = SHIPPED_WEIGHTS
    if FULL:
        from tests.conftest import CLIP, write_part
        from undiffuse.training.onnx_export import export_onnx

        model = request.getfixturevalue("model_folder")
        write_part(folder / "judge", "clip", CLIP, seed=1)
        export_onnx(folder / "judge", folder / "judge")
    shutil.copytree(model, folder / "model")
    write_shards(samples()[::12], folder / "shards", prefix="few")
    (folder / "pictures").mkdir()
    (folder / "nothing").mkdir()
    for name, color in {"a": "red", "b": "green", "c": "blue"}.items():
        Image.new("RGB", (64, 64), color).save(folder / "pictures" / f"{name}.png")
    shutil.copy(folder / "pictures" / "a.png", folder / "picture.png")
    half = Image.fromarray(np.repeat(np.uint8([[0], [255]]), 32, 0).repeat(64, 1))
    half.save(folder / "mask.png")
    (folder / "broken.png").write_bytes((folder / "picture.png").read_bytes()[:60])
    (folder / "latin1.txt").write_bytes(b"\xe4pfel\n")
    (folder / "words.txt").write_text("apple\nhat\n")
    (folder / "empty").touch()
    (folder / "synonyms.json").write_text('{"feline": ["cat face"]}')
    shutil.copytree(DATASETS, folder / "datasets")  # the default list of synonyms
    for name, target in {"dangling.png": "nowhere", "loop.png": "loop.png", "link": "."}.items():
        (folder / name).symlink_to(target)
    status, _, err = call(folder, ["cat", "--steps", "1", "-o", "drawn.png", "--model", "model"])
    assert (status, err) == (0, "")
    return folder


@pytest.fixture(scope="module", autouse=True)
def _quick(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Parsing, checks and loading are real; what takes long, or fetches, is not done."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        patch.delenv("XDG_CACHE_HOME", raising=False)
        patch.setattr("undiffuse.explore.space.caption_words", lambda: [f"w{k}" for k in range(99)])
        for module in ("undiffuse.pipeline", "undiffuse.pipeline.loading"):
            patch.setattr(f"{module}.SHIPPED_WEIGHTS", (template / "model").resolve())
        stub_evaluation(patch)
        if FULL:
            stub_training(patch)
        yield


def call(folder: Path, words: list[str]) -> tuple[int, str, str]:
    """The program in a folder: status, stdout, stderr. Errors in it come through."""

    def late(*_: object) -> None:
        raise AssertionError(f"a call takes more than {SECONDS} s")

    streams = [TextIOWrapper(BytesIO(), "utf-8", newline="") for _ in range(2)]
    before = os.getcwd(), signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    os.chdir(folder)
    try:
        with (
            pytest.MonkeyPatch.context() as patch,
            redirect_stdout(streams[0]),
            redirect_stderr(streams[1]),
        ):
            patch.setattr(sys, "argv", ["undiffuse", *words])
            main()
        status = 0
    except SystemExit as stop:
        status = int(stop.code or 0)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before[1])
        os.chdir(before[0])
    out, err = (stream.buffer.getvalue().decode() for stream in streams if not stream.flush())
    return status, out, err


def tree(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of all files in a folder by their paths, caches aside."""
    found = {}
    for root, _, names in os.walk(folder):
        for path in (Path(root, name) for name in names):
            state = path.lstat()
            found[str(path.relative_to(folder))] = (state.st_size, state.st_mtime_ns)
    caches = ("undiffuse-index", "/cache/")
    return {name: state for name, state in found.items() if not any(c in name for c in caches)}


NUMBERS = count()


@pytest.mark.slow
@settings(
    max_examples=EXAMPLES, deadline=None, print_blob=False,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(words=calls())
def test_a_hostile_call_is_answered_in_one_line(
    template: Path, tmp_path: Path, words: list[str]
) -> None:
    folder = tmp_path / str(next(NUMBERS)) / "work"
    shutil.copytree(template, folder, symlinks=True, copy_function=os.link)
    shutil.copy(folder / "picture.png", folder / "locked.png")
    (folder / "locked.png").chmod(0)
    with socket.socket(socket.AF_UNIX) as listener, pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        listener.bind("socket")
    before, shared = tree(folder.parent), tree(template)
    status, out, err = call(folder, words)
    after = tree(folder.parent)
    shutil.rmtree(folder.parent)
    assert tree(template) == shared, "a file was written in place"

    assert "Traceback" not in err
    assert "Warning" not in err
    assert not [name for name in after if ".part" in name or ".undiffuse-" in name]
    if status == 0:
        return
    if status == 1:
        assert words[0] == "replay"
        assert out.startswith("different")
        return
    assert status == 2
    assert after == before
    lines = err.splitlines()
    if not lines[0].startswith("Usage: "):
        assert [line.startswith("undiffuse: ") for line in lines].count(True) == 1
        assert lines[-1].startswith("undiffuse: ")
        assert lines[-1].isprintable()
