import numpy as np
import pytest

from tests.evaluation.fakes import blurred, disc, sample, unit
from undiffuse.data.split import HELD_OUT_PAIR
from undiffuse.evaluation.style_probe import LEVELS, StyleProbe, augment, palette


def test_the_probe_finds_a_weak_direction() -> None:
    rng = np.random.default_rng(0)
    names, styles = rng.standard_normal((30, 64)), rng.standard_normal((3, 64)) * 0.4
    rows = [(n, f) for n in range(30) for f in range(3)]
    vectors = unit(np.stack([names[n] + styles[f] for n, f in rows]))
    labels = [f"style {f}" for _, f in rows]
    train = np.array([n < 25 for n, _ in rows])
    probe = StyleProbe.fit(vectors[train], [x for x, t in zip(labels, train, strict=True) if t])
    held_out = [x for x, t in zip(labels, train, strict=True) if not t]
    assert probe.is_right(vectors[~train], held_out).all()
    assert probe.styles == ("style 0", "style 1", "style 2")


def test_the_probe_gives_styles_equal_weight() -> None:
    rng = np.random.default_rng(0)
    many, few = rng.standard_normal((500, 8)), rng.standard_normal((20, 8))
    few[:, 0] += 2.0
    vectors = unit(np.concatenate([many, few]))
    probe = StyleProbe.fit(vectors, ["many"] * 500 + ["few"] * 20)
    assert probe.is_right(vectors[500:], ["few"] * 20).mean() > 0.8


def test_a_palette_is_a_unit_vector_without_positions() -> None:
    pictures = sample().pictures.pictures[:5]
    found = palette(pictures)
    assert np.allclose(np.linalg.norm(found, axis=1), 1.0, atol=1e-5)
    assert np.allclose(found, palette(np.ascontiguousarray(pictures[..., ::-1])), atol=1e-6)


def test_a_pixel_is_shared_among_its_nearest_bins() -> None:
    gray = disc((0, 0, 0), 0.0)
    gray[:] = np.array([255, 0, 16], np.uint8)[:, None, None]  # 16 is 0.502 of a level
    shares = np.square(palette(gray)[0]).reshape(LEVELS, LEVELS, LEVELS)
    assert shares[-1, 0, 1] == pytest.approx(16 * 8 / 255, abs=1e-5)
    assert shares[-1, 0, 0] + shares[-1, 0, 1] == pytest.approx(1.0, abs=1e-5)


def test_a_small_color_error_changes_a_palette_little() -> None:
    pictures = sample().pictures.pictures[:40]
    moved = (palette(pictures) * palette(np.maximum(pictures, 3) - 3)).sum(1)
    assert moved.min() > 0.8
    assert moved.mean() > 0.9


def test_augmented_pictures_are_reproducible_and_similar() -> None:
    pictures = sample().pictures.pictures[:300]
    soft = augment(pictures)
    assert (soft == augment(pictures)).all()
    assert 1 < np.abs(soft.astype(int) - pictures).mean() < 10
    assert (augment(pictures[:260])[:256] == soft[:256]).all()


def test_palettes_predict_the_styles_of_held_out_pairs() -> None:
    train, pairs = sample().plain_rows("train"), sample().plain_rows(HELD_OUT_PAIR)
    pictures = sample().pictures.pictures
    probe = StyleProbe.fit_palettes(pictures[train], sample().column(train, "family"))
    styles = sample().column(pairs, "family")
    for shown in (pictures[pairs], blurred(pictures[pairs])):
        # From 34 concepts; from all of the full data set, 88%.
        assert probe.is_right(palette(shown), styles).mean() > 0.5
