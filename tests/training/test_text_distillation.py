"""Distillation of the teachers: the loss against formulas, the texts of a batch, and training."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.random import Generator, Philox
from torch.nn import functional as F

from tests.sample import pictures, tokenizer
from tests.training import tiny
from undiffuse.clip.model import Clip
from undiffuse.data.teacher_table import TeacherTable, read_table
from undiffuse.training.clip import ClipRecipe
from undiffuse.training.loop import train
from undiffuse.training.model_io import export_weights, load_module
from undiffuse.training.stages import StageOptions, clip_stage, text_encoder_of, text_stage
from undiffuse.training.text_distillation import TEMPERATURE, Distillation, TextBatches
from undiffuse.training.validation import synonym_accuracy

WORDS = tiny.words()


def rng(key: int = 0) -> Generator:
    return Generator(Philox(key=[3, key]))


def random_units(*shape: int) -> torch.Tensor:
    draw = torch.Generator().manual_seed(sum(shape))
    return F.normalize(torch.randn(*shape, generator=draw), dim=-1)


def test_the_similarity_loss_is_the_divergence_of_the_rows_without_the_diagonal() -> None:
    module, targets = Distillation(384), random_units(6, 1, 384)
    vectors, none = random_units(6, 512), torch.zeros(6, 6, dtype=torch.bool)
    found, _ = module(vectors, targets, none)
    total = 0.0
    for i in range(6):
        others = [j for j in range(6) if j != i]
        student = module.log_scale.exp() * vectors[i] @ vectors[others].T
        teacher = targets[i, 0] @ targets[others, 0].T / TEMPERATURE
        p, q = teacher.softmax(0), student.softmax(0)
        total += float((p * (p / q).log()).sum().detach()) / 6
    assert found.item() == pytest.approx(total, rel=1e-4)


def test_similarities_are_means_over_the_teachers_that_know_both_texts() -> None:
    module, targets = Distillation(768), random_units(4, 2, 384)
    targets[3, 0] = 0  # the first teacher does not know the last language
    vectors, none = random_units(4, 512), torch.zeros(4, 4, dtype=torch.bool)
    found, cosine = module(vectors, targets, none)
    similarity = (targets[:, 0] @ targets[:, 0].T + targets[:, 1] @ targets[:, 1].T) / 2
    similarity[3] = similarity[:, 3] = targets[:, 1] @ targets[3, 1]
    same = torch.eye(4, dtype=torch.bool)
    logits = (module.log_scale.exp() * vectors @ vectors.T).masked_fill(same, -1e4)
    wanted = (similarity / TEMPERATURE).masked_fill(same, -1e4).softmax(1)
    expected = F.kl_div(logits.log_softmax(1), wanted, reduction="batchmean")
    assert found.item() == pytest.approx(expected.item(), rel=1e-4)
    mapped = F.normalize(module.map(vectors).view(4, 2, 384), dim=2)
    kept = [(mapped[i, p] @ targets[i, p]).item() for i in range(4) for p in range(2) if i < 3 or p]
    assert cosine.item() == pytest.approx(1 - np.mean(kept), rel=1e-4)


def test_a_translation_has_the_target_of_its_english_text_and_is_near_it() -> None:
    texts = TextBatches(WORDS)
    cat, katze = WORDS.texts.index("cat"), WORDS.texts.index("Katze")
    assert texts.targets[katze] == cat
    near = texts._near(np.array([cat, katze, 0]), texts.targets[[cat, katze, 0]])
    assert near[0, 1]
    assert near[1, 0]
    assert not near[2, :2].any()


def test_a_synonym_is_drawn_with_the_name_that_it_means() -> None:
    texts = TextBatches(WORDS)
    rows = texts.draw(400, rng())
    tabby, cat = WORDS.texts.index("tabby"), WORDS.texts.index("cat")
    partners = [int(rows[i + 1]) for i in range(0, 400, 2) if rows[i] == tabby]
    assert partners.count(cat) > len(partners) / 3
    assert set(rows.tolist()) == set(range(len(WORDS.texts)))


def test_batches_depend_on_the_generator_alone_and_have_fixed_shapes() -> None:
    texts = TextBatches(WORDS)
    one, same, other = (texts.sample(32, tokenizer(), rng(k)) for k in (0, 0, 1))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert [one[name].shape for name in one] == [other[name].shape for name in one]
    assert not torch.equal(one["targets"], other["targets"])
    assert one["targets"].shape == (32, 1, 384)


def test_the_vectors_of_each_language_are_centered() -> None:
    count = 40
    vectors = random_units(count, 768).numpy() + 3.0  # as of E5: all in nearly one direction
    table = TeacherTable(
        [f"text {k}" for k in range(count)], vectors.astype(np.float16), ["word"] * count,
        ["en"] * 30 + ["de"] * 10, np.full(count, -1, np.int32), {},
    )  # fmt: skip
    found = TextBatches(table).vectors.astype(np.float32)
    assert np.allclose(np.linalg.norm(found, axis=2), 1, atol=1e-2)
    for rows in (slice(0, 30), slice(30, 40)):
        similarity = np.einsum("ipd,jpd->ij", found[rows], found[rows]) / 2
        assert np.mean(similarity[~np.eye(len(similarity), dtype=bool)]) < 0.1


def test_synonyms_for_validation_are_not_trained_on() -> None:
    count = 300
    texts = ["cat", *(f"synonym {k}" for k in range(count))]
    table = replace(
        WORDS, texts=texts, vectors=random_units(count + 1, 384).numpy().astype(np.float16),
        kinds=["name"] + ["word"] * count, languages=["en"] * (count + 1),
        pairs=np.full(count + 1, -1, np.int32), right={text: [0] for text in texts[1:]},
    )  # fmt: skip
    made = TextBatches(table)
    kept = set(made.dev_synonyms)
    assert 0 < len(kept) < count / 10
    assert kept.isdisjoint(made.synonyms["cat"])
    drawn = {texts[row] for row in made.draw(20000, rng())}
    assert drawn == set(texts) - kept


def test_synonym_accuracy_counts_the_nearest_names() -> None:
    directions = dict(zip(("cat", "dog", "sun", "sea", "car", "pet"), torch.eye(6), strict=True))
    directions |= {"kitty": directions["cat"], "hound": directions["cat"] + 0.1 * directions["dog"]}

    def embed(texts: list[str]) -> torch.Tensor:
        return torch.stack([directions[text] for text in texts])

    names = ["cat", "dog", "sun", "sea", "car", "pet"]
    found = synonym_accuracy(embed, names, {"kitty": ["cat"], "hound": ["dog"], "x": ["absent"]})
    assert found == {"synonyms top-1": 0.5, "synonyms top-5": 1.0}
    assert synonym_accuracy(embed, names, {}) == {}


def test_the_text_encoder_learns_alone_and_goes_on_beside_pictures(tmp_path: Path) -> None:
    tiny.write_words(tmp_path / "words")
    table = read_table(tmp_path / "words")
    texts = TextBatches(table)
    options = StageOptions(tmp_path / "clip" / "text", 40, 32, compiled=False, threads=1)
    first = text_stage(pictures(), table, texts, tiny.CLIP, options)
    image = {k: v.clone() for k, v in first.run.model.image.named_parameters()}
    first.run.warmup = 3
    losses = [record.losses["loss"] for record in train(first.run)]
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])
    for name, value in first.run.model.image.named_parameters():
        assert torch.equal(value, image[name])
    encoder = text_encoder_of(first)
    learned = encoder.text.out.weight.detach().clone()
    options = replace(options, out=tmp_path / "clip", steps=2)
    second = clip_stage(pictures(), tiny.CLIP, options, 0.125, table, texts, None, encoder)
    assert torch.equal(second.run.model.text.out.weight, learned)
    assert "words" in next(train(second.run)).losses
    export_weights(second.run, "clip")
    load_module(tmp_path / "clip" / "clip.safetensors", "clip")  # strict: nothing of the map


def test_one_table_without_synonyms_trains() -> None:
    bare = replace(WORDS, right={})
    made = ClipRecipe(Clip(tiny.CLIP), tokenizer(), pictures(), TextBatches(bare), 32, False)
    assert torch.isfinite(made.loss(0, rng())["loss"])
