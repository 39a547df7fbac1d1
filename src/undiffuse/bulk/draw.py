"""Pictures of whole files of prompts: a tar shard or a Parquet file for each part."""

import json
import tarfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from io import BytesIO
from itertools import groupby, islice
from pathlib import Path
from typing import Any, NamedTuple, cast

from undiffuse.bulk.job import Job, Result
from undiffuse.bulk.prompts import PromptRow, read_prompts
from undiffuse.errors import UserError
from undiffuse.explore.vectors import pyarrow
from undiffuse.imaging.png import encode_png, upscale
from undiffuse.pipeline import DrawOptions, Picture, TextToImage, load

BATCH = 16  # pictures that are drawn at once
PER_PART = 1000  # pictures
SIDE = 256  # pixels of a side in the files, if the model draws fewer
SUFFIXES = {"webdataset": ".tar", "parquet": ".parquet"}


class Drawn(NamedTuple):
    """A picture, and its place in the result."""

    key: str  # the number of the prompt, and the index of the picture
    prompt: str
    picture: Picture


def draw_job(
    prompts: str, model: Path | None, *, n: int = 1, seed: int = 0, scale: int | None = None,
    file_format: str = "webdataset", per_part: int = PER_PART, threads: int = 1, **options: Any,
) -> Job:  # fmt: skip
    """The job of drawing every prompt of a file, `scale` pixels of the file for each one drawn; by
    default as many as make a side of 256.

    A prompt's own seed, n and style come before those given here. `threads`: of a worker in this
    process, which uses the model that is loaded here. `options`: of
    `TextToImage.generate`. UserError for a file or an option that can't be used.
    """
    loaded = load_once(model, threads)
    loaded.steps("", **options)  # a wrong option fails here, not in each part
    hashes = _hashes(loaded, options)
    scale = scale or max(1, SIDE // loaded.codec.config.image_size)
    given = {name: value for name, value in options.items() if value not in (None, ())}
    settings = {**hashes, "scale": scale, "format": file_format, "n": n, "seed": seed,
                **json.loads(json.dumps(given, default=str))}  # fmt: skip
    parts = list(cut(read_prompts(prompts, seed, n), per_part))
    worker = partial(DrawWorker, model, hashes, scale, file_format, options)
    return Job("draw", settings, parts, parts, SUFFIXES[file_format], worker)


load_once = lru_cache(maxsize=1)(load)


def cut(rows: Iterable[PromptRow], per_part: int) -> Iterator[list[PromptRow]]:
    """Parts of consecutive prompts: up to `per_part` pictures, or one prompt that makes more."""
    part: list[PromptRow] = []
    pictures = 0
    for row in rows:
        if part and pictures + row.n > per_part:
            yield part
            part, pictures = [], 0
        part.append(row)
        pictures += max(1, row.n)
    yield part


def _hashes(model: TextToImage, options: dict[str, Any]) -> dict[str, str]:
    network = model.network(cast(DrawOptions, options))
    return {"model": network.hash, "codec": model.codec.hash}


@dataclass
class DrawWorker:
    """Draws a part, the rows of its prompts. Loads the model once."""

    model: Path | None
    hashes: dict[str, str]
    scale: int
    file_format: str
    options: dict[str, Any]
    threads: int

    @cached_property
    def _loaded(self) -> TextToImage:
        loaded = load_once(self.model, self.threads)
        if (found := _hashes(loaded, self.options)) != self.hashes:
            raise UserError(f"the model on this machine is {found}, not {self.hashes}: give every "
                            "machine the same")  # fmt: skip
        return loaded

    def __call__(self, part: list[Any]) -> Result:
        model = self._loaded  # an error here is not a prompt's
        rows = [PromptRow(*row) for row in part]
        bad = [f"{row.origin}: {row.error}" for row in rows if row.error]
        drawn: list[Drawn] = []
        good = (row for row in rows if not row.error)
        for _, group in groupby(good, lambda row: (row.seed, row.n, row.style)):
            while some := list(islice(group, BATCH)):
                size = max(1, BATCH // some[0].n)
                for start in range(0, len(some), size):
                    drawn += self._draw_all(model, some[start : start + size], bad)
        encode = encode_shard if self.file_format == "webdataset" else encode_table
        return Result(encode(drawn, self._files(drawn)), {"image": len(drawn)}, bad)

    def _files(self, drawn: list[Drawn]) -> list[bytes]:
        """The PNG file of each picture."""

        def encoded(one: Drawn) -> bytes:
            return encode_png(upscale(one.picture.pixels, self.scale), one.picture.record)

        with ThreadPoolExecutor(self.threads) as pool:
            return list(pool.map(encoded, drawn))

    def _draw_all(self, model: TextToImage, rows: list[PromptRow], bad: list[str]) -> list[Drawn]:
        """The pictures of prompts that share seed, n and style; those that can't be drawn alone."""
        try:
            return self._draw(model, rows)
        except UserError as error:
            if len(rows) == 1:
                bad.append(f"{rows[0].origin}: {error}")
                return []
        return [drawn for row in rows for drawn in self._draw_all(model, [row], bad)]

    def _draw(self, model: TextToImage, rows: list[PromptRow]) -> list[Drawn]:
        first = rows[0]
        options = self.options | ({"style": first.style} if first.style else {})
        pictures: list[Picture] = []
        for index in range(0, first.n, BATCH):  # more than once for a single prompt alone
            pictures += model.generate(
                [row.prompt for row in rows], min(BATCH, first.n - index), first.seed,
                first_index=index, **options,
            )  # fmt: skip
        places = [(row, index) for row in rows for index in range(first.n)]
        return [
            Drawn(f"{row.number:09d}-{index:04d}", row.prompt, picture)
            for (row, index), picture in zip(places, pictures, strict=True)
        ]


def encode_shard(drawn: list[Drawn], files: list[bytes]) -> bytes:
    """A WebDataset shard: KEY.png, the bytes of `undiffuse draw --scale`; KEY.txt, the
    prompt; and KEY.json, the record with the notes. The same pictures give the same bytes."""
    file = BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for (key, prompt, picture), png in zip(drawn, files, strict=True):
            members = {"png": png, "txt": prompt.encode(), "json": _record(picture)}
            for ending, data in members.items():
                info = tarfile.TarInfo(f"{key}.{ending}")  # owner, group and time are 0
                info.size = len(data)
                tar.addfile(info, BytesIO(data))
    return file.getvalue()


def encode_table(drawn: list[Drawn], files: list[bytes]) -> bytes:
    """A Parquet file with the columns key, image (a PNG file), text (the prompt) and record."""
    arrow = pyarrow()
    columns = {
        "key": arrow.array([one.key for one in drawn], arrow.string()),
        "image": arrow.array(files, arrow.binary()),
        "text": arrow.array([one.prompt for one in drawn], arrow.string()),
        "record": arrow.array([_record(one.picture) for one in drawn], arrow.string()),
    }
    file = BytesIO()
    arrow.parquet.write_table(arrow.table(columns), file, row_group_size=100, compression="zstd")
    return file.getvalue()


def _record(picture: Picture) -> bytes:
    record = picture.record | ({"notes": picture.notes} if picture.notes else {})
    return json.dumps(record, sort_keys=True, ensure_ascii=False).encode()
