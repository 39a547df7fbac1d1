"""Claim: a network that predicts x0 draws better than one that predicts the previous step."""

import numpy as np

from undiffuse.diffusion import Denoiser
from undiffuse.evaluation.image_quality import edge_sharpness
from undiffuse.evaluation.kid import kid_metric
from undiffuse.evaluation.statistics import Metric, mean_metric
from undiffuse.lab.charts import image_strip
from undiffuse.lab.claims import Check, ClaimResult, ReportFigure
from undiffuse.lab.contrastive import ToyClip
from undiffuse.lab.experiment import Experiment, Samples
from undiffuse.lab.toy_data import EXAMPLES, to_bytes
from undiffuse.training.denoiser import CHAIN

METHODS = {
    "step N-1": ("previous", "previous"),
    "step N-1 with DDPM's noise": ("previous", "ddpm"),
    "step 0": ("x0", "ddim"),
    "step 0 with fresh noise (blend)": ("x0", "blend"),
}  # name -> (prediction target, sampler)


def compare_targets(experiment: Experiment, clip: ToyClip) -> tuple[ClaimResult, Denoiser]:
    """Train networks for both targets and sample; also returns the first denoiser for x0."""
    metrics, checks, images = list[Metric](), list[Check](), list[ReportFigure]()
    first = []
    for seed in range(experiment.budget.seeds):
        denoisers = {t: experiment.train_denoiser(t, seed) for t in ("previous", "x0")}
        first.append(denoisers["x0"])
        strips, measured = [], {}
        for method, (target, sampler) in METHODS.items():
            name = f"{method}, seed {experiment.seed + seed}"
            drawn = experiment.sample(name, denoisers[target], CHAIN, sampler=sampler)
            kid = _kid(experiment, clip, drawn)
            measured[method] = drawn, kid
            metrics += [drawn.accuracy, drawn.diversity, kid, _sharpness(experiment, drawn)]
            strips.append(drawn.labeled_strip(method))
        (previous, previous_kid), (x0, x0_kid) = measured["step N-1"], measured["step 0"]
        checks += [Check.above(x0.accuracy, previous.accuracy), Check.above(previous_kid, x0_kid),
                   Check.above(x0.diversity, previous.diversity)]  # fmt: skip
        strips.append(("real", _real_strip(experiment)))
        caption = f"{len(EXAMPLES)} prompts, the same noise, seed {experiment.seed + seed}."
        images.append(ReportFigure(caption, "Drawn pictures", strips))
    return _result(experiment, metrics, checks, images), first[0]


def _result(
    experiment: Experiment, metrics: list[Metric], checks: list[Check], images: list[ReportFigure]
) -> ClaimResult:
    budget = experiment.budget
    return ClaimResult(
        "targets", "Predicting step N-1 or step 0",
        "A network that predicts the picture one step less noisy draws poorly. The same network, "
        "with the same budget and data, draws well if it predicts the finished picture.",
        f"The same transformer of width {budget.width} and depth {budget.depth}, the whole picture "
        f"as one token, {budget.train_steps} steps of {budget.batch} from {budget.pictures} "
        f"pictures, {budget.seeds} of each kind; {len(experiment.which)} pictures of "
        f"{budget.prompts} prompts in {CHAIN} steps, no guidance. Prompt accuracy: a program finds "
        "one object of the correct color and shape. Diversity: variance among the pictures of a "
        "prompt, relative to real pictures. KID: on the toy CLIP, against held-out pictures.",
        metrics, checks, images,
        "The second row is the same network with DDPM's noise added after each step. If it is "
        "better, a part of the naive method's deficit is the missing noise, and not the target.",
    )  # fmt: skip


def _kid(experiment: Experiment, clip: ToyClip, drawn: Samples) -> Metric:
    held_out = experiment.held_out.pixels
    sets = drawn.pixels.clamp(-1, 1), held_out, experiment.pictures.pixels[: len(held_out)]
    fake, reference, real = (clip.encode_image(pixels).numpy() for pixels in sets)
    return kid_metric(f"KID, {drawn.name}", fake, reference, real)


def _sharpness(experiment: Experiment, drawn: Samples) -> Metric:
    found, real = (edge_sharpness(to_bytes(x)) for x in (drawn.pixels, experiment.held_out.pixels))
    name = f"sharpness of edges, {drawn.name}"
    return mean_metric(name, found, unit="1/pixel", real=float(real.mean()))


def _real_strip(experiment: Experiment) -> bytes:
    which = experiment.which[:: experiment.budget.each][: len(EXAMPLES)]
    rows = [int(np.flatnonzero(experiment.held_out.which == k)[0]) for k in which]
    return image_strip(experiment.held_out.pixels[rows])
