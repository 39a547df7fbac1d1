"""Steering: without a condition anything comes; with the vector what was asked; and too much."""

import numpy as np

from undiffuse import diffusion
from undiffuse.evaluation.statistics import Figure, mean_figure
from undiffuse.lab.claims import Exhibit, Finding, above, by_group, inside
from undiffuse.lab.experiment import SHOWN, Bench, Drawings, Network, gain_figure
from undiffuse.lab.svg import curves

SCALES = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0)  # 0 is unsteered
BEYOND = 0.1  # outside [-1, 1], where a pixel can't be shown


def steering(bench: Bench, network: Network) -> tuple[Finding, Finding]:
    """The same noise with and without a prompt, and at rising guidance: two claims."""
    drawn = {}
    for scale in SCALES:
        name = f"guidance {scale:g}" if scale else "unsteered"
        denoiser = diffusion.classifier_free_guidance(network.denoiser, scale or 1.0)
        drawn[scale] = bench.draw(name, denoiser, steered=scale > 0)
    return _steered(bench, drawn), _guided(bench, drawn)


def _steered(bench: Bench, drawn: dict[float, Drawings]) -> Finding:
    free, plain = drawn[0.0], drawn[1.0]
    return Finding(
        "steering", "With the vector, pictures are steered",
        "Without a condition what comes is unpredictable; with the prompt's vector it is what was "
        "asked for.",
        f"The first step-0 network, {len(bench.asked)} drawings of {bench.budget.prompts} prompts, "
        "DDIM in 20 steps, no guidance, the same noise in both rows.",
        [free.agreement, plain.agreement, free.spread, plain.spread],
        [inside(free.agreement, 0.0, 0.1), above(plain.agreement, free.agreement)],
        [Exhibit(f"{SHOWN} prompts; in the first row the network is told none of them.",
                 "Drawings without and with a condition",
                 [free.row(), plain.row("with its prompt")])],
    )  # fmt: skip


def _guided(bench: Bench, drawn: dict[float, Drawings]) -> Finding:
    right = [(scale, d.agreement) for scale, d in drawn.items()]
    wide = [(scale, d.spread) for scale, d in drawn.items()]
    burnt = [(scale, _out_of_range(d)) for scale, d in drawn.items()]
    gain, most = gain_figure("guidance 2 over 1", drawn[2.0], drawn[1.0]), SCALES[-1]
    return Finding(
        "guidance", "Guidance: more of what was asked, and too much of it",
        "Guidance makes drawings agree with the prompt more often; too much of it spoils them.",
        "As before, at each scale. Out of range: further than "
        f"{BEYOND:g} beyond black or white.",
        [*(figure for line in (right, wide, burnt) for _, figure in line), gain],
        [
            above(gain, 0.0), above(burnt[-1][1], burnt[1][1]),
            above(drawn[1.0].agreement, drawn[most].agreement),
        ],
        [
            Exhibit(f"{SHOWN} prompts.", "Drawings at rising guidance",
                    [d.row() for scale, d in drawn.items() if scale]),
            Exhibit("What guidance gives and what it costs; bands are 95% intervals.",
                    "Curves over guidance",
                    svg=curves({"agreement": right, "spread against real": wide,
                                "pixels out of range": burnt}, "guidance (0: unsteered)", "share")),
        ],
        "Guidance pays where a network by itself is unsure. One that is trained to the end on "
        "so simple pictures is right without, and loses by it.",
    )  # fmt: skip


def _out_of_range(drawn: Drawings) -> Figure:
    beyond = (drawn.pixels.abs() > 1 + BEYOND).float().mean((1, 2, 3)).numpy()
    return mean_figure(
        f"pixels out of range, {drawn.name}", by_group(np.asarray(beyond), drawn.which)
    )
