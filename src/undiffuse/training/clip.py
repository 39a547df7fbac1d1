"""Training of CLIP with three losses.

1. The contrastive loss between pictures and captions, with several matches per row.
2. The difference between the vectors of two pictures matches the word that names the difference.
3. Texts have the same neighbors as in the embedding spaces of sentence encoders, the teachers;
   see `text_distillation`.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.random import Generator, Philox
from torch import Tensor

from undiffuse.clip.loss import contrastive_loss, difference_loss, partial_contrastive_loss
from undiffuse.clip.model import Clip
from undiffuse.clip.tokenizer import Tokenizer
from undiffuse.config import ClipConfig
from undiffuse.data.captions import Caption, Shown, describes, random_caption
from undiffuse.data.picture_captions import PictureCaptions
from undiffuse.data.picture_set import (
    PictureSet,
    accessory_pairs,
    difference_pairs,
)
from undiffuse.data.teacher_table import TeacherTable
from undiffuse.imaging.files import write_atomic
from undiffuse.training.augment import (
    apply_affine,
    on_grounds,
    random_matrices,
    to_clip_input,
    to_float,
)
from undiffuse.training.batches import MixedSampler
from undiffuse.training.bpe import train_bpe
from undiffuse.training.devices import CPU, Batch, PictureTable, to_device
from undiffuse.training.distributed import count, gather, main_first, part
from undiffuse.training.mixture import Mixture, Pair, draw_pairs, group_by_word
from undiffuse.training.precision import autocast
from undiffuse.training.text_distillation import DROPOUT_SHARE, Distillation, TextBatches

CAPTION_TOKENS, WORD_TOKENS = 16, 8
COMPOSITE_SHARE = 0.125  # of a batch
TEXT_BATCH = 256  # texts of the teachers per step beside pictures
TEXT_ONLY_BATCH = 1024  # and alone
DIFFERENCE_WEIGHT = WORD_WEIGHT = 0.5


class TextEncoderTrainer:
    """The teachers' loss of CLIP's text encoder; also the recipe that trains this encoder alone."""

    def __init__(
        self, model: Clip, tokenizer: Tokenizer, texts: TextBatches, batch: int = TEXT_ONLY_BATCH,
        compiled: bool = True, device: torch.device = CPU,
    ) -> None:  # fmt: skip
        self.tokenizer, self.texts, self.device = tokenizer, texts, device
        self.batch = batch
        wrap: Any = torch.compile if compiled else lambda function: function
        self.encode_text = wrap(model.encode_text)
        if not hasattr(model, "distillation"):  # otherwise it was trained with the encoder before
            model.distillation = Distillation(texts.parts * texts.vectors.shape[2]).to(device)
        self.distillation: Distillation = model.distillation  # type: ignore[assignment]

    def loss(self, step: int, rng: Generator) -> dict[str, Tensor]:
        """ "loss", and the losses it is the sum of."""
        return self.losses(to_device(self.sample(step, rng), self.device))

    def sample(self, step: int, rng: Generator) -> Batch:
        """The texts of step k; with several processes, in each of them the whole batch."""
        return self.texts.sample(self.batch, self.tokenizer, rng)

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The losses of a batch on the device."""
        with autocast(self.device.type):
            vectors = torch.cat([
                self.encode_text(batch[f"{name}_ids"], batch[f"{name}_lengths"])
                for name in ("short", "long")
            ])  # fmt: skip
        similarity, cosine = self.distillation(vectors.float(), batch["targets"], batch["near"])
        return {"loss": similarity + cosine, "similarity": similarity, "map": cosine}


