"""Options and commands with a new name, whose old name still works for one version."""

from typing import Any

import click


class RenamedOption(click.Option):
    """An option that is also accepted as `old`, with a line on stderr. Help shows the new name.

    Use as `click.option("--new", cls=RenamedOption, old="--old")`; not for flags.
    """

    def __init__(self, *args: Any, old: str, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.old = old

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        super().add_to_parser(parser, ctx)
        action = "append" if self.multiple else "store"
        parser.add_option(self, [self.old], dest=self.old, action=action, nargs=self.nargs)

    def consume_value(self, ctx: click.Context, opts: Any) -> Any:
        if self.old in opts:
            click.echo(f"{self.old} is deprecated, use {self.opts[0]}", err=True)
            opts = {self.name: opts[self.old]} | opts
        return super().consume_value(ctx, opts)


def renamed_command(old: str, command: click.Command) -> click.Command:
    """A hidden copy of `command` under its old name, with a line on stderr when it is used."""

    def invoke(**options: Any) -> Any:
        click.echo(f"{old} is deprecated, use {command.name}", err=True)
        assert command.callback is not None
        return command.callback(**options)

    return click.Command(old, callback=invoke, params=command.params, hidden=True)
