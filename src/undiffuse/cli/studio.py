"""`undiffuse studio`."""

from pathlib import Path

import click

from undiffuse.cli.options import MODEL, THREADS
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
@MODEL
@THREADS
def command(
    host: str, port: int, no_open: bool, token: str | None, folder: Path, model: Path | None,
    threads: int,
) -> None:  # fmt: skip
    """Draw in the browser: a page and an HTTP API, served until Ctrl-C.

    The API is described on the page's own /api, and takes requests of OpenAI's clients:
    POST /v1/images/generations.
    """
    from undiffuse.studio.server import serve

    serve(
        host, port, folder, model, token, threads, open_page=not no_open,
        report=lambda page: click.echo(f"The studio is at {page} (Ctrl-C ends it)"),
    )  # fmt: skip
