"""`undiffuse studio`."""

from pathlib import Path

import click

from undiffuse.cli.options import MODEL, OVERWRITE, PATH, THREADS
from undiffuse.cli.param_types import OUTPUT_FOLDER


@click.command()
@click.option("--host", default="127.0.0.1", help="Address to listen on; another needs --token.")
@click.option("--port", type=click.IntRange(0, 65535), default=7860, help="0 is any free port.")
@click.option("--no-open", is_flag=True, help="Do not open the page in the browser.")
@click.option(
    "--token",
    envvar="UNDIFFUSE_TOKEN",
    show_envvar=True,
    help="What clients have to send: as the page's first question, or as their API key.",
)
@click.option(
    "--folder",
    type=OUTPUT_FOLDER,
    default="undiffuse-studio",
    help="Where pictures are kept; made if it is missing.",
)
@click.option(
    "--export",
    "site",
    type=OUTPUT_FOLDER,
    help="Write a static site that draws in the browser itself to this folder, and end.",
)
@click.option(
    "--packages",
    type=PATH,
    help="Folder with the tarball of onnxruntime-web, for --export. Default: fetch it with npm.",
)
@OVERWRITE
@MODEL
@THREADS
def command(
    host: str, port: int, no_open: bool, token: str | None, folder: Path, site: Path | None,
    packages: Path | None, overwrite: bool, model: Path | None, threads: int,
) -> None:  # fmt: skip
    """Draw in the browser: a page and an HTTP API, served until Ctrl-C.

    The API is described on the page's own /api, and takes requests of OpenAI's clients:
    POST /v1/images/generations.

    With --export, nothing is served. The folder that is written needs no more than a web server
    for files. An earlier site in it is replaced with --overwrite.
    """
    if site is not None:
        from undiffuse.studio.export import export_site

        size = export_site(site, model, packages, overwrite=overwrite, threads=threads)
        click.echo(f"{site}: {size / 1e6:.1f} MB")
        return
    from undiffuse.studio.server import serve

    serve(
        host, port, folder, model, token, threads, open_page=not no_open,
        report=lambda page: click.echo(f"The studio is at {page} (Ctrl-C ends it)"),
    )  # fmt: skip
