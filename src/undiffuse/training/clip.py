"""The recipe of CLIP: three losses on two encoders.

1. Pictures and captions are matched, with more than one right match a row (UniCL, arXiv
   2204.03610): the cross entropy against all captions that are true of a picture, both ways.
2. The vector of a picture with something minus that of the picture without it points at the word.
3. Common words keep the neighbourhood that a sentence encoder gives them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor, nn
from torch.nn import functional as F

from undiffuse.clip.loss import contrastive_loss, difference_loss
from undiffuse.clip.model import Clip
from undiffuse.clip.tokenizer import Tokenizer
from undiffuse.data.captions import caption
from undiffuse.data.picture_set import EvenSampler, PictureSet, composite_pairs, difference_pairs
from undiffuse.errors import UserError
from undiffuse.training.augment import moved, to_float

CAPTION_TOKENS, WORD_TOKENS = 16, 8
COMPOSITES = 0.125  # of a batch
TEACHER_TEMPERATURE = 0.05
Pair = tuple[int, int, str]  # row without, row with, what the second shows besides
BANK_EVERY = 50  # steps between refreshes of the names' vectors that words are compared with


@dataclass(frozen=True)
class WordTable:
    """Common words, the names of all concepts, and the teacher's unit vectors of both."""

    words: list[str]
    names: list[str]
    word_vectors: Tensor  # (W, 384)
    name_vectors: Tensor  # (N, 384)
    right: dict[str, list[int]]  # word -> names it is a synonym of