class ClipRecipe:
    """Builds batches and computes the loss of step k."""

    def __init__(
        self,
        model: Clip,
        tokenizer: Tokenizer,
        pictures: PictureSet,
        texts: TextBatches | None,
        batch: int = 512,
        compiled: bool = True,
        composite_share: float = COMPOSITE_SHARE,
        device: torch.device = CPU,
    ) -> None:
        self.model, self.tokenizer, self.pictures = model, tokenizer, pictures
        self.device, self.batch = device, batch
        self.composite_count = int(batch * composite_share)
        self.mixture: Mixture | None = None
        if pictures.pictures.shape[1] == 4:
            synonyms = texts.synonyms if texts else None
            self.mixture = Mixture(pictures, batch, synonyms, composite_share)
        else:
            self.table = PictureTable(pictures.pictures, device)
            self.sampler = MixedSampler(pictures)
            kinds = (difference_pairs(pictures), accessory_pairs(pictures))
            self.pairs = [group_by_word(pairs) for pairs in kinds if pairs]
        wrap: Any = torch.compile if compiled else lambda function: function
        self.encode_image, self.encode_text = wrap(model.encode_image), wrap(model.encode_text)
        self.texts: TextEncoderTrainer | None = None
        if texts is not None:
            self.texts = TextEncoderTrainer(model, tokenizer, texts, TEXT_BATCH, compiled, device)

    def sample_batch(self, rng: Generator) -> tuple[np.ndarray, list[Pair]]:
        """The rows of a batch `(B,)`, and the pairs in it, as positions in the batch."""
        pairs = draw_pairs(self.pairs, self.batch, rng)
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
        grounds = None
        if self.mixture is not None:
            drawn = self.mixture.draw(step, rng)
            pairs, captions, shown = drawn.pairs, drawn.captions, drawn.shown
            pictures = torch.from_numpy(np.stack(part(drawn.pictures)))
            grounds = torch.from_numpy(np.stack(part(drawn.grounds)))
        else:
            rows, pairs = self.sample_batch(rng)
            captions = [random_caption(self.pictures.records[row], rng) for row in rows]
            pictures = self.table.take(part(rows))
            shown = [self.pictures.caption_matcher.shown[row] for row in rows]
        matrices = random_matrices(len(captions), rng)
        # The whole context on every 16th step, so that its last positions are trained too.
        length = self.tokenizer.context if step % 16 == 15 else CAPTION_TOKENS
        batch = {
            "step": step,
            "pictures": pictures,
            "matrices": torch.from_numpy(part(matrices)),
            "text": self._tokens(
                [one.text for one in part(captions)], length, rng if self.mixture else None
            ),
            **self._matches(captions, shown),
        }
        if grounds is not None:
            batch["grounds"] = grounds
        if pairs:
            words = sorted({pair[2] for pair in pairs})
            # Padded to a multiple of 96, because torch.compile compiles anew for each batch size.
            batch["pair_words"] = self._tokens(words + [""] * (-len(words) % 96), WORD_TOKENS)
            batch["pairs"] = torch.tensor([[*pair[:2], words.index(pair[2])] for pair in pairs])
            batch["pair_word_count"] = len(words)
        if self.texts is not None:
            batch["texts"] = self.texts.sample(step, rng)
        return batch

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """The losses of a batch on the device."""
        pictures = batch["pictures"] if self.mixture else self.table.load(batch["pictures"])
        pixels = apply_affine(to_float(pictures), batch["matrices"])
        if self.mixture:
            pixels = on_grounds(pixels, batch["grounds"])
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
        if self.texts is not None:
            losses["words"] = self.texts.losses(batch["texts"])["loss"]
            total = total + WORD_WEIGHT * losses["words"]
        return {"loss": total, **losses}

    def _tokens(self, texts: list[str], length: int, rng: Generator | None = None) -> Batch:
        """The text encoder's input, truncated to `length` tokens; with BPE-dropout, if there is a
        generator.
        """
        encoded = [
            self.tokenizer.encode_with_dropout(text, rng)
            if rng is not None and rng.random() < DROPOUT_SHARE
            else self.tokenizer.encode(text)
            for text in texts
        ]
        tokens = self.tokenizer.pad(encoded, length)
        return {"ids": torch.from_numpy(tokens.ids), "lengths": torch.from_numpy(tokens.lengths)}

    def _embed(self, tokens: Batch) -> Tensor:
        with autocast(self.device.type):
            vectors: Tensor = self.encode_text(tokens["ids"], tokens["lengths"])
            return vectors

    @staticmethod
    def _matches(captions: list[Caption], shown: list[Shown]) -> Batch:
        """Which captions describe which pictures; with several processes, for this one's captions
        and for its pictures.
        """
        if count() == 1:
            found = {"matches": describes(captions, shown)}
            np.fill_diagonal(found["matches"], True)
        else:
            own = part(np.eye(len(shown), dtype=bool))
            found = {
                "matches_of_text": describes(part(captions), shown) | own,
                "matches_of_image": describes(captions, part(shown)).T | own,
            }
        return {name: torch.from_numpy(np.ascontiguousarray(one)) for name, one in found.items()}


def load_or_train_tokenizer(
    path: Path, pictures: PictureSet, table: TeacherTable | None, config: ClipConfig
) -> Tokenizer:
    """The tokenizer in a file, which is trained on captions and the teachers' texts if it is
    missing.
    """
    with main_first():
        if path.exists():
            return Tokenizer.from_json(path.read_text(), config.context)
        return _train_tokenizer(path, pictures, table, config)


def _train_tokenizer(
    path: Path, pictures: PictureSet, table: TeacherTable | None, config: ClipConfig
) -> Tokenizer:
    rng = Generator(Philox(key=[0, 0]))
    caption: Any = random_caption
    if pictures.pictures.shape[1] == 4:
        caption = PictureCaptions().caption
    texts = [caption(record, rng).text for record in pictures.records for _ in range(3)]
    if table is not None:
        texts += table.texts
    tokenizer = train_bpe(texts, config.vocabulary, config.context)
    write_atomic(path, tokenizer.to_json().encode())
    return tokenizer
