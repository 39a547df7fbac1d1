"""The forward process: noise is added until nothing is left. What still sees the picture?"""

import numpy as np
import torch

from undiffuse import diffusion
from undiffuse.evaluation.statistics import Figure, mean_figure
from undiffuse.lab.claims import Exhibit, Finding, above, inside, row_of, share_figure
from undiffuse.lab.contrastive import Eyes
from undiffuse.lab.experiment import Bench
from undiffuse.lab.svg import curves
from undiffuse.lab.toy_data import fold, unfold

LEVELS = tuple(k / 10 for k in range(11))
Curve = list[tuple[float, Figure]]
EXAMPLES = (9, 36, 62)  # rows of the held-out pictures


def forward_process(bench: Bench, eyes: Eyes) -> Finding:
    """Noise at rising levels, shown to CLIP."""
    held, schedule = bench.held_out, diffusion.linear_schedule()
    count = min(len(held.which), 512)
    x0, which = fold(held.pixels[:count]), held.which[:count]
    noise = torch.from_numpy(diffusion.batch_noise(bench.seed, range(count), 0, x0.shape[1:]))
    clip, cosine, left = Curve(), Curve(), Curve()
    strips: list[list[torch.Tensor]] = [[] for _ in EXAMPLES]
    own = bench.vectors[torch.from_numpy(which)]
    for t in LEVELS:
        x_t = diffusion.add_noise(schedule, x0, noise, t)
        pixels = unfold(x_t)
        vectors = eyes.see(pixels)
        nearest = (vectors @ bench.vectors.T).argmax(1).numpy()
        name = f"at {t:.0%} noise"
        hits = nearest == which
        alike, same = (vectors * own).sum(1).numpy(), _correlation(x_t, x0)
        clip.append((t, share_figure(f"CLIP names it, {name}", hits, which)))
        cosine.append((t, mean_figure(f"cosine to own prompt, {name}", alike, unit="cosine")))
        name = f"correlation with the picture, {name}"
        left.append((t, mean_figure(name, same, unit="correlation")))
        for strip, row in zip(strips, EXAMPLES, strict=True):
            strip.append(pixels[row])
    (_, clean), (_, last) = clip[0], clip[-1]
    terminal_alpha = ", ".join(
        f"{s.name} {s.terminal_alpha():.1%}" for s in diffusion.SCHEDULES.values()
    )
    return Finding(
        "forward", "Noise is added until nothing is left",
        "The share of picture falls step by step to nothing; CLIP sees it for a while, and at the "
        "end it can't tell what was there better than by chance.",
        f"{count} held-out pictures, mixed with noise on the linear schedule: share of picture "
        "1 - t, share of noise t. Shown to the lab's CLIP, which never saw noise in training.",
        [f for line in (clip, cosine, left) for _, f in line],
        [inside(left[-1][1], -0.02, 0.02), inside(last, 0.0, 0.06), above(clean, last)],
        [
            Exhibit("From left to right 0, 10, ... 100% noise.", "A picture that sinks into noise",
                    [("", row_of(torch.stack(strip))) for strip in strips]),
            Exhibit(
                "What is still seen. Chance is 1 in 64. The bands are 95% intervals.",
                "Curves falling from left to right",
                svg=curves({"CLIP names it": clip, "CLIP's cosine to its prompt": cosine,
                            "pixels: correlation": left}, "noise t", "share, cosine, correlation"),
            ),
        ],
        note=f"alpha(1): {terminal_alpha}. The DDPM schedule does not end in pure noise.",
    )  # fmt: skip


def _correlation(a: torch.Tensor, b: torch.Tensor) -> np.ndarray:
    """`(B,)`: of the pixels of each pair of pictures."""
    a, b = (x.flatten(1) - x.flatten(1).mean(1, keepdim=True) for x in (a, b))
    cosine = torch.nn.functional.cosine_similarity(a, b, dim=1)
    return cosine.numpy()
