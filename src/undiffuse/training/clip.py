"""Training of CLIP with three losses.

1. The contrastive loss between pictures and captions, with several matches per row.
2. The difference between the vectors of two pictures matches the word that names the difference.
3. Common words have the same neighbors as in the embedding space of a sentence encoder, the
   teacher.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.random import Generator, Philox
from torch import Tensor, nn
from torch.nn import functional as F

from undiffuse.clip.loss import contrastive_loss, difference_loss
from undiffuse.clip.model import Clip
from undiffuse.clip.tokenizer import Tokenizer
from undiffuse.config import EMBED_DIM, ClipConfig
from undiffuse.data.captions import random_caption
from undiffuse.data.picture_set import (
    PictureSet,
    accessory_pairs,
    difference_pairs,
)
from undiffuse.errors import UserError
from undiffuse.imaging.files import write_atomic
from undiffuse.training import checkpoint
from undiffuse.training.augment import random_affine, to_clip_input, to_float
from undiffuse.training.batches import MixedSampler
from undiffuse.training.bpe import train_bpe
from undiffuse.training.precision import autocast

CAPTION_TOKENS, WORD_TOKENS = 16, 8
COMPOSITE_SHARE = 0.125  # of a batch
PAIR_SHARE = 3 / 32  # pairs of originals, and pairs of composites, per picture of a batch
WORD_BATCH, SYNONYM_BATCH = 256, 64  # words per step, and those of them that have synonyms
TEACHER_TEMPERATURE = 0.05
SYNONYM_SIMILARITY = 0.85  # the least that the teacher gives to a word and its synonym
NAME_VECTOR_STEPS = 50  # between updates of the vectors of all names
DIFFERENCE_WEIGHT = WORD_WEIGHT = 0.5
Pair = tuple[int, int, str]  # row without, row with, the words that the second picture adds


@dataclass(frozen=True)
class WordTable:
    """Common words, the names of all concepts, and the teacher's unit vectors of both."""

    words: list[str]
    names: list[str]
    word_vectors: Tensor  # (W, 384)
    name_vectors: Tensor  # (N, 384)
    synonyms: dict[str, list[int]]  # word -> indices into `names`


