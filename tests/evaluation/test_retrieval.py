import numpy as np

from tests.evaluation.fakes import unit
from undiffuse.evaluation.retrieval import ranks


def test_the_rank_counts_wrong_targets_that_are_nearer() -> None:
    targets = np.eye(4, dtype=np.float32)
    vectors = unit(np.array([[4, 3, 2, 1], [4, 3, 2, 1], [4, 3, 2, 1.0]]))
    assert ranks(vectors, targets, [(0,), (2,), (3, 1)]).tolist() == [0, 2, 1]


def test_other_right_targets_do_not_count() -> None:
    targets = np.eye(3, dtype=np.float32)
    vector = unit(np.array([[3, 2, 1.0]]))
    assert ranks(vector, targets, [(0, 1)]).tolist() == [0]
    assert ranks(vector, targets, [(1, 2)]).tolist() == [1]


def test_ties_count_as_misses() -> None:
    same = np.tile(unit(np.ones((1, 8))), (5, 1))
    assert ranks(same[:2], same, [(0,), (4,)]).tolist() == [4, 4]
