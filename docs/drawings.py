"""Draws the pictures of README.md again: runs the commands there that write to docs/, in order.

python docs/drawings.py
"""

import re
import shlex
from pathlib import Path

from undiffuse.cli.main import cli

README = Path(__file__).parents[1] / "README.md"
COMMAND = re.compile(r"undiffuse ((?:[^`\n]* )?(?:-o|--trace) docs/\S+?)[`\n]")


def commands() -> list[list[str]]:
    """The arguments of each command."""
    return [shlex.split(found) for found in COMMAND.findall(README.read_text(encoding="utf-8"))]


if __name__ == "__main__":
    for arguments in commands():
        print("undiffuse", shlex.join(arguments))
        cli.main(arguments, prog_name="undiffuse", standalone_mode=False)
