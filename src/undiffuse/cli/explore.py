"""`undiffuse search`, `classify`, `similarity` and `space`: CLIP as a tool."""

import json
from collections.abc import Callable, Iterable
from functools import partial, wraps
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from undiffuse.cli.draw import MODEL, THREADS
from undiffuse.errors import UserError

if TYPE_CHECKING:
    from undiffuse.explore.index import Index
    from undiffuse.explore.space import Space

COUNT = click.option("-n", "count", type=click.IntRange(1, 1000), default=10, show_default=True)
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
CLIP = click.option(
    "--clip",
    type=click.Path(path_type=Path),
    help="Folder with a pretrained CLIP (safetensors) to use; needs the extra [train].",
)
INDEX = click.option(
    "--index",
    "index_path",
    type=click.Path(path_type=Path),
    help="Keep the index in this file; in the folder if not given.",
)


def with_space(command: Callable[..., None]) -> Callable[..., None]:
    """Options that choose a CLIP; `command` is given what opens it as `opened`."""

    @MODEL
    @CLIP
    @THREADS
    @wraps(command)
    def run(
        *args: Any, model: Path | None, clip: Path | None, threads: int, **options: Any
    ) -> None:
        command(*args, opened=partial(_space, model, clip, threads), **options)

    return run


SUMS = """Words, the path of a picture, or a sum: "man + 0.8 hat - beard", "hat.png - nohat.png".
    Double quotes keep a sign, or a name that ends like a file's."""


@click.command(help=f"Find pictures in FOLDER by QUERY.\n\n{SUMS}")
@click.argument("query", nargs=1)
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@click.option("--like", type=click.Path(path_type=Path), help="Find pictures like this one.")
@click.option("--sheet", type=click.Path(path_type=Path), help="Write what was found here: PNG.")
@COUNT
@INDEX
@JSON
@with_space
def search(
    query: str,
    folder: Path | None,
    like: Path | None,
    sheet: Path | None,
    count: int,
    index_path: Path | None,
    as_json: bool,
    opened: "Callable[[], Space]",
) -> None:
    if folder is None:  # with --like, the one argument is the folder
        if like is None:
            raise UserError("search what, and where? undiffuse search QUERY FOLDER")
        query, folder = "", Path(query)
    from undiffuse.explore.expression import Term, combined, parse
    from undiffuse.imaging.files import check_writable

    space = opened()
    if sheet is not None:
        check_writable(sheet)
    terms = parse(query) if query.strip() else []
    terms += [Term(1.0, str(like), True)] if like is not None else []
    if not terms:
        raise UserError("the query is empty: give words, or --like PICTURE")
    vector = combined(terms, space.term)
    hits = read_index(space, folder, index_path).search(vector, count)
    if sheet is not None:
        _write_sheet(sheet, folder, [(hit.path, f"{hit.cosine:.3f} {hit.path}") for hit in hits])
    if as_json:
        click.echo(json.dumps([vars(hit) for hit in hits], indent=2))
        return
    for hit in hits:
        click.echo(f"{hit.cosine:6.3f}  {click.format_filename(folder / hit.path)}")


