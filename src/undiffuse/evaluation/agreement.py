"""How alike the drawings of two models are, as of one in float16 and in int8."""

from collections.abc import Callable, Sequence
from time import perf_counter

import numpy as np

from undiffuse.evaluation.protocols import ImageGenerator, Pictures
from undiffuse.evaluation.statistics import Metric, mean_metric

MAX_DECIBELS = 100.0  # of equal pictures
LOADS = 5
PEAK = 255.0


def draw_both(
    generators: Sequence[ImageGenerator], prompts: Sequence[str], styles: Sequence[str], seed: int
) -> list[Pictures]:
    """Drawings of the same prompts by each generator."""
    return [generator(prompts, styles, seed) for generator in generators]


def peak_signal_to_noise(one: Pictures, other: Pictures, seed: int = 0) -> Metric:
    """The mean over pictures of 10 log10(255^2 / mean squared error), in dB."""
    error = np.square(one.astype(np.float64) - other).mean((1, 2, 3))
    decibels = 10 * np.log10(PEAK**2 / np.maximum(error, PEAK**2 / 10 ** (MAX_DECIBELS / 10)))
    return mean_metric("PSNR of the drawings", decibels, seed, unit="dB")


def loading_times(name: str, load: Callable[[], object]) -> Metric:
    """The seconds that loading takes, after one load that is not counted."""
    load()
    seconds = []
    for _ in range(LOADS):
        start = perf_counter()
        load()
        seconds.append(perf_counter() - start)
    return mean_metric(f"loading the {name}", seconds, unit="seconds")
