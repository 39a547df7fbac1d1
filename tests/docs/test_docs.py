"""The documentation names commands, options, files and Python names that exist."""

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest

from undiffuse.cli.main import cli

ROOT = Path(__file__).parents[2]
PAGES = [
    *sorted((ROOT / "docs").rglob("*.md")),
    *(ROOT / name for name in ("README.md", "MODEL_CARD.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    ROOT / "datasets" / "README.md",
]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.M | re.S)
INLINE = re.compile(r"`(undiffuse [^`]+)`")
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
# Pages of the site that docs/hooks.py generates.
GENERATED = re.compile(r"reference/(?!index)\w+\.md$")


def commands(text: str) -> Iterator[str]:
    """Every `undiffuse ...` command line of a page."""
    for language, block in BLOCK.findall(text):
        if language == "sh":
            for line in block.replace("\\\n", " ").splitlines():
                for part in re.split(r" && |; ", line.split("  #")[0]):
                    yield from re.findall(r"^(?:\S+/)?undiffuse .*", part.strip())
    yield from INLINE.findall(BLOCK.sub("", text))


def wrong_options(line: str) -> list[str]:
    """The words of a command line that are no option or subcommand, or an old name of one."""
    words = shlex.split(line)[1:]
    command: click.Command = cli
    context = click.Context(cli)
    while words and isinstance(command, click.Group):
        found = command.get_command(context, words[0])
        default = command.get_command(context, "draw" if command is cli else "model")
        if (found is None and default is None) or (found and found.hidden):  # hidden: an old name
            return [words[0]]
        words = words[1:] if found else words
        command = found or default or command
        context = click.Context(command, context)
    parameters = command.get_params(context)
    known = {name for one in parameters for name in (*one.opts, *one.secondary_opts)}
    return [word for word in words if re.fullmatch(r"-[a-z]|--[a-z][a-z-]*", word)
            and word not in known | {"-h", "--version"}]  # fmt: skip


def test_every_command_in_the_docs_has_only_options_that_exist() -> None:
    lines = [(page.name, line) for page in PAGES for line in commands(page.read_text("utf-8"))]
    assert len(lines) > 60
    wrong = [(page, line, found) for page, line in lines if (found := wrong_options(line))]
    assert not wrong


def test_every_relative_link_leads_to_a_file() -> None:
    missing = [
        (page.name, link)
        for page in PAGES
        for link in LINK.findall(BLOCK.sub("", page.read_text("utf-8")))
        if not (page.parent / link).exists() and not GENERATED.search(f"{page.parent}/{link}")
    ]
    assert not missing


def test_prose_lines_have_at_most_120_characters() -> None:
    for page in PAGES:
        for line in BLOCK.sub("", page.read_text("utf-8")).splitlines():
            assert len(line) <= 120 or line.startswith("|"), (page.name, line)


def test_the_log_index_lists_every_page() -> None:
    index = (ROOT / "docs" / "log" / "index.md").read_text("utf-8")
    pages = {path.name for path in (ROOT / "docs" / "log").glob("2*.md")}
    assert pages == set(re.findall(r"\((2[\w-]+\.md)\)", index))


@pytest.mark.slow
def test_the_python_examples_of_the_guides_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import undiffuse

    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    monkeypatch.setattr(undiffuse, "load", cache(undiffuse.load), raising=False)
    undiffuse.load().generate("a red apple")[0].save("apple.png")
    ran = 0
    for page in PAGES:
        for language, block in BLOCK.findall(page.read_text("utf-8")):
            if language == "python" and "--8<--" not in block:
                exec(compile(block, page.name, "exec"), {})
                ran += 1
    assert ran >= 5
