"""Every command of the program, found by walking click's tree."""

from collections.abc import Iterator
from typing import Any

import click

from undiffuse.cli.main import cli


def walk(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[Any, click.Command]]:
    """All commands below a group, by the words that call them."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from walk(command, (*path, name))


COMMANDS = dict(walk(cli))