class ClipRecipe:
    """Builds batches and computes the loss of step k."""

    def __init__(
        self,
        model: Clip,
        tokenizer: Tokenizer,
        pictures: PictureSet,
        words: WordTable | None,
        batch: int = 512,
        compiled: bool = True,
        composite_share: float = COMPOSITE_SHARE,
    ) -> None:
        self.model, self.tokenizer, self.pictures, self.words = model, tokenizer, pictures, words
        self.batch, self.composite_count = batch, int(batch * composite_share)
        self.sampler = MixedSampler(pictures)
        self.pairs = [
            _group_by_word(pairs)
            for pairs in (difference_pairs(pictures), accessory_pairs(pictures))
            if pairs
        ]
        wrap: Any = torch.compile if compiled else lambda function: function
        self.encode_image, self.encode_text = wrap(model.encode_image), wrap(model.encode_text)
        self.word_scale = nn.Parameter(torch.tensor(3.0))
        if words is not None:
            model.register_parameter("log_word_scale", self.word_scale)
            self.name_vectors = torch.zeros(len(words.names), EMBED_DIM)
            weights = np.array([1.0 if word in words.synonyms else 0.0 for word in words.words])
            weights = weights if weights.any() else np.ones(len(weights))
            self.synonym_weights = weights / weights.sum()

    def tensors(self) -> dict[str, Tensor]:
        """Tensors for the checkpoint besides the weights."""
        return {"bank": self.name_vectors} if self.words is not None else {}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """The inverse of `tensors`."""
        if self.words is not None:
            self.name_vectors.copy_(tensors["bank"])

    def sample_batch(self, rng: Generator) -> tuple[np.ndarray, list[Pair]]:
        """The rows of a batch `(B,)`, and the pairs in it, as positions in the batch."""
        pairs: list[Pair] = []
        for groups in self.pairs:
            # By word, or "woman" would be half of all pairs.
            for index in rng.integers(len(groups), size=int(self.batch * PAIR_SHARE)):
                group = groups[index]
                pairs.append(group[int(rng.integers(len(group)))])
        rows = [row for pair in pairs for row in pair[:2]]
        positions = [(2 * i, 2 * i + 1, pair[2]) for i, pair in enumerate(pairs)]
        if len(self.sampler.composites):
            rows += list(rng.choice(self.sampler.composites, self.composite_count))
        rest = self.batch - len(rows)
        return np.array([*rows, *self.sampler.originals.draw(rest, rng, styles=2)]), positions

    def embed_text(self, texts: list[str], length: int) -> Tensor:
        """Unit vectors of texts, truncated to `length` tokens."""
        tokens = self.tokenizer(texts, length)
        with autocast():
            return self.encode_text(torch.from_numpy(tokens.ids), torch.from_numpy(tokens.lengths))

    def loss(self, step: int, rng: Generator) -> dict[str, Tensor]:
        """ "loss", the losses it is the sum of, and the logit scale as "scale"."""
        rows, pairs = self.sample_batch(rng)
        captions = [random_caption(self.pictures.records[row], rng) for row in rows]
        matches = self.pictures.caption_matcher.matches(captions, rows)
        np.fill_diagonal(matches, True)
        pixels = random_affine(to_float(self.pictures.pictures[rows]), rng)
        with autocast():
            pixels = to_clip_input(pixels).contiguous(memory_format=torch.channels_last)
            image = self.encode_image(pixels)
        # The whole context on every 16th step, so that its last positions are trained too.
        length = self.tokenizer.context if step % 16 == 15 else CAPTION_TOKENS
        text = self.embed_text([one.text for one in captions], length)
        scale = self.model.logit_scale
        match = contrastive_loss(image, text, torch.from_numpy(matches), scale)
        losses, total = {"match": match, "scale": scale.detach()}, match
        if pairs:
            losses["difference"] = self.pair_loss(image, pairs)
            total = total + DIFFERENCE_WEIGHT * losses["difference"]
        if self.words is not None:
            losses["words"] = self.word_loss(step, rng, self.words)
            total = total + WORD_WEIGHT * losses["words"]
        return {"loss": total, **losses}

    def pair_loss(self, image: Tensor, pairs: list[Pair]) -> Tensor:
        """`difference_loss` of the pairs in a batch with the vectors `image` `(B, 512)`."""
        words = sorted({pair[2] for pair in pairs})
        # Padded to a multiple of 96, because torch.compile compiles anew for each batch size.
        vectors = self.embed_text(words + [""] * (-len(words) % 96), WORD_TOKENS)[: len(words)]
        which = torch.tensor([words.index(pair[2]) for pair in pairs])
        without, with_ = (torch.tensor([pair[i] for pair in pairs]) for i in (0, 1))
        return difference_loss(image[without], image[with_], vectors, which)

    def word_loss(self, step: int, rng: Generator, table: WordTable) -> Tensor:
        """KL divergence from the teacher's similarities of words with names and with words."""
        if step % NAME_VECTOR_STEPS == 0:
            self._update_name_vectors(table)
        rows = rng.integers(len(table.words), size=WORD_BATCH)
        rows[:SYNONYM_BATCH] = rng.choice(len(table.words), SYNONYM_BATCH, p=self.synonym_weights)
        words = [table.words[row] for row in rows]
        student = self.embed_text(words, WORD_TOKENS)
        teacher = table.word_vectors[torch.from_numpy(rows)]
        similarity = teacher @ table.name_vectors.T
        for i, word in enumerate(words):
            for name in table.synonyms.get(word, ()):
                similarity[i, name] = similarity[i, name].clamp(min=SYNONYM_SIMILARITY)
        scale = self.word_scale.exp()
        loss = _similarity_loss(scale * student @ self.name_vectors.T, similarity)
        same = torch.eye(len(rows), dtype=torch.bool)
        return loss + _similarity_loss(
            (scale * student @ student.T).masked_fill(same, -1e4),
            (teacher @ teacher.T).masked_fill(same, -1e4),
        )

    @torch.no_grad()
    def _update_name_vectors(self, table: WordTable) -> None:
        for start in range(0, len(table.names), self.batch):
            names = table.names[start : start + self.batch]
            padded = names + [""] * (self.batch - len(names))
            vectors = self.embed_text(padded, CAPTION_TOKENS)
            self.name_vectors[start : start + len(names)] = vectors[: len(names)].float()


def _group_by_word(pairs: list[Pair]) -> list[list[Pair]]:
    groups: dict[str, list[Pair]] = {}
    for pair in pairs:
        groups.setdefault(pair[2], []).append(pair)
    return [groups[word] for word in sorted(groups)]


def _similarity_loss(logits: Tensor, similarity: Tensor) -> Tensor:
    target = (similarity / TEACHER_TEMPERATURE).softmax(1)
    return F.kl_div(logits.log_softmax(1), target, reduction="batchmean")


def read_word_table(path: Path) -> WordTable:
    """The file that `undiffuse data words` wrote. Raises UserError for another file."""
    tensors, meta = checkpoint.load(path)
    try:
        return WordTable(
            meta["words"],
            meta["names"],
            tensors["words"].float(),
            tensors["names"].float(),
            {word: list(names) for word, names in meta["right"].items()},
        )
    except (KeyError, TypeError) as error:
        raise UserError(f"{path} was not written by `undiffuse data words`") from error


def load_or_train_tokenizer(
    path: Path, pictures: PictureSet, table: WordTable | None, config: ClipConfig
) -> Tokenizer:
    """The tokenizer in a file, which is trained on captions and common words if it is missing."""
    if path.exists():
        return Tokenizer.from_json(path.read_text(), config.context)
    rng = Generator(Philox(key=[0, 0]))
    texts = [random_caption(record, rng).text for record in pictures.records for _ in range(3)]
    if table is not None:
        texts += table.words * 2
    tokenizer = train_bpe(texts, config.vocabulary, config.context)
    write_atomic(path, tokenizer.to_json().encode())
    return tokenizer