@click.command()
@click.argument("pictures", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--labels", required=True, help="What it may be: words between commas.")
@click.option(
    "--template", "templates", multiple=True, help='How a label is said, "a drawing of {}".'
)
@JSON
@with_space
def classify(
    pictures: tuple[Path, ...],
    labels: str,
    templates: tuple[str, ...],
    as_json: bool,
    opened: "Callable[[], Space]",
) -> None:
    """Which of some labels fits each picture best, zero-shot.

    Pictures that can't be read are named and left out; then the exit status is 2.
    """
    import numpy as np

    space = opened()
    names = [label.strip() for label in labels.split(",")]
    vectors, good, bad = [], [], []
    for path in pictures:
        try:
            vectors.append(space.pictures([path])[0])
            good.append(path)
        except UserError as error:
            bad.append(str(error))
    if good:
        cosines = space.classify(np.stack(vectors), names, templates or ("{}",))
        rows = [
            {"picture": str(path), "label": names[int(row.argmax())],
             "cosines": dict(zip(names, map(float, row), strict=True))}
            for path, row in zip(good, cosines, strict=True)
        ]  # fmt: skip
        click.echo(json.dumps(rows, indent=2) if as_json else "\n".join(map(_said, rows)))
    for line in bad:
        click.echo(f"left out: {line}", err=True)
    if bad:
        raise UserError(f"{len(bad)} of {len(pictures)} pictures could not be read")


def _said(row: dict[str, Any]) -> str:
    cosines = sorted(row["cosines"].items(), key=lambda item: -item[1])
    listed = ", ".join(f"{name} {cosine:.3f}" for name, cosine in cosines)
    return f"{row['picture']}: {row['label']} ({listed})"


@click.command(help=f"The cosine of two expressions.\n\n{SUMS}")
@click.argument("one")
@click.argument("other")
@with_space
def similarity(one: str, other: str, opened: "Callable[[], Space]") -> None:
    space = opened()
    click.echo(f"{float(space.vector(one) @ space.vector(other)):.4f}")


@click.command(help=f"What lies near an expression: words, and pictures of a folder.\n\n{SUMS}")
@click.argument("expression")
@click.option("--pictures", "folder", type=click.Path(path_type=Path), help="Folder to look in.")
@COUNT
@INDEX
@JSON
@with_space
def space(
    expression: str,
    folder: Path | None,
    count: int,
    index_path: Path | None,
    as_json: bool,
    opened: "Callable[[], Space]",
) -> None:
    tool = opened()
    vector = tool.vector(expression)
    words = tool.words(vector, count + 1)
    rows = [
        {"word": one.text, "cosine": one.cosine, "margin": one.cosine - following.cosine}
        for one, following in pairwise(words)
    ]
    hits = read_index(tool, folder, index_path).search(vector, count) if folder else []
    if as_json:
        click.echo(json.dumps({"words": rows, "pictures": [vars(hit) for hit in hits]}, indent=2))
        return
    click.echo("cosine  margin  word")
    for row in rows:
        click.echo(f"{row['cosine']:6.3f}  {row['margin']:6.3f}  {row['word']}")
    for hit in hits:
        click.echo(f"{hit.cosine:6.3f}          {click.format_filename(hit.path)}")


@click.command(name="map")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="An .html file.")
@click.option("--arrow", "arrows", multiple=True, help='A sum, drawn as an arrow: "king - man".')
@INDEX
@with_space
def plane(
    folder: Path,
    out: Path,
    arrows: tuple[str, ...],
    index_path: Path | None,
    opened: "Callable[[], Space]",
) -> None:
    """FOLDER's pictures and the words near them in two dimensions: a page that needs nothing else.

    Where an arrow points, from its first term to the whole sum, the nearest pictures and words lie.
    """
    from undiffuse.explore.map import write_page
    from undiffuse.imaging.files import check_writable, write_atomic

    check_writable(out)
    space = opened()
    index = read_index(space, folder, index_path)
    write_atomic(out, write_page(folder, index, space, arrows, f"map of {folder.name}"))
    click.echo(out)


def read_index(space: "Space", folder: Path, path: Path | None) -> "Index":
    """A folder's index, brought up to date with a bar on stderr; says what was left out.

    UserError if there is no picture in it.
    """
    from undiffuse.explore.index import update

    def progress(batches: Iterable[Any], size: int) -> Iterable[Any]:
        from tqdm import tqdm

        return tqdm(batches, desc=f"reading pictures, {size} at a time", disable=None)

    index, done = update(folder, space.encoder, path, progress)
    if done.new or done.changed or done.removed:
        said = f"{done.new} new, {done.changed} changed, {done.removed} removed"
        click.echo(f"index of {len(index.paths)} pictures: {said}", err=True)
    for reason in done.bad.values():
        click.echo(f"left out: {reason}", err=True)
    if done.bad:
        click.echo(f"{len(done.bad)} pictures were left out", err=True)
    if not index.paths:
        raise UserError(f"there is no picture in {folder}")
    return index


def _say(line: str) -> None:
    click.echo(line, err=True)


def _space(model: Path | None, clip: Path | None, threads: int) -> "Space":
    from undiffuse.explore.space import Space, usual_cache

    if clip is None:
        from undiffuse.pipeline import SHIPPED
        from undiffuse.runtime.networks import ClipEncoder

        return Space(ClipEncoder(model or SHIPPED, threads), usual_cache(), _say)
    if model is not None:
        raise UserError(f"--model {model} and --clip {clip} are two CLIPs: give one")
    from undiffuse.pretrained.encoder import PretrainedClip

    return Space(PretrainedClip(clip, threads), usual_cache(), _say)


def _write_sheet(path: Path, folder: Path, rows: list[tuple[str, str]]) -> None:
    import numpy as np

    from undiffuse.evaluation.contact_sheet import contact_sheet
    from undiffuse.imaging.files import write_atomic
    from undiffuse.imaging.png import encode_png
    from undiffuse.imaging.read import read_image

    pixels = np.stack([read_image(folder / name).transpose(2, 0, 1) for name, _ in rows])
    write_atomic(path, encode_png(contact_sheet(pixels, [label for _, label in rows], columns=5)))
