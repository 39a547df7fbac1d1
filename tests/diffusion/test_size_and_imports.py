"""The size of this package, and what it may import."""

import ast
import subprocess
import sys
from pathlib import Path

import undiffuse.diffusion

FILES = sorted(Path(undiffuse.diffusion.__file__).parent.glob("*.py"))


def test_under_720_lines() -> None:
    assert sum(len(path.read_text().splitlines()) for path in FILES) < 720


def test_no_function_over_40_lines() -> None:
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno is not None
                assert node.end_lineno - node.lineno < 40, node.name


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(str(node.module))
    return found


def test_imports_numpy_and_nothing_else_of_the_project() -> None:
    known = {"numpy", *sys.stdlib_module_names}
    for path in FILES:
        for name in imports_of(path):
            inside = name.startswith("undiffuse.diffusion") or name == "undiffuse.errors"
            assert inside or name.split(".")[0] in known, name


def test_torch_is_not_loaded() -> None:
    code = "import sys, undiffuse.diffusion; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
