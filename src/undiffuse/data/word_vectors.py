"""Texts and their vectors of two sentence encoders, to teach CLIP's text encoder (distillation).

The text encoder learns the neighborhoods of these vectors, so that a word of no caption lands near
the right pictures (Hinton et al. 2015, arXiv 1503.02531; across languages Reimers and Gurevych
2020, arXiv 2004.09813).
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np

from undiffuse.data import npm, wordnet
from undiffuse.data.captions import content_words, record_words
from undiffuse.data.emoji_names import FLAGS
from undiffuse.data.emoji_words import (
    LANGUAGES,
    PACKAGES,
    read_cldr,
    read_emojibase_words,
    read_emojilib,
)
from undiffuse.data.split import unit_hash
from undiffuse.data.teacher_table import ENGLISH, TeacherTable, write_table
from undiffuse.data.teacher_texts import TeacherTexts, Withheld, collect_texts
from undiffuse.data.teachers import DIM, E5, MiniLm, Vectors
from undiffuse.imaging.files import read_bytes, read_text, write_atomic

TEST_WORDS = 100
CHUNK = 2048  # texts; their vectors are stored as soon as they are known
REPORT_EVERY = 60  # seconds
Log = Callable[[str], None]


def synonyms(names: Iterable[str], net: wordnet.WordNet) -> dict[str, list[str]]:
    """Word -> the names of which it is a synonym, in the name's most common sense."""
    found: dict[str, list[str]] = {}
    for name in names:
        for synset in net.nouns(name)[:1]:
            for word in net.words[synset]:
                if word != name:
                    found.setdefault(word, []).append(name)
    return found


def held_out_synonyms(
    names: Iterable[str], captions: set[str], common: set[str], net: wordnet.WordNet
) -> dict[str, list[str]]:
    """100 synonyms of names for evaluation, chosen by hash: synonym -> the right names.

    A candidate has a word that is in no caption (`captions`: all their words), and consists of
    words that are in a dictionary (`common`).
    """
    candidates = {
        word: right
        for word, right in synonyms(names, net).items()
        if not set(content_words(word)) <= captions and common.issuperset(word.split())
    }
    chosen = sorted(candidates, key=lambda word: unit_hash("synonym", word))[:TEST_WORDS]
    return {word: candidates[word] for word in sorted(chosen)}


def embed_stored(
    embed: Callable[[Sequence[str]], Vectors], texts: Sequence[str], folder: Path, log: Log
) -> Vectors:
    """Unit vectors (B, 384) of texts. Chunks that `folder` has from an earlier run are read."""
    folder.mkdir(parents=True, exist_ok=True)
    chunks, done = [], 0
    started = reported = time.monotonic()
    for start in range(0, len(texts), CHUNK):
        part = texts[start : start + CHUNK]
        path = folder / f"{hashlib.sha256(json.dumps(part).encode()).hexdigest()[:24]}.npy"
        if path.exists():
            chunks.append(np.load(BytesIO(read_bytes(path)), allow_pickle=False))
            continue
        chunks.append(embed(part))
        stream = BytesIO()
        np.save(stream, chunks[-1], allow_pickle=False)
        write_atomic(path, stream.getvalue())
        done, now = done + len(part), time.monotonic()
        if now - reported >= REPORT_EVERY:
            speed, left = done / (now - started), len(texts) - start - len(part)
            log(f"{start + len(part):,} of {len(texts):,} texts, {speed:.0f} a second, "
                f"{left / speed / 60:.0f} min left")  # fmt: skip
            reported = now
    return np.concatenate([np.zeros((0, DIM), np.float32), *chunks])


def center(vectors: Vectors, languages: Sequence[str]) -> Vectors:
    """Unit vectors (B, D) without the mean of their language.

    E5's vectors lie in a narrow cone, with cosines of 0.7 to 1, and those of a language lie
    together. Without the mean they spread like MiniLM's, and translations come nearer.
    """
    out = vectors.copy()
    codes = np.array(languages)
    for language in set(languages):
        rows = codes == language
        out[rows] -= vectors[rows].mean(0)
    unit: Vectors = out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), np.float32(1e-6))
    return unit


