from collections.abc import Sequence
from functools import cache

import pytest

from tests.evaluation.fakes import (
    ConstantEncoder,
    KnowingEncoder,
    RealImageGenerator,
    blank,
    blurred,
    sample,
)
from undiffuse.errors import UserError
from undiffuse.evaluation.dataset import EvaluationData
from undiffuse.evaluation.judge import Judge
from undiffuse.evaluation.model_metrics import (
    PAIRS,
    copy_sheet,
    evaluate_codec,
    evaluate_copies,
    evaluate_pairs,
    evaluate_samples,
    generate_samples,
)
from undiffuse.evaluation.protocols import ImageGenerator, Pictures
from undiffuse.evaluation.statistics import Metric

pytestmark = pytest.mark.slow

TOP1, TOP5 = (f"top-{k} accuracy (R-precision@{k})" for k in (1, 5))


@cache
def knowing() -> Judge:
    return Judge(KnowingEncoder(sample()), sample())


def evaluate(generator: ImageGenerator, judge: Judge | None = None) -> dict[str, Metric]:
    judge = judge or knowing()
    samples = generate_samples(judge, generator, count=10)
    return {metric.name: metric for metric in evaluate_samples(judge, samples, lambda p: p)}


@pytest.fixture(scope="module")
def perfect() -> dict[str, Metric]:
    return evaluate(RealImageGenerator(sample()))


def test_real_pictures_score_as_real(perfect: dict[str, Metric]) -> None:
    for name in (
        TOP1,
        TOP5,
        f"{TOP5}, as a share of real",
        f"{PAIRS}: top-5 accuracy and style, as a share of real",
        "sharpness of edges, as a share of real",
        "variance of the Laplacian, as a share of real",
        "white background within 4/255 of white",
    ):
        assert perfect[name].value == pytest.approx(1.0), name
        assert perfect[name].passed is not False, name
    assert perfect[TOP5].count == 10
    for name in (f"{PAIRS}: top-5 accuracy and style", f"{PAIRS}: style accuracy"):
        assert perfect[name].value == perfect[name].real
    assert perfect[f"{PAIRS}: style accuracy by the judge's vectors"].value == 1.0
    assert perfect["KID"].value == perfect["KID"].real


def test_the_metrics_have_their_targets(perfect: dict[str, Metric]) -> None:
    targets = {
        name: (metric.at_least, metric.at_most)
        for name, metric in perfect.items()
        if metric.passed is not None
    }
    assert targets == {
        f"{TOP5}, as a share of real": (0.85, None),
        f"{TOP5}, real held-out pictures": (0.70, None),
        f"{PAIRS}: top-5 accuracy and style, as a share of real": (0.60, None),
        "requested color, known pairs": (0.80, None),
        "requested color, pairs in no caption": (0.60, None),
        "sharpness of edges, as a share of real": (0.75, 1.25),
        "variance of the Laplacian, as a share of real": (0.75, 1.25),
        "white background within 4/255 of white": (0.95, None),
    }


def test_blank_pictures_reach_no_target() -> None:
    metrics = evaluate(lambda prompts, styles, seed: blank(len(prompts), 128))
    reached = [name for name, metric in metrics.items() if metric.passed]
    assert reached == [f"{TOP5}, real held-out pictures"]  # which measures the judge
    assert metrics["requested color, known pairs, hue only"].value == 0.0


def test_a_constant_judge_recognizes_nothing() -> None:
    metrics = evaluate(RealImageGenerator(sample()), Judge(ConstantEncoder(), sample()))
    assert metrics[TOP5].value == 0.0
    assert metrics[f"{TOP5}, as a share of real"].passed is False


def test_blur_lowers_the_sharpness() -> None:
    real = RealImageGenerator(sample())
    metrics = evaluate(lambda *request: blurred(real(*request), 2))
    assert metrics["sharpness of edges, as a share of real"].value < 0.75
    assert metrics["variance of the Laplacian, as a share of real"].value < 0.5


def test_the_sharpness_of_the_codec_is_that_of_its_reconstructions() -> None:
    samples = generate_samples(knowing(), RealImageGenerator(sample()), count=10)
    assert evaluate_codec(samples, lambda pictures: pictures, 0).value == pytest.approx(1.0)
    assert evaluate_codec(samples, lambda pictures: blurred(pictures, 2), 0).value < 0.75


