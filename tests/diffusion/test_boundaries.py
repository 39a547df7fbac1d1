"""What keeps this package small: its size, and what it may import."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import undiffuse.diffusion

FILES = sorted(Path(undiffuse.diffusion.__file__).parent.glob("*.py"))
EACH = pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)


def test_under_720_lines() -> None:
    assert sum(len(path.read_text().splitlines()) for path in FILES) < 720


@EACH
def test_no_function_over_40_lines(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno < 40, node.name


@EACH
def test_imports_numpy_and_nothing_else_of_the_project(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            names = [str(node.module)]
        for name in names:
            inside = name.startswith("undiffuse.diffusion") or name == "undiffuse.errors"
            assert inside or name.split(".")[0] in {"numpy", *sys.stdlib_module_names}, name


def test_torch_is_not_loaded() -> None:
    code = "import sys, undiffuse.diffusion; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
