"""`undiffuse search`, `classify`, `similarity`, `space` and `map`: explore CLIP's space."""

import json
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from undiffuse.cli.options import MODEL, PATH, THREADS
from undiffuse.cli.param_types import OUTPUT_FILE
from undiffuse.errors import UserError

if TYPE_CHECKING:
    from undiffuse.explore.index import Hit, ImageIndex
    from undiffuse.explore.space import Space
    from undiffuse.explore.vectors import VectorFolder

COUNT = click.option("-n", "count", type=click.IntRange(1, 1000), default=10)
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
INDEX = click.option(
    "--index", "index_path", type=PATH, help="File of the index. Default: a hidden file in FOLDER."
)
SUMS = """An expression is text, an image's path, or a sum: "man + 0.8 hat - beard",
    "hat.png - nohat.png". Text in double quotes is taken literally."""


def with_space(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that select a CLIP, and call `command` with its space."""

    @MODEL
    @click.option(
        "--clip",
        type=PATH,
        help="Folder of a pretrained CLIP (safetensors) to use; needs the extra [pretrained].",
    )
    @THREADS
    @wraps(command)
    def run(
        *args: Any, model: Path | None, clip: Path | None, threads: int, **options: Any
    ) -> None:
        command(*args, space=open_space(model, clip, threads), **options)

    return run


def open_space(model: Path | None, clip: Path | None, threads: int) -> "Space":
    """The space of a pretrained CLIP, of a model's CLIP, or of the shipped one."""
    from undiffuse.explore.space import Space, default_cache_folder

    def report(line: str) -> None:
        click.echo(line, err=True)

    if clip is None:
        from undiffuse.pipeline import SHIPPED_WEIGHTS
        from undiffuse.runtime.networks import ClipEncoder

        return Space(ClipEncoder(model or SHIPPED_WEIGHTS, threads), default_cache_folder(), report)
    if model is not None:
        raise UserError(f"--model {model} and --clip {clip} are two CLIPs: give one")
    from undiffuse.pretrained.encoder import PretrainedClip

    return Space(PretrainedClip(clip, threads), default_cache_folder(), report)


@click.command(help=f"Find images in FOLDER that are near QUERY, an expression.\n\n{SUMS}")
@click.argument("query", nargs=1)
@click.argument("folder", type=PATH, required=False)
@click.option("--like", type=PATH, help="Find images like this one; QUERY may be left out.")
@click.option("--sheet", type=OUTPUT_FILE, help="Write a contact sheet of the result: .png.")
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
    space: "Space",
) -> None:
    if folder is None:
        if like is None:
            raise UserError("search needs a query and a folder: undiffuse search QUERY FOLDER")
        query, folder = "", Path(query)
    from undiffuse.explore.expression import Term, parse_expression, weighted_sum
    from undiffuse.explore.vectors import is_vectors

    stored = is_vectors(folder)
    if stored and sheet is not None:
        raise UserError(f"--sheet needs images, and {folder} holds vectors: leave it out")
    terms = parse_expression(query) if query.strip() else []
    terms += [Term(1.0, str(like), True)] if like is not None else []
    if not terms:
        raise UserError("the query is empty: give words, or --like IMAGE")
    vector = weighted_sum(terms, space.encode_term)
    hits = open_index(space, folder, index_path).search(vector, count)
    if sheet is not None:
        write_sheet(sheet, folder, hits)
    if as_json:
        click.echo(json.dumps([vars(hit) for hit in hits], indent=2))
        return
    for hit in hits:
        click.echo(
            f"{hit.cosine:6.3f}  {click.format_filename(hit.path if stored else folder / hit.path)}"
        )


@click.command()
@click.argument("pictures", nargs=-1, required=True, type=PATH)
@click.option("--labels", required=True, help="The classes, separated by commas.")
@click.option(
    "--template", "templates", multiple=True, help='Text around a label, as "a drawing of {}".'
)
@JSON
@with_space
def classify(
    pictures: tuple[Path, ...],
    labels: str,
    templates: tuple[str, ...],
    as_json: bool,
    space: "Space",
) -> None:
    """Classify images zero-shot: print the label that fits each image best.

    Images that can't be read are listed on stderr; the exit status is then 2.
    """
    import numpy as np

    names = [label.strip() for label in labels.split(",")]
    vectors, good, bad = [], [], []
    for path in pictures:
        try:
            vectors.append(space.encode_images([path])[0])
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
        click.echo(json.dumps(rows, indent=2) if as_json else "\n".join(map(_format_row, rows)))
    for line in bad:
        click.echo(f"left out: {line}", err=True)
    if bad:
        raise UserError(f"{len(bad)} of {len(pictures)} images could not be read")


def _format_row(row: dict[str, Any]) -> str:
    cosines = sorted(row["cosines"].items(), key=lambda item: -item[1])
    listed = ", ".join(f"{name} {cosine:.3f}" for name, cosine in cosines)
    return f"{row['picture']}: {row['label']} ({listed})"


