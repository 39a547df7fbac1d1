"""`undiffuse PROMPT` and every other command. Nothing heavy is imported before it is needed."""

import sys
from importlib import import_module

import click

from undiffuse import __version__
from undiffuse.errors import UserError

# Command -> (module, help line). Loaded when called, so that --help costs nothing. A module of one
# command calls it `command`.
COMMANDS = {
    "draw": ("undiffuse.cli.draw", "Draw a picture of a sentence; `undiffuse PROMPT` does too."),
    "between": ("undiffuse.cli.between", "Draw the way from one prompt to another."),
    "replay": ("undiffuse.cli.replay", "Draw a picture again and compare the pixels."),
    "data": ("undiffuse.cli.data", "Build data sets."),
    "train": ("undiffuse.cli.train", "Train CLIP, the codec or the denoiser."),
    "lab": ("undiffuse.cli.lab", "Try the lesson's claims as experiments; writes one page."),
    "search": ("undiffuse.cli.explore:search", "Find pictures in a folder by words or a picture."),
    "classify": ("undiffuse.cli.explore:classify", "Which of some labels fits a picture."),
    "similarity": ("undiffuse.cli.explore:similarity", "The cosine of two words or pictures."),
    "space": ("undiffuse.cli.explore:space", "Sums of words and pictures, read out in words."),
    "map": ("undiffuse.cli.explore:plane", "A folder's pictures and words on a plane, as a page."),
    "evaluate": ("undiffuse.cli.evaluate", "Judge a model by figures and by a sheet."),
}


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

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
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
    """The program. Exit status 0, 1 for an interrupted run, 2 for what the user can mend."""
    try:
        cli.main(prog_name="undiffuse", standalone_mode=False)
    except UserError as error:
        fail(str(error))
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(2)
    except click.ClickException as error:
        fail(error.format_message())
    except (KeyboardInterrupt, click.Abort):
        click.echo("undiffuse: stopped", err=True)
        sys.exit(1)


def fail(message: str) -> None:
    """One line on stderr, exit status 2."""
    click.echo(f"undiffuse: {' '.join(message.split())}", err=True)
    sys.exit(2)
