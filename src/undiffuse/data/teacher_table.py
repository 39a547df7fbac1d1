"""The file of `undiffuse data words`: texts, and their vectors of two sentence encoders."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from undiffuse.errors import UserError
from undiffuse.imaging.files import write_atomic

KINDS = ("word", "name", "gloss", "keyword", "caption", "translation")
ENGLISH = "en"
FORMAT = 2


@dataclass(frozen=True, eq=False)
class TeacherTable:
    """Columns of N texts.

    texts      the texts, each once per language.
    vectors    (N, 768) float16, unit length: MiniLM's 384 and E5's 384 dimensions. The dot product
               of two English texts is the mean of the two cosines. Texts of other languages have
               E5's alone, and zeros for MiniLM's.
    kinds      one of `KINDS` for each text.
    languages  "en", or a language's code.
    pairs      (N,) int32: the row of which a text is a translation, a definition or a paraphrase;
               -1 if none.
    right      word -> the rows of the names of which it is a synonym.
    """

    texts: Sequence[str]
    vectors: NDArray[np.float16]
    kinds: Sequence[str]
    languages: Sequence[str]
    pairs: NDArray[np.int32]
    right: Mapping[str, Sequence[int]]

    def rows(self, *kinds: str, language: str = ENGLISH) -> list[int]:
        """The rows of these kinds in a language."""
        wanted = set(kinds)
        return [
            row
            for row, (kind, code) in enumerate(zip(self.kinds, self.languages, strict=True))
            if kind in wanted and code == language
        ]

    @cached_property
    def english(self) -> dict[str, int]:
        """English text -> its row."""
        return {self.texts[row]: row for row in self.rows(*KINDS)}

    def nearest_names(self, count: int = 8) -> dict[str, dict[str, float]]:
        """English word -> the names nearest to it, with their cosines."""
        names, words = self.rows("name"), self.rows("word", "keyword")
        bank = self.vectors[names].astype(np.float32)
        found = {}
        for start in range(0, len(words), 1024):
            some = words[start : start + 1024]
            cosines = self.vectors[some].astype(np.float32) @ bank.T
            for row, near in zip(some, cosines, strict=True):
                best = np.argsort(-near, kind="stable")[:count]
                found[self.texts[row]] = {self.texts[names[i]]: float(near[i]) for i in best}
        return found


def write_table(path: Path, table: TeacherTable) -> None:
    """Write a safetensors file: `texts` as bytes of UTF-8, one line a text; `vectors`; `kinds` and
    `languages`, indices (N,) uint8 into the metadata's lists; `pairs`. UserError if that fails."""
    languages = sorted(set(table.languages), key=lambda one: (one != ENGLISH, one))
    tensors: dict[str, NDArray[Any]] = {
        "texts": np.frombuffer("\n".join(table.texts).encode(), np.uint8),
        "vectors": table.vectors,
        "kinds": np.array([KINDS.index(kind) for kind in table.kinds], np.uint8),
        "languages": np.array([languages.index(one) for one in table.languages], np.uint8),
        "pairs": table.pairs,
    }
    meta = {"format": FORMAT, "kinds": KINDS, "languages": languages, "right": dict(table.right)}
    write_atomic(path, save(tensors, metadata={"undiffuse": json.dumps(meta)}))


def read_table(path: Path) -> TeacherTable:
    """The table in a file. UserError for a file that is missing or of another form."""
    try:
        with safe_open(path, framework="np") as file:
            meta = json.loads((file.metadata() or {})["undiffuse"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        texts = tensors["texts"].tobytes().decode().split("\n")
        table = TeacherTable(
            texts, tensors["vectors"],
            [meta["kinds"][i] for i in tensors["kinds"]],
            [meta["languages"][i] for i in tensors["languages"]],
            tensors["pairs"],
            {str(word): [int(row) for row in rows] for word, rows in meta["right"].items()},
        )  # fmt: skip
        columns = (table.vectors, table.kinds, table.languages, table.pairs)
        if table.vectors.ndim != 2 or any(len(column) != len(texts) for column in columns):
            raise ValueError("its columns differ in length")
    except FileNotFoundError as error:
        raise UserError(f"there is no file {path}") from error
    except (SafetensorError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{path} was not written by `undiffuse data words`") from error
    return table
