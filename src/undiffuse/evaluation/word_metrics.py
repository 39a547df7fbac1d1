"""Evaluation of a lexicon and a text encoder, without drawing: what words are read as."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from undiffuse.clip.reading import Reader, Reading
from undiffuse.errors import UserError
from undiffuse.evaluation.protocols import Encoder, encode_batches
from undiffuse.evaluation.retrieval import ranks
from undiffuse.evaluation.statistics import Metric, mean_metric
from undiffuse.imaging.files import read_text

TOP = 5
MAX_PHRASE = 4  # words of a name that is looked for in a prompt


@dataclass(frozen=True)
class Case:
    """A prompt, and for each thing in it the names that are right."""

    prompt: str
    things: tuple[frozenset[str], ...]


def read_cases(path: Path) -> dict[str, list[Case]]:
    """Group -> cases. UserError for a file of another form.

    A .json file is {"word": ["name", ...]}, or a table of such tables by group. A .jsonl file has
    one object per line: "kind", "prompt" and "things", each with "concepts".
    """
    text = read_text(path)
    try:
        if path.suffix == ".jsonl":
            return _read_prompts([json.loads(line) for line in text.splitlines() if line.strip()])
        return _read_tables(json.loads(text), path.stem)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f'{path} has no test words: use {{"word": ["name"]}}') from error


def _read_prompts(rows: list[dict[str, Any]]) -> dict[str, list[Case]]:
    groups: dict[str, list[Case]] = {}
    for row in rows:
        things = tuple(frozenset(map(str, thing["concepts"])) for thing in row["things"])
        groups.setdefault(str(row["kind"]), []).append(Case(str(row["prompt"]), things))
    return groups


def _read_tables(table: dict[str, Any], name: str) -> dict[str, list[Case]]:
    nested = all(isinstance(value, dict) for value in table.values())
    groups = table if nested and table else {name: table}
    return {
        group: [Case(word, (frozenset(map(str, right)),)) for word, right in words.items()]
        for group, words in groups.items()
    }


def evaluate_words(
    groups: dict[str, list[Case]], reader: Reader, encoder: Encoder, seed: int = 0
) -> Iterator[Metric]:
    """For each group: how often the lexicon, and then the text encoder, finds a right name.

    Of the lexicon: every thing is among the first 5 candidates of a word of the prompt. Of the
    encoder: a right name is among the 5 nearest of all names, for the prompt as it is typed and as
    it is read.
    """
    names = sorted({name for cases in groups.values() for case in cases for right in case.things
                    for name in right} | set(reader.lexicon.names))  # fmt: skip
    index = {name: row for row, name in enumerate(names)}
    vectors = encode_batches(encoder.encode_text, names)
    note = f"among {len(names)} names"
    for group, cases in groups.items():
        cases = [case for case in cases if case.prompt.strip() and any(case.things)]
        if not cases:
            continue
        readings = [reader.read(case.prompt) for case in cases]
        found = [is_found(reader, *pair) for pair in zip(readings, cases, strict=True)]
        yield mean_metric(f"{group}: lexicon, top-5 accuracy", found, seed)
        right = [[index[name] for thing in case.things for name in thing] for case in cases]
        for how, texts in (
            ("as typed", [case.prompt for case in cases]),
            ("as read", [reading.text for reading in readings]),
        ):
            hits = ranks(encode_batches(encoder.encode_text, texts), vectors, right) < TOP
            yield mean_metric(
                f"{group}: text encoder, {how}: top-5 accuracy", hits, seed, note=note
            )


def is_found(reader: Reader, reading: Reading, case: Case) -> bool:
    """Whether each thing of a case has a right name among the candidates of one word."""
    lists = list(candidates(reader, reading))
    return all(any(not thing.isdisjoint(one[:TOP]) for one in lists) for thing in case.things)


def candidates(reader: Reader, reading: Reading) -> Iterator[Sequence[str]]:
    """The texts that each word and phrase of a prompt may mean, best first."""
    for change in reading.changes:
        yield (change.text, *change.others)
    words = re.findall(r"[^\W_]+", reading.text.lower())
    for start in range(len(words)):
        for end in range(start + 1, min(start + MAX_PHRASE, len(words)) + 1):
            phrase = " ".join(words[start:end])
            yield [phrase, *(one.text for one in reader.lexicon.english(phrase))]


def case_rows(groups: dict[str, list[Case]], reader: Reader) -> list[dict[str, Any]]:
    """Each case for a report: prompt, reading, reasons, and whether the lexicon found it."""
    rows = []
    for group, cases in groups.items():
        for case in cases:
            reading = reader.read(case.prompt)
            reasons = [f"{c.word}: {c.text} ({c.reason}, {c.language})" for c in reading.changes]
            found = bool(np.all(is_found(reader, reading, case)))
            rows.append({"group": group, "prompt": case.prompt, "read": reading.text,
                         "changes": reasons, "found": found})  # fmt: skip
    return rows
