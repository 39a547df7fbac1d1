"""`undiffuse PROMPT` and every other command. Nothing heavy is imported before it is needed."""

import gc
import os
import sys
from importlib import import_module
from io import TextIOWrapper
from typing import Any, NoReturn

import click

from undiffuse import __version__
from undiffuse.errors import LostProcess, UserError, explain
from undiffuse.runtime.machine import set_waiting

# Command -> (module, help line). Loaded when called, so that --help costs nothing. A module of one
# command calls it `command`.
COMMANDS = {
    "draw": ("undiffuse.cli.draw", "Draw a picture of a sentence; `undiffuse PROMPT` does too."),
    "between": ("undiffuse.cli.between", "Draw the way from one prompt to another."),
    "studio": ("undiffuse.cli.studio", "Draw in the browser: a page and an HTTP API."),
    "replay": ("undiffuse.cli.replay", "Draw a picture again and compare the pixels."),
    "data": ("undiffuse.cli.data", "Build data sets."),
    "train": ("undiffuse.cli.train", "Train CLIP, the codec or the denoiser."),
    "lab": ("undiffuse.cli.lab", "Try the lesson's claims as experiments; writes one page."),
    "embed": ("undiffuse.cli.embed", "Embed a whole data set by CLIP, on many cores or machines."),
    "search": ("undiffuse.cli.explore:search", "Find pictures in a folder by words or a picture."),
    "classify": ("undiffuse.cli.explore:classify", "Which of some labels fits a picture."),
    "similarity": ("undiffuse.cli.explore:similarity", "The cosine of two words or pictures."),
    "space": ("undiffuse.cli.explore:nearest", "Sums of words and pictures, read out in words."),
    "map": (
        "undiffuse.cli.explore:map_command",
        "A folder's pictures and words on a plane, as a page.",
    ),
    "evaluate": ("undiffuse.cli.evaluate", "Judge a model by figures and by a sheet."),
}
set_waiting()
MAX_MESSAGE = 600  # characters


class Commands(click.Group):
    """Loads commands when they are called; what is no command is a prompt to draw."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # A prompt, or options that come before one: whatever begins with no command is drawn.
        if args and args[0] not in {*COMMANDS, *ctx.help_option_names, "--version"}:
            args = ["draw", *args]
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[name][0].partition(":")
        command: click.Command = getattr(import_module(module), attribute or "command")
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:  # click itself would print an empty line first
            raise click.Abort(*stop.args) from stop

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True},
    subcommand_metavar="PROMPT | COMMAND ...",
    options_metavar="",
)
@click.version_option(__version__)
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Draw pictures out of noise, steered by words.

    \b
    undiffuse "a red apple"              draws one
    undiffuse draw --help                says what else can be asked for
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main() -> None:
    """The program. Every error that a person can fix becomes one line on stderr and status 2, here
    and nowhere else; Ctrl-C is status 130; a bug in this package keeps its traceback.
    """
    if isinstance(sys.stdout, TextIOWrapper):  # no character makes printing fail
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        check_utf8(sys.argv[1:])
        cli.main(prog_name="undiffuse", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort) as stop:
        leave(f"stopped{''.join(f': {arg}' for arg in stop.args)}", 130)
    except click.ClickException as error:
        leave(error.format_message(), 2)
    except Exception as error:
        message = explain(error)
        if message is None:
            raise
        leave(message, 2, everywhere=isinstance(error, LostProcess))
    finally:
        gc.freeze()  # the collections at exit would look at all objects and take 40 ms


def check_utf8(arguments: list[str]) -> None:
    """UserError for an argument that is not UTF-8: no file that is written could hold it."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError as error:
            raise UserError(f"{argument!r} is not UTF-8 text") from error


def leave(message: str, status: int, everywhere: bool = False) -> NoReturn:
    """Print one line on stderr, control characters escaped and the middle of a very long message
    left out, and exit. Of the processes of a training run the first one prints, or all do."""
    line = " ".join(message.split())
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
    if len(line) > MAX_MESSAGE:
        line = f"{line[: MAX_MESSAGE // 2]} ... {line[-MAX_MESSAGE // 2 :]}"
    if everywhere or os.environ.get("RANK", "0") == "0":
        click.echo(f"undiffuse: {line}", err=True)
    sys.exit(status)