@click.command(help=f"Print the cosine similarity of two expressions.\n\n{SUMS}")
@click.argument("one")
@click.argument("other")
@with_space
def similarity(one: str, other: str, space: "Space") -> None:
    click.echo(f"{float(space.vector(one) @ space.vector(other)):.4f}")


@click.command(
    name="space",
    help="Print the words nearest to an expression, and the images of a folder. The margin is the "
    f"lead over the next word.\n\n{SUMS}",
)
@click.argument("expression")
@click.option("--pictures", "folder", type=PATH, help="Folder of images to search, too.")
@click.option("--keep-query-words", is_flag=True, help="List the words of the expression, too.")
@COUNT
@INDEX
@JSON
@with_space
def nearest(
    expression: str,
    folder: Path | None,
    keep_query_words: bool,
    count: int,
    index_path: Path | None,
    as_json: bool,
    space: "Space",
) -> None:
    from undiffuse.explore.expression import parse_expression

    vector = space.vector(expression)
    query = {term.text.lower() for term in parse_expression(expression)}
    words = space.nearest_words(vector, count + 1, exclude=() if keep_query_words else query)
    rows = [
        {"word": word.text, "cosine": word.cosine, "margin": word.cosine - following.cosine}
        for word, following in pairwise(words)
    ]
    hits = open_index(space, folder, index_path).search(vector, count) if folder else []
    if as_json:
        click.echo(json.dumps({"words": rows, "pictures": [vars(hit) for hit in hits]}, indent=2))
        return
    click.echo("cosine  margin  word")
    for row in rows:
        click.echo(f"{row['cosine']:6.3f}  {row['margin']:6.3f}  {row['word']}")
    for hit in hits:
        click.echo(f"{hit.cosine:6.3f}          {click.format_filename(hit.path)}")


@click.command(name="map")
@click.argument("folder", type=PATH)
@click.option("-o", "--out", type=OUTPUT_FILE, required=True, help="An .html file.")
@click.option("--arrow", "arrows", multiple=True, help='Draw a sum as an arrow: "king - man".')
@INDEX
@with_space
def map_command(
    folder: Path, out: Path, arrows: tuple[str, ...], index_path: Path | None, space: "Space"
) -> None:
    """Map FOLDER's images and the words near them in two dimensions, as one HTML page.

    An arrow goes from the first term of a sum to the whole sum.
    """
    from undiffuse.explore.map import map_page, parse_arrow
    from undiffuse.imaging.files import write_atomic

    for arrow in arrows:
        parse_arrow(arrow)  # a bad one is refused before the folder is read
    index = read_index(space, folder, index_path)
    write_atomic(out, map_page(folder, index, space, arrows, f"map of {folder.name}"))
    click.echo(out)


def open_index(space: "Space", folder: Path, path: Path | None) -> "ImageIndex | VectorFolder":
    """The vectors that `undiffuse embed` wrote to FOLDER, or else the index of its images."""
    from undiffuse.explore.vectors import is_vectors, open_vectors

    if is_vectors(folder):
        return open_vectors(
            folder, model=space.encoder.hash, say=lambda line: click.echo(line, err=True)
        )
    return read_index(space, folder, path)


def read_index(space: "Space", folder: Path, path: Path | None) -> "ImageIndex":
    """Bring the index of a folder up to date, with progress and unreadable files on stderr.

    UserError if it has no images.
    """
    from undiffuse.explore.index import update_index

    def progress(batches: Sequence[Any], size: int) -> Iterable[Any]:
        from undiffuse.cli.progress_bar import track

        return track(batches, len(batches), f"batches of {size} images", "indexing")

    index, update = update_index(folder, space.encoder, path, progress)
    if update.new or update.changed or update.removed:
        counts = f"{update.new} new, {update.changed} changed, {update.removed} removed"
        click.echo(f"index of {len(index.paths)} images: {counts}", err=True)
    for reason in update.unreadable.values():
        click.echo(f"left out: {reason}", err=True)
    if update.unreadable:
        click.echo(f"{len(update.unreadable)} images were left out", err=True)
    if not index.paths:
        raise UserError(f"{folder} has no images that can be read")
    return index


def write_sheet(path: Path, folder: Path, hits: "list[Hit]") -> None:
    """A contact sheet of search results, with their cosines and names."""
    import numpy as np

    from undiffuse.evaluation.contact_sheet import contact_sheet
    from undiffuse.imaging.files import write_atomic
    from undiffuse.imaging.png import encode_png
    from undiffuse.imaging.read import read_image

    pixels = np.stack([read_image(folder / hit.path).transpose(2, 0, 1) for hit in hits])
    labels = [f"{hit.cosine:.3f} {hit.path}" for hit in hits]
    write_atomic(path, encode_png(contact_sheet(pixels, labels, columns=5)))
