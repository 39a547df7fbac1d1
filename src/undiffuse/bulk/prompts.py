"""Files of prompts: a line each, or a table whose rows may have a seed, a number and a style."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from undiffuse.data.sources.arrow import open_parquet
from undiffuse.data.sources.columns import column, plain
from undiffuse.data.sources.item import MAX_TEXT, printable
from undiffuse.data.sources.table import read_rows
from undiffuse.errors import UserError
from undiffuse.imaging.storage import StorageFolder

TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
MAX_PROMPTS = 10_000_000  # they are held in memory
MAX_N = 1000  # pictures of a prompt
_COLUMNS = ("prompt", "seed", "n", "style")


class PromptRow(NamedTuple):
    """A prompt of a file. `number`: its place among the prompts; `error`: why it can't be drawn.

    `seed` and `n` are checked; `style` is None where the command's own holds.
    """

    number: int
    origin: str
    prompt: str
    seed: int
    n: int
    style: str | None
    error: str = ""


def read_prompts(address: str, seed: int, n: int) -> Iterator[PromptRow]:
    """The prompts of a file at a path or an address; `seed` and `n` where a row has none.

    A table (CSV, JSON Lines, Parquet) has a column `prompt`, or `text` or `caption`, and may have
    `seed`, `n` and `style`; any other file has a prompt on each line, blank lines left out.
    UserError if the file can't be read, holds no prompt, or more than `MAX_PROMPTS`.
    """
    folder, _, name = address.rpartition("/")
    storage = StorageFolder(folder)
    rows = _table(storage, name) if name.lower().endswith(TABLES) else _lines(storage, name)
    number = -1
    try:
        for number, (line, record) in enumerate(rows):
            if number == MAX_PROMPTS:
                raise UserError(f"{address} holds more than {MAX_PROMPTS} prompts: cut it up")
            yield _prompt_row(number, f"{name}:{line}", record, seed, n)
    except (ValueError, OSError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{address} can't be read: {error}") from error
    if number < 0:
        raise UserError(f"{address} holds no prompt")


def _lines(storage: StorageFolder, name: str) -> Iterator[tuple[int, dict[str, Any] | str]]:
    with storage.open(name) as file:
        for line, data in enumerate(iter(lambda: file.readline(MAX_TEXT), b""), 1):
            try:
                text = data.decode("utf-8-sig").strip()
            except UnicodeDecodeError:
                yield line, "the line is not UTF-8 text"
                continue
            if text:
                yield line, {"prompt": text}


def _table(storage: StorageFolder, name: str) -> Iterable[tuple[int, dict[str, Any] | str]]:
    if not name.lower().endswith(".parquet"):
        return read_rows(storage, name)
    return _parquet(storage, name)


def _parquet(storage: StorageFolder, name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    with storage.open(name) as file:
        table = open_parquet(file)
        names = table.schema_arrow.names
        wanted = [one for one in names if plain(one) in _COLUMNS or one == column(names, "caption")]
        batches = table.iter_batches(batch_size=1024, columns=wanted)
        yield from enumerate((row for batch in batches for row in batch.to_pylist()), 1)


def _prompt_row(
    number: int, origin: str, record: dict[str, Any] | str, seed: int, n: int
) -> PromptRow:
    def failed(reason: str) -> PromptRow:
        return PromptRow(number, origin, "", seed, 0, None, reason)

    if isinstance(record, str):
        return failed(record)
    fields = {plain(key): value for key, value in record.items()}
    prompt = fields.get("prompt", record.get(column(list(record), "caption")))
    if not isinstance(prompt, str):
        return failed("there is no column prompt, text or caption, or it is empty")
    try:
        seed = _whole(fields, "seed", seed, 0, 2**64 - 1)
        n = _whole(fields, "n", n, 1, MAX_N)
    except ValueError as error:
        return failed(str(error))
    style = fields.get("style")
    if style not in (None, "") and not isinstance(style, str):
        return failed(f"style={printable(str(style)):.50}: give a name")
    return PromptRow(number, origin, prompt, seed, n, style or None)


def _whole(fields: dict[str, Any], name: str, usual: int, low: int, high: int) -> int:
    """A cell as a whole number. ValueError if it is none in the range."""
    cell = fields.get(name)
    if cell in (None, ""):
        return usual
    try:
        value = int(str(cell).removesuffix(".0"))  # a column with gaps is read as floats
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        raise ValueError(f"{name}={printable(str(cell)):.50}: give {low} to {high}")
    return value
