"""MkDocs hooks: pages from files outside docs/, and the reference of commands and packages."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from undiffuse.cli.main import cli

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "undiffuse"
PAGES = {
    "MODEL_CARD.md": "model-card.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "datasets/README.md": "datasets.md",
}
# A link to one of these files, or into docs/: in the site they are all in one folder.
LINK = re.compile(rf"(?<=\]\()(?:\.\./)?((?:\.\./)*)(docs/|{'|'.join(map(re.escape, PAGES))})")

# What a browser would load from another host.
REMOTE = re.compile(
    r"""<(?:script|img|iframe|source)\b[^>]*\bsrc=["'](?:https?:)?//[^>]*>
    |<link\b[^>]*\brel=["'](?:stylesheet|icon|preconnect|preload)[^>]*href=["'](?:https?:)?//[^>]*>
    """,
    re.X,
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    for source, name in PAGES.items():
        text = (ROOT / source).read_text("utf-8")
        files.append(File.generated(config, name, content=text))
    page = "\n".join(["# Command line\n", *help_texts(cli, "undiffuse")])
    files.append(File.generated(config, "reference/cli.md", content=page))
    for folder in SOURCE.iterdir():
        if (folder / "__init__.py").exists() and folder.name != "cli":
            page = reference(folder)
            files.append(File.generated(config, f"reference/{folder.name}.md", content=page))
    return files


def help_texts(
    command: click.Command, name: str, parent: click.Context | None = None
) -> Iterator[str]:
    """The --help text of a command and its subcommands, as Markdown."""
    context = click.Context(command, parent, name, terminal_width=76, **command.context_settings)
    yield f"## {context.command_path}\n\n```text\n{context.get_help()}\n```\n"
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            if (found := command.get_command(context, child)) and not found.hidden:
                yield from help_texts(found, child, context)


def reference(folder: Path) -> str:
    """The Markdown of a package's reference page: mkdocstrings fills in each module."""
    paths = sorted(path for path in folder.rglob("*.py") if path.stem != "__init__")
    modules = [".".join(path.relative_to(SOURCE.parent).with_suffix("").parts) for path in paths]
    return "\n\n".join([f"# {folder.name}", *(f"::: {module}" for module in modules)]) + "\n"


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrite links to the files outside docs/."""
    return LINK.sub(lambda link: link[1] + PAGES.get(link[2], ""), markdown)


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> None:
    """Fail if the page loads anything from another host."""
    if found := REMOTE.search(output):
        raise PluginError(f"{page.file.src_uri} loads from another host: {found[0]}")
