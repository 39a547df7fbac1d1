"""Runs the page's modules under Node.js."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from undiffuse.studio import api

PAGE = Path(api.__file__).with_name("page")
LOCAL = PAGE / "source-local"
NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="Node.js is not installed (apt: nodejs)")


def run_module(body: str, data: Any = None) -> Any:
    """The value that a function body returns; it has `data`, and `load(name)` for a module."""
    assert NODE is not None
    script = (
        'import { readFileSync } from "node:fs";\n'
        f"const load = (name) => import({json.dumps(LOCAL.as_uri())} + `/${{name}}.js`);\n"
        'const data = JSON.parse(readFileSync(0, "utf8"));\n'
        f"const result = await (async () => {{ {body} }})();\n"
        "process.stdout.write(JSON.stringify(result));\n"
    )
    done = subprocess.run(
        [NODE, "--input-type=module", "-e", script], input=json.dumps(data), text=True,
        capture_output=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
