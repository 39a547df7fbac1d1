"""Draws the pictures of README.md again, by the commands there, in order.

python docs/drawings.py
"""

import os
import re
import shlex
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from undiffuse.cli.main import cli

DOCS = Path(__file__).resolve().parent
COMMAND = re.compile(r"undiffuse ([^`\n]*?(?:-o|--trace) [\w-]+\.(?:png|webp))(?=[`\n])")


def commands() -> list[list[str]]:
    """The arguments of each command whose file is in docs/."""
    text = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    found = [shlex.split(arguments) for arguments in COMMAND.findall(text)]
    return [arguments for arguments in found if (DOCS / arguments[-1]).exists()]


def main() -> None:
    """Run the commands in a temporary folder, because a command overwrites no picture."""
    with TemporaryDirectory() as folder:
        os.chdir(folder)
        Path("docs").symlink_to(DOCS)
        for arguments in commands():
            print("undiffuse", shlex.join(arguments))
            cli.main(arguments, prog_name="undiffuse", standalone_mode=False)
            shutil.copyfile(arguments[-1], DOCS / arguments[-1])
        os.chdir(DOCS)


if __name__ == "__main__":
    main()