def test_each_drawing_of_a_color_has_its_own_seed() -> None:
    calls: list[tuple[int, str]] = []

    def generator(prompts: Sequence[str], styles: Sequence[str], seed: int) -> Pictures:
        calls.append((seed, styles[0]))
        return blank(len(prompts))

    samples = generate_samples(knowing(), generator, count=10, seed=7)
    assert [seed for seed, _ in calls] == [7, 7, 7, 8, 9, 10]
    assert samples.colored is not None
    assert len(samples.colored.pictures) == 4 * len(samples.color_prompts)
    assert calls[0][1] == ""
    assert calls[1][1] == samples.styles[0]


def test_copies_of_names_are_found_and_shown() -> None:
    data = sample()
    trained = data.plain_rows("train")
    by_name = dict(zip(data.column(trained, "name"), trained, strict=True))
    real = RealImageGenerator(data)

    def copier(prompts: Sequence[str], styles: Sequence[str], seed: int) -> Pictures:
        if any(styles):
            return real(prompts, styles, seed)
        rows = [by_name.get(prompt, trained[0]) for prompt in prompts]
        return data.pictures.pictures[rows]

    samples = generate_samples(knowing(), copier, count=10)
    metrics = {metric.name: metric for metric in evaluate_copies(knowing(), samples, 0)}
    assert metrics["near-copies, names"].value == 1.0
    assert metrics["near-copies, held-out pairs"].value < 0.3
    assert copy_sheet(knowing(), samples).shape[2] == 3


def test_a_data_set_without_held_out_pairs_is_refused() -> None:
    rows = sample().plain_rows("train")
    only = EvaluationData(sample().pictures.subset(rows))
    with pytest.raises(UserError, match="no held-out"):
        generate_samples(Judge(KnowingEncoder(only), only), RealImageGenerator(only))


def test_the_held_out_pairs_are_reproducible_and_one_per_name() -> None:
    pairs = sample().held_out_pairs(10)
    assert (pairs == sample().held_out_pairs(100)[:10]).all()
    names = sample().column(pairs, "name")
    assert len(set(names)) == 10
    assert {r["split"] for r in (sample().pictures.records[row] for row in pairs)} == {
        "held-out cell"
    }


def test_what_was_fine_tuned_on_is_not_held_out(perfect: dict[str, Metric]) -> None:
    data = sample()
    pairs = [data.pictures.records[row] for row in data.held_out_pairs(10)]
    tuned = [{**record, "split": "train"} for record in pairs[:4]]
    marked = data.also_trained_on([*tuned, {**pairs[5], "split": "validation"}])
    found = evaluate(RealImageGenerator(data), Judge(KnowingEncoder(data), marked))
    assert found[TOP5].count == 10
    assert found[f"{PAIRS}: style accuracy"].count == 6
    # The real pictures that it draws are training pictures now.
    copies = "near-copies, held-out pairs"
    assert found[copies].value >= perfect[copies].value + 0.3
    every = data.also_trained_on([{**record, "split": "train"} for record in pairs])
    samples = generate_samples(Judge(KnowingEncoder(data), every), RealImageGenerator(data), 10)
    assert not list(evaluate_pairs(Judge(KnowingEncoder(data), every), samples, 0))


def test_what_the_fine_tuning_holds_out_calibrates_copies() -> None:
    data = sample()
    trained = [data.pictures.records[row] for row in data.plain_rows("train")]
    kept = [{**record, "split": "held-out cell"} for record in trained[::3]]
    marked = data.also_trained_on(kept)
    judge = Judge(KnowingEncoder(data), marked)
    known = {(record["family"], record["name"]) for record in kept}
    found = [marked.pictures.records[row] for row in marked.new_rows]
    assert {(record["family"], record["name"]) for record in found} == known
    assert not set(marked.new_rows) & set(judge.training_rows)
    assert (marked.held_out_pairs(100) == data.held_out_pairs(100)).all()
    evaluate(RealImageGenerator(data), judge)