class ClipRecipe:
    """Makes batches and computes the loss of step k. `run.loss = recipe.loss`."""

    def __init__(
        self,
        model: Clip,
        tokenizer: Tokenizer,
        pictures: PictureSet,
        words: WordTable | None,
        batch: int = 512,
        compiled: bool = True,
        composites: float = COMPOSITES,
    ) -> None:
        self.model, self.tokenizer, self.pictures, self.words = model, tokenizer, pictures, words
        self.batch, self.made = batch, int(batch * composites)
        plain = pictures.rows(lambda record: not record.get("composite"))
        self.even = EvenSampler(pictures, plain)
        self.composites = pictures.rows(lambda record: bool(record.get("composite")))
        # By word, drawn evenly, or "woman" would be half of all differences.
        self.natural = _by_word(difference_pairs(pictures))
        self.worn = _by_word(composite_pairs(pictures))
        wrap: Any = torch.compile if compiled else lambda function: function
        self.encode_image, self.encode_text = wrap(model.encode_image), wrap(model.encode_text)
        self.word_scale = nn.Parameter(torch.tensor(3.0))
        if words is not None:
            model.register_parameter("log_word_scale", self.word_scale)
            self.bank = torch.zeros(len(words.names), 512)
            weights = np.array([1.0 if word in words.right else 0.0 for word in words.words])
            weights = weights if weights.any() else np.ones(len(weights))
            self.synonym_weights = weights / weights.sum()

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint must hold besides weights."""
        return {"bank": self.bank} if self.words is not None else {}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """The inverse of `tensors`."""
        if self.words is not None:
            self.bank.copy_(tensors["bank"])

    def draw(self, rng: Generator) -> tuple[np.ndarray, list[Pair]]:
        """The rows of a batch, and which places in it are pairs: (without, with, words)."""
        pairs: list[Pair] = []
        for source, share in ((self.natural, 3 / 32), (self.worn, 3 / 32)):
            if source:
                for pick in rng.integers(len(source), size=int(self.batch * share)):
                    bag = source[pick]
                    pairs.append(bag[int(rng.integers(len(bag)))])
        rows = [row for pair in pairs for row in pair[:2]]
        places = [(2 * i, 2 * i + 1, pair[2]) for i, pair in enumerate(pairs)]
        if len(self.composites):
            rows += list(rng.choice(self.composites, self.made))
        rest = self.batch - len(rows)
        return np.array([*rows, *self.even.draw(rest, rng, each=2)]), places

    def embed_text(self, texts: list[str], length: int) -> Tensor:
        """Unit vectors of texts, cut to `length` tokens."""
        tokens = self.tokenizer(texts, length)
        return self.encode_text(torch.from_numpy(tokens.ids), torch.from_numpy(tokens.lengths))

    def loss(self, step: int, rng: Generator) -> dict[str, Tensor]:
        rows, pairs = self.draw(rng)
        captions = [caption(self.pictures.records[row], rng) for row in rows]
        fits = self.pictures.facts.fits(captions, rows)
        np.fill_diagonal(fits, True)
        pixels = moved(to_float(self.pictures.pictures[rows]), rng)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            image = self.encode_image(pixels.contiguous(memory_format=torch.channels_last))
            # Now and then the whole context, or the later positions would never be trained.
            length = self.tokenizer.context if step % 16 == 15 else CAPTION_TOKENS
            text = self.embed_text([one.text for one in captions], length)
        scale = self.model.logit_scale
        match = contrastive_loss(image, text, torch.from_numpy(fits), scale)
        losses = {"match": match, "scale": scale.detach()}
        total = match
        extra_texts = sorted({pair[2] for pair in pairs})
        if pairs:
            padded = extra_texts + [""] * (-len(extra_texts) % 96)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                vectors = self.embed_text(padded, WORD_TOKENS)[: len(extra_texts)]
            which = torch.tensor([extra_texts.index(pair[2]) for pair in pairs])
            first, second = (torch.tensor([pair[i] for pair in pairs]) for i in (0, 1))
            losses["difference"] = difference_loss(image[first], image[second], vectors, which)
            total = total + 0.5 * losses["difference"]
        if self.words is not None:
            losses["words"] = self.word_loss(step, rng, self.words)
            total = total + 0.5 * losses["words"]
        return {"loss": total, **losses}

    def word_loss(self, step: int, rng: Generator, table: WordTable) -> Tensor:
        """KL divergence of the student's neighbourhoods from the teacher's, of names and words."""
        if step % BANK_EVERY == 0:
            self._refresh_bank(table)
        rows = rng.integers(len(table.words), size=256)
        rows[:64] = rng.choice(len(table.words), 64, p=self.synonym_weights)
        texts = [table.words[row] for row in rows]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            student = self.embed_text(texts, WORD_TOKENS)
        teacher = table.word_vectors[torch.from_numpy(rows)]
        to_names = teacher @ table.name_vectors.T
        for i, text in enumerate(texts):
            for name in table.right.get(text, ()):
                to_names[i, name] = to_names[i, name].clamp(min=0.85)
        scale = self.word_scale.exp()
        loss = _neighbourhood(scale * student @ self.bank.T, to_names)
        alike = torch.eye(len(rows), dtype=torch.bool)
        among = _neighbourhood(
            (scale * student @ student.T).masked_fill(alike, -1e4),
            (teacher @ teacher.T).masked_fill(alike, -1e4),
        )
        return loss + among

    @torch.no_grad()
    def _refresh_bank(self, table: WordTable) -> None:
        for start in range(0, len(table.names), self.batch):
            names = table.names[start : start + self.batch]
            padded = names + [""] * (self.batch - len(names))
            with torch.autocast("cpu", dtype=torch.bfloat16):
                vectors = self.embed_text(padded, CAPTION_TOKENS)
            self.bank[start : start + len(names)] = vectors[: len(names)].float()


def _by_word(pairs: list[Pair]) -> list[list[Pair]]:
    bags: dict[str, list[Pair]] = {}
    for pair in pairs:
        bags.setdefault(pair[2], []).append(pair)
    return [bags[word] for word in sorted(bags)]


def _neighbourhood(logits: Tensor, similarity: Tensor) -> Tensor:
    target = (similarity / TEACHER_TEMPERATURE).softmax(1)
    return F.kl_div(logits.log_softmax(1), target, reduction="batchmean")


def read_words(path: Path) -> WordTable:
    """The word table that `undiffuse data words` wrote."""
    from undiffuse.training import checkpoint

    tensors, meta = checkpoint.load(path)
    try:
        return WordTable(
            meta["words"],
            meta["names"],
            tensors["words"].float(),
            tensors["names"].float(),
            {word: list(rows) for word, rows in meta["right"].items()},
        )
    except (KeyError, TypeError) as error:
        raise UserError(f"{path} is not what `undiffuse data words` writes") from error
