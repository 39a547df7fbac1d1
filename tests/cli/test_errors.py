"""Errors at the boundary: what becomes one line, with which status, and what stays a traceback."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest

import undiffuse
from tests.cli.tree import COMMANDS
from tests.conftest import Run
from undiffuse.cli import draw
from undiffuse.cli.main import MAX_MESSAGE
from undiffuse.cli.param_types import FiniteFloat, same_file_key
from undiffuse.errors import EXTRAS, UserError, explain
from undiffuse.imaging.files import check_folder, check_writable

SOURCE = Path(undiffuse.__file__).parent
PROJECT = Path(__file__).parents[2] / "pyproject.toml"


def distribution(requirement: str) -> str:
    return re.split(r"[^\w-]", requirement)[0].replace("-", "_").lower()


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (UserError("steps=0: give 1 or more"), "steps=0: give 1 or more"),
        (FileNotFoundError(2, "No such file or directory", "a.txt"), "a.txt: No such file or"),
        (OSError("image file is truncated"), "image file is truncated"),
        (MemoryError(), "not enough memory"),
        (ModuleNotFoundError("", name="torch.nn"), "pip install 'undiffuse[train]'"),
        (ModuleNotFoundError("", name="transformers"), "pip install 'undiffuse[pretrained]'"),
        (ModuleNotFoundError("", name="undiffuse.nothing"), None),
        (ValueError("x"), None),
        (KeyError("x"), None),
    ],
)
def test_only_what_a_person_can_fix_has_a_message(error: Exception, message: str | None) -> None:
    found = explain(error)
    assert found is None if message is None else message in str(found)


def test_every_optional_import_has_its_extra() -> None:
    project = tomllib.loads(PROJECT.read_text())["project"]
    base = {distribution(one) for one in project["dependencies"]} | {"PIL"}
    imported = {
        str(module).partition(".")[0]
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        for module in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    brought = {"cycler"}  # by matplotlib
    optional = imported - set(sys.stdlib_module_names) - base - brought - {"undiffuse"}
    assert optional <= EXTRAS.keys()
    for module, extra in EXTRAS.items():
        names = [distribution(one) for one in project["optional-dependencies"][extra]]
        assert any(name.startswith(module) for name in names), module


@pytest.mark.parametrize(
    "words",
    [
        ("train", "clip", "--data", "x", "-o", "run"),
        ("lab", "-o", "run"),
        ("cat", "--gradient", "2"),
    ],
)
def test_a_missing_extra_is_named(words: tuple[str, ...], tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None; from undiffuse.cli.main import main; "
        "sys.argv[0] = 'undiffuse'; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.stderr == "undiffuse: this needs torch: pip install 'undiffuse[train]'\n"
    assert (done.returncode, list(tmp_path.iterdir())) == (2, [])


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (PermissionError(13, "Permission denied", "x.png"), 2, "x.png: Permission denied"),
        (UserError("a\x1b[31m\n  b"), 2, r"a\x1b[31m b"),
        (KeyboardInterrupt(), 130, "stopped"),
        (KeyboardInterrupt("saved after step 3"), 130, "stopped: saved after step 3"),
    ],
)
def test_an_error_in_a_command_is_one_line(
    error: BaseException, status: int, line: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(draw, "picture_paths", fail)
    assert run("cat") == (status, [], f"undiffuse: {line}\n")


def test_a_bug_keeps_its_traceback(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draw, "picture_paths", None)
    with pytest.raises(TypeError):
        run("cat")


def test_a_very_long_message_loses_its_middle(run: Run) -> None:
    status, _, err = run("cat", "--sampler", "x" * 5000)
    assert status == 2
    assert err.count("\n") == 1
    assert len(err) < MAX_MESSAGE + 30
    assert err.endswith("previous\n")


def test_words_that_are_not_utf8_are_refused(run: Run) -> None:
    for words in (["caf\udce9"], ["cat", "-o", "caf\udce9.png"]):
        status, out, err = run(*words)
        assert (status, out) == (2, [])
        assert re.fullmatch(r"undiffuse: '[^\n]+ is not UTF-8 text\n", err)


@pytest.mark.parametrize("trace", ["a.png", "./a.png", "b/../a.png", "link/a.png", "A.png"])
def test_a_trace_is_not_written_over_the_picture(run: Run, trace: str) -> None:
    Path("link").symlink_to(".")
    Path("b").mkdir()
    status, out, err = run("cat", "-o", "a.png", "--trace", trace)
    assert (status, out) == (2, [])
    assert "is the picture's name too" in err
    assert not Path("a.png").exists()


def test_two_outputs_have_two_names(run: Run) -> None:
    words = ("evaluate", "model", "--data", "x", "--judge", "x")
    status, _, err = run(*words, "-o", "a.png", "--copies", "./a.png")
    assert (status, err) == (
        2,
        "undiffuse: --out and --copies both write to a.png: give two names\n",
    )


def test_outputs_are_tried_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to("nowhere")
    check_folder(tmp_path / "new" / "deep")
    check_writable(tmp_path / "file")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dangling", "file"]
    for folder in ("file", "file/below", "n" * 300, "dangling", "/proc/new"):
        with pytest.raises(UserError, match="no files can be written in"):
            check_folder(tmp_path / folder)
    for file in (".", "/dev/null", "n" * 300, "missing/file", "/proc/new"):
        with pytest.raises(UserError, match="can't be written"):
            check_writable(tmp_path / file)


def test_spellings_of_one_file_are_one_key(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    spellings = ("é.png", "e\u0301.png", "É.PNG", "link/é.png", "x/../é.png")
    assert len({same_file_key(tmp_path / spelling) for spelling in spellings}) == 1
    assert same_file_key(tmp_path / "a") != same_file_key(tmp_path / "b")


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "2", "x"])
def test_a_number_that_is_not_finite_is_refused(value: str) -> None:
    assert FiniteFloat(0, 1).convert("0.5", None, None) == 0.5
    with pytest.raises(click.BadParameter):
        FiniteFloat(0, 1).convert(value, None, None)


def test_every_whole_number_has_bounds() -> None:
    for path, command in COMMANDS.items():
        for param in command.params:
            if isinstance(param.type, click.types.IntParamType):
                kind = param.type
                assert isinstance(kind, click.IntRange), (path, param.name)
                assert None not in (kind.min, kind.max), (path, param.name)
