"""Imports go one way, and torch stays in its rooms: read off the sources, nothing is run."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import undiffuse

SOURCE = Path(undiffuse.__file__).parent
# A module may import from its own room and from rooms on lower floors.
FLOORS = (
    ("errors",),
    ("config", "diffusion"),
    ("imaging", "networks"),
    ("clip", "layout"),
    ("data", "runtime"),
    ("pretrained", "evaluation", "explore"),
    ("training",),
    ("pipeline",),
    ("lab", "bulk", "studio"),
    ("cli",),
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
WITH_TORCH = (
    "clip/loss.py",
    "clip/model.py",
    "networks/",
    "training/",
    "lab/",
)
FILES = sorted(path for path in SOURCE.rglob("*.py") if path.parent != SOURCE or path.stem in FLOOR)
NAMES = [path.relative_to(SOURCE).as_posix() for path in FILES]
EACH = pytest.mark.parametrize("path", FILES, ids=NAMES)


def imported(tree: ast.AST) -> Iterator[str]:
    """The full names of all modules that are imported anywhere in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            module = str(node.module)
            whole = module == "undiffuse"
            yield from (f"undiffuse.{alias.name}" for alias in node.names) if whole else (module,)


def at_import(tree: ast.Module) -> ast.Module:
    """What runs when the module is imported: no bodies of functions, nothing for type checkers."""

    class Outer(ast.NodeTransformer):
        def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
            return None

        def visit_If(self, node: ast.If) -> ast.AST | None:
            return None if "TYPE_CHECKING" in ast.dump(node.test) else self.generic_visit(node)

    outer = Outer().visit(tree)
    assert isinstance(outer, ast.Module)
    return outer


@cache
def rooms(path: Path) -> tuple[str, set[str]]:
    """The file's room, and those that it imports from."""
    own = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    found = {name.split(".")[1] for name in imported(ast.parse(path.read_text()))
             if name.startswith("undiffuse.") and name != "undiffuse.__version__"}  # fmt: skip
    return own, found - {own}


@EACH
def test_imports_go_one_way(path: Path) -> None:
    own, found = rooms(path)
    for room in found:
        assert FLOOR[room] < FLOOR[own], f"{own} imports {room}"


@pytest.mark.parametrize(
    ("room", "allowed"),
    [
        ("errors", set()),
        ("config", {"errors"}),
        ("diffusion", {"errors"}),
        ("networks", {"config", "errors"}),
        ("clip", {"config", "errors", "networks"}),
        ("layout", {"errors", "imaging"}),
        ("data", {"errors", "imaging", "layout", "clip"}),
    ],
)
def test_what_the_lower_rooms_import(room: str, allowed: set[str]) -> None:
    for path in FILES:
        own, found = rooms(path)
        assert own != room or found <= allowed


def test_every_file_has_a_room() -> None:
    assert {path.relative_to(SOURCE).parts[0].removesuffix(".py") for path in FILES} == set(FLOOR)
    others = {path.name for path in SOURCE.glob("*.py")} - {f"{room}.py" for room in FLOOR}
    assert others == {"__init__.py"}


@EACH
def test_torch_stays_in_its_rooms(path: Path) -> None:
    name = path.relative_to(SOURCE).as_posix()
    loaded = {module.split(".")[0] for module in imported(at_import(ast.parse(path.read_text())))}
    assert "torch" not in loaded or name.startswith(WITH_TORCH)
    assert "onnxruntime" not in loaded  # a tenth of a second, and not needed for --help
    assert not loaded & {"transformers", "tokenizers", "torchvision"}


def test_the_test_can_tell() -> None:
    code = (
        "import a\nif TYPE_CHECKING:\n    import b\ndef f():\n    import c\nclass D:\n    import d"
    )
    assert sorted(imported(ast.parse(code))) == ["a", "b", "c", "d"]
    assert sorted(imported(at_import(ast.parse(code)))) == ["a", "d"]
    assert list(imported(ast.parse("from undiffuse import errors"))) == ["undiffuse.errors"]


def test_importing_the_package_loads_nothing() -> None:
    code = (
        "import sys, undiffuse; sys.exit(bool({'torch', 'onnxruntime', 'numpy'} & {*sys.modules}))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
