"""Claims: the CLIP vector steers the picture; guidance amplifies it, and too much is harmful."""

import numpy as np

from undiffuse import diffusion
from undiffuse.diffusion import Denoiser
from undiffuse.evaluation.statistics import Metric, mean_metric
from undiffuse.lab.charts import line_chart
from undiffuse.lab.claims import Check, ClaimResult, ReportFigure, group_means
from undiffuse.lab.experiment import Experiment, Samples, gain_metric
from undiffuse.lab.toy_data import EXAMPLES

SCALES = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0)  # 0: no condition
CLIPPING = 0.1  # pixels beyond [-1, 1] by more than this count as out of range


def measure_guidance(experiment: Experiment, denoiser: Denoiser) -> tuple[ClaimResult, ClaimResult]:
    """The same noise without a condition and at rising guidance scales."""
    drawn = {}
    for scale in SCALES:
        name = f"guidance {scale:g}" if scale else "no condition"
        guided = diffusion.classifier_free_guidance(denoiser, scale or 1.0)
        drawn[scale] = experiment.sample(name, guided, conditional=scale > 0)
    return _conditioning_result(experiment, drawn[0.0], drawn[1.0]), _guidance_result(drawn)


def _conditioning_result(experiment: Experiment, free: Samples, plain: Samples) -> ClaimResult:
    prompts = experiment.budget.prompts
    return ClaimResult(
        "steering", "The CLIP vector steers the picture",
        "Without a condition the result is a random picture. With the vector of a prompt it is "
        "what the prompt describes.",
        f"The first x0 network, {len(experiment.which)} pictures of {prompts} prompts, DDIM in 20 "
        "steps, no guidance, the same noise in both rows.",
        [free.accuracy, plain.accuracy, free.diversity, plain.diversity],
        [Check.inside(free.accuracy, 0.0, 0.1), Check.above(plain.accuracy, free.accuracy)],
        [ReportFigure(f"{len(EXAMPLES)} prompts; the first row has no condition.",
                      "Pictures without and with a condition",
                      [free.labeled_strip(), plain.labeled_strip("with the prompt")])],
    )  # fmt: skip


def _guidance_result(drawn: dict[float, Samples]) -> ClaimResult:
    accuracy = [(scale, d.accuracy) for scale, d in drawn.items()]
    diversity = [(scale, d.diversity) for scale, d in drawn.items()]
    clipped = [(scale, _out_of_range(d)) for scale, d in drawn.items()]
    gain, largest = gain_metric("guidance 2 over 1", drawn[2.0], drawn[1.0]), SCALES[-1]
    return ClaimResult(
        "guidance", "Guidance helps, and too much is harmful",
        "Guidance makes pictures match the prompt more often; too much of it spoils them.",
        "The same at each guidance scale. Out of range: a pixel more than "
        f"{CLIPPING:g} beyond black or white.",
        [*(metric for line in (accuracy, diversity, clipped) for _, metric in line), gain],
        [
            Check.above(gain, 0.0), Check.above(clipped[-1][1], clipped[1][1]),
            Check.above(drawn[1.0].accuracy, drawn[largest].accuracy),
        ],
        [
            ReportFigure(f"{len(EXAMPLES)} prompts.", "Pictures at rising guidance scales",
                         [d.labeled_strip() for scale, d in drawn.items() if scale]),
            ReportFigure("Benefit and cost of guidance; bands are 95% intervals.",
                         "Curves over the guidance scale",
                         svg=line_chart(
                             {"prompt accuracy": accuracy, "diversity relative to real": diversity,
                              "pixels out of range": clipped},
                             "guidance scale (0: no condition)", "share")),
        ],
        "Guidance helps a network that is uncertain. A network that is fully trained on pictures "
        "as simple as these is accurate without guidance, and guidance makes it worse.",
    )  # fmt: skip


def _out_of_range(drawn: Samples) -> Metric:
    beyond = (drawn.pixels.abs() > 1 + CLIPPING).float().mean((1, 2, 3)).numpy()
    means = group_means(np.asarray(beyond), drawn.which)
    return mean_metric(f"pixels out of range, {drawn.name}", means)
