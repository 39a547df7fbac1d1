"""`undiffuse replay PICTURE.png`: draw it again, and say whether it is the same."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from undiffuse.cli.draw import MODEL, THREADS
from undiffuse.config import DrawConfig
from undiffuse.errors import UserError


@click.command()
@click.argument("picture", type=click.Path(path_type=Path))
@MODEL
@THREADS
def command(picture: Path, model: Path | None, threads: int) -> None:
    """Draw PICTURE again from the record in it, and compare the pixels.

    Exit status 0 if they are the same, 1 if not, 2 if it can't be done.
    """
    from undiffuse.imaging.png import downscale, read_png

    pixels, record = read_png(picture)
    drawn = downscale(pixels, picture)
    config = recorded(record, picture)

    from undiffuse.pipeline import load

    again = replace(load(model, threads), defaults=config).generate(
        record["prompt"],
        seed=record["seed"],
        first_index=record["index"],
        **steered(record, picture),
    )[0]
    different = int((again.pixels != drawn).any(axis=-1).sum())
    if different:
        click.echo(f"different: {different} of {drawn.shape[0] * drawn.shape[1]} pixels")
    else:
        click.echo("the same, pixel for pixel")
    for line in changes(record, again.record):
        click.echo(line)
    sys.exit(1 if different else 0)


def recorded(record: dict[str, Any], path: Path) -> DrawConfig:
    """The settings in a picture's record. UserError if they are not such as are written there."""
    if isinstance(record.get("grid"), list):
        raise UserError(f"{path} is a grid of pictures: replay one of them")
    kinds = {"prompt": str, "style": str, "sampler": str, "steps": int, "seed": int, "index": int,
             "guidance": float, "shift": float, "band": list, "style_strength": float,
             "style_below": float}  # fmt: skip
    for name, kind in kinds.items():
        if not isinstance(record.get(name), kind):
            raise UserError(f"{path} has a broken record: {name} is {record.get(name)!r}")
    if len(record["band"]) != 2:
        raise UserError(f"{path} has a broken record: band is {record['band']!r}")
    return DrawConfig(
        sampler=record["sampler"], steps=record["steps"], guidance=record["guidance"],
        band_low=record["band"][0], band_high=record["band"][1], shift=record["shift"],
        style=record["style"], style_below=record["style_below"],
    )  # fmt: skip


def steered(record: dict[str, Any], path: Path) -> dict[str, Any]:
    """What steered beside the prompt. UserError if it is not such as is written there."""
    kinds = {"negative": str, "like": list, "start": str, "strength": float, "mask": str,
             "gradient": float, "style_strength": float}  # fmt: skip
    found = {name: record[name] for name in kinds if name in record}
    for name, value in found.items():
        parts = value if name == "like" else [value]
        if not isinstance(value, kinds[name]) or not all(isinstance(p, str | float) for p in parts):
            raise UserError(f"{path} has a broken record: {name} is {value!r}")
    return found


def changes(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What pixels depend on beside the settings, where it is not as it was: a line each."""
    lines = []
    for name in ("text", "model", "codec", "processor", "files"):
        if then.get(name) != now.get(name):
            lines.append(f"{name}: {_short(then.get(name))} then, {_short(now.get(name))} now")
    versions = then.get("versions")
    for name, version in now["versions"].items():
        before = versions.get(name) if isinstance(versions, dict) else None
        if before != version:
            lines.append(f"{name}: {_short(before)} then, {version} now")
    return lines


def _short(value: object) -> str:
    return "unknown" if value is None else ascii(value).strip("'")[:100]
