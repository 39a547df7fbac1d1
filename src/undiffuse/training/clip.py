"""Training of CLIP with three losses.

1. The contrastive loss between pictures and captions, with several matches per row.
2. The difference between the vectors of two pictures matches the word that names the difference.
3. Common words have the same neighbors as in the embedding space of a sentence encoder, the
   teacher.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.random import Generator, Philox
from torch import Tensor, nn
from torch.nn import functional as F

from undiffuse.clip.loss import contrastive_loss, difference_loss, partial_contrastive_loss
from undiffuse.clip.model import Clip
from undiffuse.clip.tokenizer import Tokenizer
from undiffuse.config import EMBED_DIM, ClipConfig
from undiffuse.data.captions import Caption, random_caption
from undiffuse.data.picture_set import (
    PictureSet,
    accessory_pairs,
    difference_pairs,
)
from undiffuse.data.teacher_table import read_table
from undiffuse.imaging.files import write_atomic
from undiffuse.training.augment import apply_affine, random_matrices, to_clip_input, to_float
from undiffuse.training.batches import MixedSampler
from undiffuse.training.bpe import train_bpe
from undiffuse.training.devices import CPU, Batch, PictureTable, to_device
from undiffuse.training.distributed import count, gather, main_first, part
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

    def to(self, device: torch.device) -> "WordTable":
        """The table with its tensors on a device."""
        vectors = {key: getattr(self, key).to(device) for key in ("word_vectors", "name_vectors")}
        return replace(self, **vectors)


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
        device: torch.device = CPU,
    ) -> None:
        self.model, self.tokenizer, self.pictures = model, tokenizer, pictures
        self.words, self.device = words.to(device) if words else None, device
        self.table = PictureTable(pictures.pictures, device)
        self.batch, self.composite_count = batch, int(batch * composite_share)
        self.sampler = MixedSampler(pictures)
        self.pairs = [
            _group_by_word(pairs)
            for pairs in (difference_pairs(pictures), accessory_pairs(pictures))
            if pairs
        ]
        wrap: Any = torch.compile if compiled else lambda function: function
        self.encode_image, self.encode_text = wrap(model.encode_image), wrap(model.encode_text)
        if words is not None:
            word_scale = nn.Parameter(torch.tensor(3.0, device=device))
            model.register_parameter("log_word_scale", word_scale)
            self.name_vectors = torch.zeros(len(words.names), EMBED_DIM, device=device)
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

    def loss(self, step: int, rng: Generator) -> dict[str, Tensor]:
        """ "loss", the losses it is the sum of, and the logit scale as "scale"."""
        return self.losses(to_device(self.sample(step, rng), self.device))

    def sample(self, step: int, rng: Generator) -> Batch:
        """This process's part of the batch of step k, in the processor's memory; pairs and words
        are those of the whole batch.
        """
        rows, pairs = self.sample_batch(rng)
        captions = [random_caption(self.pictures.records[row], rng) for row in rows]
        matrices = random_matrices(len(rows), rng)
        # The whole context on every 16th step, so that its last positions are trained too.
        length = self.tokenizer.context if step % 16 == 15 else CAPTION_TOKENS
        batch = {
            "step": step,
            "pictures": self.table.take(part(rows)),
            "matrices": torch.from_numpy(part(matrices)),
            "text": self._tokens([one.text for one in part(captions)], length),
            **self._matches(captions, rows),
        }
        if pairs:
            words = sorted({pair[2] for pair in pairs})
            # Padded to a multiple of 96, because torch.compile compiles anew for each batch size.
            batch["pair_words"] = self._tokens(words + [""] * (-len(words) % 96), WORD_TOKENS)
            batch["pairs"] = torch.tensor([[*pair[:2], words.index(pair[2])] for pair in pairs])
            batch["pair_word_count"] = len(words)
        if self.words is not None:
            batch |= self._sample_words(rng, self.words)
        return batch

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The losses of a batch on the device."""
        pixels = apply_affine(to_float(self.table.load(batch["pictures"])), batch["matrices"])
        with autocast(self.device.type):
            pixels = to_clip_input(pixels).contiguous(memory_format=torch.channels_last)
            image = self.encode_image(pixels)
        text, scale = self._embed(batch["text"]), self.model.logit_scale
        if count() == 1:
            match = contrastive_loss(image, text, batch["matches"], scale)
        else:  # the negatives are the rows of all processes
            own, matches = (image, text), (batch["matches_of_text"], batch["matches_of_image"])
            image, text = gather(image), gather(text)
            match = partial_contrastive_loss(own, (image, text), matches, scale)
        losses, total = {"match": match, "scale": scale.detach()}, match
        if "pairs" in batch:
            vectors = self._embed(batch["pair_words"])[: batch["pair_word_count"]]
            without, with_, which = batch["pairs"].unbind(1)
            losses["difference"] = difference_loss(image[without], image[with_], vectors, which)
            total = total + DIFFERENCE_WEIGHT * losses["difference"]
        if self.words is not None:
            losses["words"] = self.word_loss(batch, self.words)
            total = total + WORD_WEIGHT * losses["words"]
        return {"loss": total, **losses}

    def word_loss(self, batch: Batch, table: WordTable) -> Tensor:
        """KL divergence from the teacher's similarities of words with names and with words."""
        if batch["step"] % NAME_VECTOR_STEPS == 0:
            self._update_name_vectors(table)
        student = self._embed(batch["words"])
        teacher = table.word_vectors[batch["word_rows"]]
        similarity = teacher @ table.name_vectors.T
        right = batch["synonyms"].unbind(1)
        similarity[right] = similarity[right].clamp(min=SYNONYM_SIMILARITY)
        scale = self.model.log_word_scale.exp()  # type: ignore[operator]
        loss = _similarity_loss(scale * student @ self.name_vectors.T, similarity)
        same = torch.eye(len(student), dtype=torch.bool, device=student.device)
        return loss + _similarity_loss(
            (scale * student @ student.T).masked_fill(same, -1e4),
            (teacher @ teacher.T).masked_fill(same, -1e4),
        )

    def _tokens(self, texts: list[str], length: int) -> Batch:
        """The text encoder's input, truncated to `length` tokens."""
        tokens = self.tokenizer(texts, length)
        return {"ids": torch.from_numpy(tokens.ids), "lengths": torch.from_numpy(tokens.lengths)}

    def _embed(self, tokens: Batch) -> Tensor:
        with autocast(self.device.type):
            vectors: Tensor = self.encode_text(tokens["ids"], tokens["lengths"])
            return vectors

    def _matches(self, captions: list[Caption], rows: np.ndarray) -> Batch:
        """Which captions describe which pictures; with several processes, for this one's captions
        and for its pictures.
        """
        matcher, size = self.pictures.caption_matcher, len(rows)
        if count() == 1:
            found = {"matches": matcher.matches(captions, rows)}
            np.fill_diagonal(found["matches"], True)
        else:
            own = part(np.eye(size, dtype=bool))
            found = {
                "matches_of_text": matcher.matches(part(captions), rows) | own,
                "matches_of_image": matcher.matches(captions, part(rows)).T | own,
            }
        return {name: torch.from_numpy(np.ascontiguousarray(one)) for name, one in found.items()}

    def _sample_words(self, rng: Generator, table: WordTable) -> Batch:
        rows = rng.integers(len(table.words), size=WORD_BATCH)
        rows[:SYNONYM_BATCH] = rng.choice(len(table.words), SYNONYM_BATCH, p=self.synonym_weights)
        words = [table.words[row] for row in rows]
        right = [(i, name) for i, word in enumerate(words) for name in table.synonyms.get(word, ())]
        return {
            "words": self._tokens(words, WORD_TOKENS),
            "word_rows": torch.from_numpy(rows),
            "synonyms": torch.tensor(right, dtype=torch.int64).view(-1, 2),
        }

    @torch.no_grad()
    def _update_name_vectors(self, table: WordTable) -> None:
        size = self.batch // count()  # that of the captions, so that nothing is compiled anew
        for start in range(0, len(table.names), size):
            names = table.names[start : start + size]
            padded = names + [""] * (size - len(names))
            vectors = self._embed(to_device(self._tokens(padded, CAPTION_TOKENS), self.device))
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
    """The English words and names in the file that `undiffuse data words` wrote. UserError for
    another file."""
    table = read_table(path)
    words, names = table.rows("word"), table.rows("name")
    place = {row: index for index, row in enumerate(names)}
    vectors = torch.from_numpy(table.vectors)
    return WordTable(
        [table.texts[row] for row in words],
        [table.texts[row] for row in names],
        vectors[words].float(),
        vectors[names].float(),
        {word: [place[row] for row in rows] for word, rows in table.right.items()},
    )


def load_or_train_tokenizer(
    path: Path, pictures: PictureSet, table: WordTable | None, config: ClipConfig
) -> Tokenizer:
    """The tokenizer in a file, which is trained on captions and common words if it is missing."""
    with main_first():
        if path.exists():
            return Tokenizer.from_json(path.read_text(), config.context)
        return _train_tokenizer(path, pictures, table, config)


def _train_tokenizer(
    path: Path, pictures: PictureSet, table: WordTable | None, config: ClipConfig
) -> Tokenizer:
    rng = Generator(Philox(key=[0, 0]))
    texts = [random_caption(record, rng).text for record in pictures.records for _ in range(3)]
    if table is not None:
        texts += table.words * 2
    tokenizer = train_bpe(texts, config.vocabulary, config.context)
    write_atomic(path, tokenizer.to_json().encode())
    return tokenizer
