"""Old names of options and commands work, and say which name to use."""

import click
from click.testing import CliRunner

from undiffuse.cli.deprecated import RenamedOption, renamed_command


@click.command("new-name")
@click.option("--rate-new", type=float, default=0.5, cls=RenamedOption, old="--rate")
@click.option("--many", multiple=True, cls=RenamedOption, old="--m")
def command(rate_new: float, many: tuple[str, ...]) -> None:
    click.echo(f"{rate_new} {many}")


def call(*arguments: str, command: click.Command = command) -> tuple[str, str, int]:
    result = CliRunner().invoke(command, arguments)
    return result.stdout, result.stderr, result.exit_code


def test_an_old_option_works_and_says_the_new_name() -> None:
    assert call("--rate", "2") == ("2.0 ()\n", "--rate is deprecated, use --rate-new\n", 0)
    assert call("--rate-new", "2") == ("2.0 ()\n", "", 0)
    assert call() == ("0.5 ()\n", "", 0)
    assert call("--m", "a", "--m", "b")[0] == "0.5 ('a', 'b')\n"


def test_an_old_option_is_validated_and_not_in_the_help() -> None:
    _, errors, status = call("--rate", "x")
    assert status == 2
    assert "Invalid value for '--rate-new'" in errors
    assert "--rate " not in call("--help")[0]


def test_an_old_command_works_and_says_the_new_name() -> None:
    group = click.Group("group", commands=[command, renamed_command("old-name", command)])
    out, errors, status = call("old-name", "--rate-new", "1", command=group)
    assert (out, status) == ("1.0 ()\n", 0)
    assert errors == "old-name is deprecated, use new-name\n"
    assert "old-name" not in call("--help", command=group)[0]
