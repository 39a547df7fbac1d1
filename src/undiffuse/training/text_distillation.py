"""Distillation of sentence encoders, the teachers, into CLIP's text encoder.

1. The similarities of texts within a batch match the teachers' similarities.
2. A linear map sends CLIP's vectors to the teachers' (Hinton et al. 2015, arXiv 1503.02531).
3. A translation gets the teachers' vector of the English text (Reimers & Gurevych 2020, arXiv
   2004.09813), and a synonym is near the name that it means.

The map and the temperature are not exported.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from undiffuse.clip.tokenizer import Tokenizer
from undiffuse.config import EMBED_DIM
from undiffuse.data.misspelling import vary
from undiffuse.data.split import unit_hash
from undiffuse.data.teacher_table import ENGLISH, TeacherTable
from undiffuse.data.teachers import DIM
from undiffuse.training.devices import Batch

TEMPERATURE = 0.05  # of the teachers' similarities
LEAST_SIMILARITY = 0.85  # that the teachers give to a translation, a paraphrase and a synonym
DEV_SHARE = 0.08  # of the synonyms, which are kept for validation
DROPOUT_SHARE = 1 / 6  # of the texts that are cut into other pieces than usual
# The longest texts of a batch are padded apart, in this share and to this many tokens.
LONG_SHARE, SHORT_TOKENS, LONG_TOKENS = 0.25, 10, 24
# Group of texts -> share of the texts that are drawn; the others are their partners.
SHARES = {"translation": 0.25, "caption": 0.2, "gloss": 0.1, "synonym": 0.15, "english": 0.2,
          "foreign": 0.1}  # fmt: skip
DISTILLATION = "distillation."  # how the names of the map's parameters begin


class Distillation(nn.Module):
    """What is learned beside the text encoder: the map to the teachers' space, a temperature."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.map = nn.Linear(EMBED_DIM, dim, bias=False)
        self.log_scale = nn.Parameter(torch.tensor(3.0))

    def forward(self, vectors: Tensor, targets: Tensor, near: Tensor) -> tuple[Tensor, Tensor]:
        """The KL divergence of the similarities, and the cosine loss of the map.

        vectors  unit vectors of CLIP (B, 512).
        targets  of the teachers (B, parts, 384), unit length, or zero for a teacher that does not
                 know the language.
        near     (B, B), true for pairs that are at least `LEAST_SIMILARITY` near.
        """
        known = targets.any(2).float()  # (B, parts)
        both = torch.einsum("ip,jp->ij", known, known).clamp(min=1)
        similarity = torch.einsum("ipd,jpd->ij", targets, targets) / both
        similarity = torch.where(near, similarity.clamp(min=LEAST_SIMILARITY), similarity)
        same = torch.eye(len(vectors), dtype=torch.bool, device=vectors.device)
        logits = (self.log_scale.exp() * vectors @ vectors.T).masked_fill(same, -1e4)
        wanted = (similarity / TEMPERATURE).masked_fill(same, -1e4).softmax(1)
        loss = F.kl_div(logits.log_softmax(1), wanted, reduction="batchmean")
        mapped = F.normalize(self.map(vectors).view(targets.shape), dim=2)
        cosine = (mapped * targets).sum(2)
        return loss, ((1 - cosine) * known).sum() / known.sum()


@dataclass(frozen=True)
class _Group:
    """Texts that are drawn alike. `partners`: the row that is drawn with each; -1: any other."""

    share: float
    rows: NDArray[np.int64]
    partners: NDArray[np.int64]


