import numpy as np
import pytest

from tests.evaluation.fakes import blurred, disc, sample, unit
from undiffuse.evaluation.dataset import CELL
from undiffuse.evaluation.style_probe import LEVELS, FamilyProbe, palette, softened


def test_the_family_probe_finds_a_direction_beneath_louder_ones() -> None:
    rng = np.random.default_rng(0)
    names, families = rng.standard_normal((30, 64)), rng.standard_normal((3, 64)) * 0.4
    rows = [(n, f) for n in range(30) for f in range(3)]
    vectors = unit(np.stack([names[n] + families[f] for n, f in rows]))
    labels = [f"family {f}" for _, f in rows]
    train = np.array([n < 25 for n, _ in rows])
    probe = FamilyProbe.fit(vectors[train], [x for x, t in zip(labels, train, strict=True) if t])
    held_out = [x for x, t in zip(labels, train, strict=True) if not t]
    assert probe.right(vectors[~train], held_out).all()
    assert probe.families == ("family 0", "family 1", "family 2")


def test_the_family_probe_weighs_families_alike() -> None:
    rng = np.random.default_rng(0)
    many, few = rng.standard_normal((500, 8)), rng.standard_normal((20, 8))
    few[:, 0] += 2.0
    vectors = unit(np.concatenate([many, few]))
    probe = FamilyProbe.fit(vectors, ["many"] * 500 + ["few"] * 20)
    assert probe.right(vectors[500:], ["few"] * 20).mean() > 0.8


def test_a_palette_is_a_unit_vector_that_knows_no_places() -> None:
    pictures = sample().pictures.pictures[:5]
    found = palette(pictures)
    assert np.allclose(np.linalg.norm(found, axis=1), 1.0, atol=1e-5)
    assert np.allclose(found, palette(np.ascontiguousarray(pictures[..., ::-1])), atol=1e-6)


def test_a_pixel_is_shared_out_among_its_neighbours() -> None:
    grey = disc((0, 0, 0), 0.0)
    grey[:] = np.array([255, 0, 16], np.uint8)[:, None, None]  # 16 is 0.502 of a level
    shares = np.square(palette(grey)[0]).reshape(LEVELS, LEVELS, LEVELS)
    assert shares[-1, 0, 1] == pytest.approx(16 * 8 / 255, abs=1e-5)
    assert shares[-1, 0, 0] + shares[-1, 0, 1] == pytest.approx(1.0, abs=1e-5)


def test_a_shade_off_moves_a_palette_little() -> None:
    pictures = sample().pictures.pictures[:40]
    moved = (palette(pictures) * palette(np.maximum(pictures, 3) - 3)).sum(1)
    assert moved.min() > 0.8
    assert moved.mean() > 0.9


def test_softened_pictures_are_the_same_each_time_and_near() -> None:
    pictures = sample().pictures.pictures[:300]
    soft = softened(pictures)
    assert (soft == softened(pictures)).all()
    assert 1 < np.abs(soft.astype(int) - pictures).mean() < 10
    assert (softened(pictures[:260])[:256] == soft[:256]).all()


def test_families_of_held_out_cells_are_told_by_their_palettes() -> None:
    train, cells = sample().plain_rows("train"), sample().plain_rows(CELL)
    pictures = sample().pictures.pictures
    probe = FamilyProbe.of_palettes(pictures[train], sample().field(train, "family"))
    families = sample().field(cells, "family")
    for shown in (pictures[cells], blurred(pictures[cells])):
        # 34 concepts to learn from; of the whole set's, 88%.
        assert probe.right(palette(shown), families).mean() > 0.5