def teacher_vectors(minilm: Vectors | None, e5: Vectors) -> Vectors:
    """Vectors (B, 768) of both teachers, whose dot product is the mean of the two cosines.

    Without MiniLM's, its half is 0 and the vectors are of unit length too.
    """
    if minilm is None:
        return np.concatenate([np.zeros_like(e5), e5], axis=1)
    both = np.concatenate([minilm, e5], axis=1) * np.float32(0.5**0.5)
    return both.astype(np.float32)


def build(
    records: Sequence[dict],
    out: Path,
    *,
    dictionary: Path,
    withheld: Iterable[str] = (),
    packages: Path | None = None,
    captions: int = 20000,
    folder: Path = wordnet.FOLDER,
    log: Log = lambda line: None,
) -> dict[str, list[str]]:
    """Write the texts and their vectors to `out`; see `TeacherTable`. Returns the held-out
    synonyms with their right names.

    records: of the data set. dictionary: a text file with one common word per line. withheld: test
    words that no text may contain. packages: folder with the npm packages; None fetches them.
    An interrupted run goes on where it stopped.
    """
    net = wordnet.read_wordnet(folder)
    plain = [r for r in records if r["group"] != FLAGS and not r.get("composite")]
    keywords = {r["name"]: ", ".join(r["keywords"]) for r in plain}
    codes = {r["name"]: r.get("code", "") for r in plain if not r["tone"]}
    known = {word for record in records for word in record_words(record)}
    common = {line.strip() for line in read_text(dictionary).splitlines()}
    common = {word for word in common if word.isascii() and word.isalpha() and word.islower()}
    tests = held_out_synonyms(sorted(keywords), known, common, net)
    related = synonyms(sorted(keywords), net)
    if packages is None:
        packages = out.parent / "packages"
        npm.fetch(list(PACKAGES), packages)
    cldr = read_cldr(packages, [ENGLISH, *LANGUAGES])
    english = [read_emojibase_words(packages), read_emojilib(packages), cldr.pop(ENGLISH)]
    minilm, e5 = MiniLm(out.parent / "teacher" / "minilm"), E5()
    words = (common | set(minilm.words) | known | set(related)) - set(keywords)
    texts = collect_texts(
        {name: codes.get(name, "") for name in keywords},
        (word for word in words if len(word) > 2),
        net, english, cldr, captions, Withheld([*withheld, *tests]),
    )  # fmt: skip
    named = texts.of_kind("name")
    described = [f"{texts.texts[row]}, {keywords[texts.texts[row]]}" for row in named]
    vectors = _embed_all(texts, named, described, minilm, e5, out.parent / "teacher", log)
    right = {w: [texts.rows[ENGLISH, n] for n in r] for w, r in related.items()}
    table = TeacherTable(
        texts.texts, vectors.astype(np.float16), texts.kinds, texts.languages,
        np.array(texts.pairs, np.int32),
        {word: rows for word, rows in right.items() if (ENGLISH, word) in texts.rows},
    )  # fmt: skip
    write_table(out, table)
    return tests


def _embed_all(
    texts: TeacherTexts, named: list[int], described: list[str],
    minilm: MiniLm, e5: E5, cache: Path, log: Log,
) -> Vectors:  # fmt: skip
    """Vectors (N, 768). A name's is the mean of the name's and of the name's with keywords."""
    count = len(texts.texts)
    english = [row for row in range(count) if texts.languages[row] == ENGLISH]
    log(f"embedding {len(english):,} English texts with MiniLM")
    first = embed_stored(
        minilm.embed,
        [texts.texts[row] for row in english] + described,
        cache / "minilm-vectors",
        log,
    )
    log(f"embedding {count:,} texts with multilingual-e5-small")
    second = embed_stored(e5.embed, texts.texts + described, cache / "e5-vectors", log)
    second = center(second, [*texts.languages, *[ENGLISH] * len(described)])
    out = teacher_vectors(None, second[:count])
    out[english] = teacher_vectors(first[: len(english)], second[english])
    both: Vectors = out[named] + teacher_vectors(first[len(english) :], second[count:])
    out[named] = both / np.linalg.norm(both, axis=1, keepdims=True)
    return out
