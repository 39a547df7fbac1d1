import numpy as np

from tests.evaluation.fakes import unit
from undiffuse.evaluation.retrieval import FamilyProbe, found, ranks


def test_ranks_count_the_wrong_ones_that_are_nearer() -> None:
    targets = np.eye(4, dtype=np.float32)
    vectors = unit(np.array([[4, 3, 2, 1], [4, 3, 2, 1], [4, 3, 2, 1.0]]))
    assert ranks(vectors, targets, [(0,), (2,), (3, 1)]).tolist() == [0, 2, 1]
    assert found(vectors, targets, [(0,), (2,), (3,)], 2).tolist() == [True, False, False]


def test_other_right_answers_do_not_count_against_the_best_one() -> None:
    targets = np.eye(3, dtype=np.float32)
    vector = unit(np.array([[3, 2, 1.0]]))
    assert ranks(vector, targets, [(0, 1)]).tolist() == [0]
    assert ranks(vector, targets, [(1, 2)]).tolist() == [1]


def test_ties_count_against_whoever_says_one_thing_of_all() -> None:
    same = np.tile(unit(np.ones((1, 8))), (5, 1))
    assert ranks(same[:2], same, [(0,), (4,)]).tolist() == [4, 4]


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
