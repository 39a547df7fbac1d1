"""Predicting step N-1 beside predicting step 0: same network, same budget, same data."""

import numpy as np

from undiffuse.evaluation.kid import kid_figure
from undiffuse.evaluation.sharpness import edge_sharpness
from undiffuse.evaluation.statistics import Figure, mean_figure
from undiffuse.lab.claims import Check, Exhibit, Finding, above, row_of
from undiffuse.lab.contrastive import Eyes
from undiffuse.lab.experiment import SHOWN, Bench, Drawings, Network
from undiffuse.lab.toy_data import to_bytes
from undiffuse.training.denoiser import CHAIN

WAYS = {
    "step N-1": ("previous", "previous"),
    "step N-1, DDPM's noise put back": ("previous", "ddpm"),
    "step 0": ("x0", "ddim"),
    "step 0, fresh noise (the blend)": ("x0", "blend"),
}  # name -> (what the network predicts, how it draws)


def old_and_new(bench: Bench, eyes: Eyes) -> tuple[Finding, Network]:
    """Train both, draw with both; also gives the first network that predicts step 0."""
    figures, checks, exhibits, first = list[Figure](), list[Check](), list[Exhibit](), None
    for seed in range(bench.budget.seeds):
        networks = {target: bench.denoiser(target, seed) for target in ("previous", "x0")}
        first = first or networks["x0"]
        rows, far = [], {}
        for way, (target, sampler) in WAYS.items():
            name = f"{way}, seed {bench.seed + seed}"
            drawn = bench.draw(name, networks[target].denoiser, sampler, CHAIN)
            far[way] = drawn, _distance(bench, eyes, drawn)
            figures += [drawn.agreement, drawn.spread, far[way][1], _sharpness(bench, drawn)]
            rows.append(drawn.row(way))
        (old, old_far), (new, new_far) = far["step N-1"], far["step 0"]
        checks += [above(new.agreement, old.agreement), above(old_far, new_far)]
        checks += [above(new.spread, old.spread)]
        caption = f"{SHOWN} prompts, the same noise in every row, seed {bench.seed + seed}."
        exhibits.append(Exhibit(caption, "Drawings", [*rows, ("real", _real_row(bench))]))
    assert first is not None
    return _finding(bench, figures, checks, exhibits), first


def _finding(
    bench: Bench, figures: list[Figure], checks: list[Check], exhibits: list[Exhibit]
) -> Finding:
    budget = bench.budget
    return Finding(
        "targets", "Step N-1 or step 0",
        "A network that predicts the picture one step less noisy draws poorly; the same network, "
        "with the same budget and the same data, draws well if it predicts the finished picture.",
        f"The same transformer of width {budget.width} and depth {budget.depth}, the whole picture "
        f"one token, {budget.train_steps} steps of {budget.batch} from {budget.pictures} pictures, "
        f"{budget.seeds} of each kind; {len(bench.asked)} drawings of {budget.prompts} prompts in "
        f"{CHAIN} steps, no guidance. Agreement: a program finds one thing of the right colour and "
        "shape. Spread: variance among drawings of one prompt, against that among real pictures. "
        "Distance: KID on the lab's CLIP, against held-out pictures.",
        figures, checks, exhibits,
        "Second row: the same old network with DDPM's noise put back after each step. If it does "
        "better, part of what the naive way lacks is that noise, and not the target.",
    )  # fmt: skip


def _distance(bench: Bench, eyes: Eyes, drawn: Drawings) -> Figure:
    held = bench.held_out.pixels
    sets = (drawn.pixels.clamp(-1, 1), held, bench.pictures.pixels[: len(held)])
    made, reference, real = (eyes.see(pixels).numpy() for pixels in sets)
    return kid_figure(f"distance from real, {drawn.name}", made, reference, real)


def _sharpness(bench: Bench, drawn: Drawings) -> Figure:
    sharp, real = (edge_sharpness(to_bytes(x)) for x in (drawn.pixels, bench.held_out.pixels))
    name = f"sharpness of edges, {drawn.name}"
    return mean_figure(name, sharp, unit="1/pixel", real=float(real.mean()))


def _real_row(bench: Bench) -> bytes:
    asked = bench.asked[:: bench.budget.each][:SHOWN]
    rows = [int(np.flatnonzero(bench.held_out.which == k)[0]) for k in asked]
    return row_of(bench.held_out.pixels[rows])
