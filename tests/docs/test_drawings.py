"""docs/drawings.py finds the command of every drawing in README.md."""

import importlib.util
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PICTURE = re.compile(r"!\[[^]]*\]\((docs/[^/)]+)\)")


def test_every_drawing_of_the_readme_has_its_command() -> None:
    spec = importlib.util.spec_from_file_location("drawings", ROOT / "docs" / "drawings.py")
    assert spec is not None
    assert spec.loader is not None
    drawings = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(drawings)
    shown = PICTURE.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    written = [f"docs/{command[-1]}" for command in drawings.commands()]
    assert sorted(written) == sorted(shown)