class TextBatches:
    """Draws texts of a table with their partners, and the teachers' vectors of them."""

    def __init__(self, table: TeacherTable) -> None:
        self.table = table
        parts = max(1, table.vectors.shape[1] // DIM)
        self.parts, self.vectors = parts, _centered(table, parts)
        kinds, languages = np.array(table.kinds), np.array(table.languages)
        translated = (kinds == "translation") & (table.pairs >= 0)
        self.targets = np.where(translated, table.pairs, np.arange(len(kinds)))
        self.groups = list(self._make_groups(kinds, languages))
        shares = np.array([group.share for group in self.groups])
        self.cumulative = np.cumsum(shares / shares.sum())

    @cached_property
    def digest(self) -> str:
        """16 hex digits that change with any text and any vector."""
        digest = hashlib.sha256("\n".join(self.table.texts).encode())
        digest.update(np.ascontiguousarray(self.table.vectors).data)
        return digest.hexdigest()[:16]

    @cached_property
    def dev_synonyms(self) -> dict[str, list[str]]:
        """Synonyms that are not trained on -> the names that they mean."""
        names = set(self.table.rows("name"))
        return {
            word: [self.table.texts[row] for row in rows]
            for word, rows in sorted(self.table.right.items())
            if unit_hash("synonym", word) < DEV_SHARE and self.table.english.get(word) not in names
        }

    @cached_property
    def synonyms(self) -> dict[str, list[str]]:
        """Name -> the synonyms of it that are trained on."""
        found: dict[str, list[str]] = {}
        for word, rows in sorted(self.table.right.items()):
            for row in rows if word not in self.dev_synonyms else ():
                found.setdefault(self.table.texts[row], []).append(word)
        return found

    def _make_groups(self, kinds: NDArray[np.str_], languages: NDArray[np.str_]) -> "list[_Group]":
        english = languages == ENGLISH
        held_out = {self.table.english[w] for w in self.dev_synonyms if w in self.table.english}
        free = ~np.isin(np.arange(len(kinds)), list(held_out))
        right = [
            (self.table.english[word], row)
            for word, rows in sorted(self.table.right.items())
            for row in rows
            if word in self.table.english and word not in self.dev_synonyms
        ]
        synonyms = np.array(right, np.int64).reshape(-1, 2)
        groups = [_Group(SHARES["synonym"], synonyms[:, 0], synonyms[:, 1])]
        plain = english & free & np.isin(kinds, ("word", "name", "keyword"))
        paired = {kind: english & (kinds == kind) for kind in ("caption", "gloss")}
        several = {"english": plain, **paired}
        groups += [self._group(SHARES[name], which) for name, which in several.items()]
        others = sorted(set(languages.tolist()) - {ENGLISH})
        for language in others:
            own = languages == language
            for name, which in (("translation", kinds == "translation"),
                                ("foreign", kinds == "keyword")):  # fmt: skip
                groups.append(self._group(SHARES[name] / len(others), own & which))
        return [group for group in groups if len(group.rows)]

    def _group(self, share: float, which: NDArray[np.bool_]) -> _Group:
        rows = np.flatnonzero(which)
        return _Group(share, rows, self.table.pairs[rows].astype(np.int64))

    def draw(self, count: int, rng: Generator) -> NDArray[np.int64]:
        """`count` rows, an even number; each odd one is the partner of the one before it."""
        chosen = np.searchsorted(self.cumulative, rng.random(count // 2), side="right")
        out = np.empty(count, np.int64)
        for place, which in enumerate(np.minimum(chosen, len(self.groups) - 1)):
            group = self.groups[which]
            first, other = rng.integers(len(group.rows), size=2)
            partner = int(group.partners[first])
            out[2 * place] = group.rows[first]
            out[2 * place + 1] = partner if partner >= 0 else group.rows[other]
        return out

    def sample(self, count: int, tokenizer: Tokenizer, rng: Generator) -> Batch:
        """Texts of the table, short ones first, with the teachers' vectors (B, parts, 384)."""
        rows = self.draw(count, rng)
        texts = [self.table.texts[row] for row in rows]
        encoded = [
            self._encode(text, self.table.languages[row] == ENGLISH, tokenizer, rng)
            for row, text in zip(rows, texts, strict=True)
        ]
        order = np.argsort([len(ids) for ids in encoded], kind="stable")
        short = len(order) - int(len(order) * LONG_SHARE)
        targets = self.targets[rows[order]]
        batch = {"targets": torch.from_numpy(self.vectors[targets].astype(np.float32)),
                 "near": torch.from_numpy(self._near(rows[order], targets))}  # fmt: skip
        for name, part, length in (("short", order[:short], SHORT_TOKENS),
                                   ("long", order[short:], LONG_TOKENS)):  # fmt: skip
            tokens = tokenizer.pad([encoded[i] for i in part], min(length, tokenizer.context))
            batch[f"{name}_ids"] = torch.from_numpy(tokens.ids)
            batch[f"{name}_lengths"] = torch.from_numpy(tokens.lengths)
        return batch

    def _near(self, rows: NDArray[np.int64], targets: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Rows with one target, a row and its pair, and a synonym and its name."""
        pairs = np.where(np.array(self.table.pairs)[rows] >= 0, self.table.pairs[rows], rows)
        near = (targets[:, None] == targets[None]) | (pairs[:, None] == targets[None])
        place: dict[int, list[int]] = {}
        for i, row in enumerate(rows.tolist()):
            place.setdefault(row, []).append(i)
        for i, row in enumerate(rows.tolist()):
            for name in self.table.right.get(self.table.texts[row], ()):
                near[i, place.get(name, [])] = True
        return near | near.T

    @staticmethod
    def _encode(text: str, english: bool, tokenizer: Tokenizer, rng: Generator) -> list[int]:
        """The ids of a text, of an English one possibly misspelt."""
        text = vary(text, rng) if english else text
        if rng.random() < DROPOUT_SHARE:
            return tokenizer.encode_with_dropout(text, rng)
        return tokenizer.encode(text)


def _centered(table: TeacherTable, parts: int) -> NDArray[np.float16]:
    """The vectors (N, parts, D), each teacher's of unit length after the mean of its language was
    subtracted: E5's vectors all point in nearly the same direction (arXiv 2212.03533).
    """
    out = np.zeros((len(table.texts), parts, table.vectors.shape[1] // parts), np.float16)
    languages = np.array(table.languages)
    given = table.vectors.reshape(out.shape)
    for language in sorted(set(table.languages)):
        rows = np.flatnonzero(languages == language)
        for part in range(parts):
            vectors = given[rows, part].astype(np.float32)
            if vectors.any():
                vectors -= vectors.mean(0)
                length = np.linalg.norm(vectors, axis=1, keepdims=True)
                out[rows, part] = vectors / np.maximum(length, 1e-6)
    return out
