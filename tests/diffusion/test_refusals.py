"""Every combination of sampler, target and schedule; and what is refused, in which words."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.diffusion import oracles
from tests.diffusion.helpers import ALL_SCHEDULES, LINEAR, curved_denoiser, mixture, paths_agree
from undiffuse.diffusion import (
    EPS_START,
    SAMPLERS,
    TARGETS,
    Denoiser,
    Schedule,
    Step,
    as_denoiser,
    blend,
    ddim,
    ddpm,
    dpmpp_2m,
    previous,
    shifted_times,
    uniform_times,
)
from undiffuse.errors import UserError

# --- every combination


def refusal_of(target: str, schedule: Schedule, times: tuple[float, ...]) -> str:
    if target == "eps" and schedule.alpha(times[0]) == 0.0:
        return "'eps' does not tell 'x0' there; start at 0.995"
    if target == "previous" and any(abs(20 * t - round(20 * t)) > 1e-3 for t in times):
        return "is not on the chain=20"
    return ""


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_every_combination_works_or_is_refused(target: str) -> None:
    grids = (
        uniform_times(20),
        uniform_times(10),
        uniform_times(20, start=EPS_START),
        shifted_times(20, 2.0),
    )
    fresh = oracles.normals(6, (8, 2))
    for schedule in ALL_SCHEDULES:
        ideal = mixture(schedule)
        network = oracles.network(target, schedule, ideal, chain=20)
        denoiser = as_denoiser(target, schedule, network, chain=20)
        for times in grids:
            options = {"schedule": schedule, "times": times, "fresh": fresh}
            refusal = refusal_of(target, schedule, times)
            for sampler in SAMPLERS.values():
                steps = sampler(denoiser, fresh(0), None, **options)
                if refusal:
                    with pytest.raises(UserError, match=refusal):
                        list(steps)
                else:
                    wanted = sampler(ideal, fresh(0), None, **options)
                    assert paths_agree(steps, wanted, atol=1e-7), (sampler, schedule.name, times)


def recorded(network: Denoiser) -> tuple[Denoiser, list[np.ndarray]]:
    """The network, and a list that grows by its output with each call."""
    outputs: list[np.ndarray] = []

    def recording(x_t: np.ndarray, t: float, cond: Any) -> np.ndarray:
        outputs.append(network(x_t, t, cond))
        return outputs[-1]

    return recording, outputs


def test_the_old_way_feeds_the_output_of_the_network_back() -> None:
    noise = oracles.normals(6, (8, 2))(0)
    for schedule in ALL_SCHEDULES:
        for chain in (20, 200):
            ideal = oracles.network("previous", schedule, mixture(schedule), chain=chain)
            network, outputs = recorded(ideal)
            denoiser = as_denoiser("previous", schedule, network, chain=chain)
            times = uniform_times(chain)
            for step in previous(denoiser, noise, None, schedule=schedule, times=times):
                np.testing.assert_allclose(step.x_t, outputs[-1], atol=1e-9)
            assert len(outputs) == chain


# --- what is refused


def one(sampler: Callable = blend, denoiser: Any = curved_denoiser, **changed: Any) -> list[Step]:
    options: dict[str, Any] = {
        "noise": np.ones((2, 3)),
        "cond": None,
        "schedule": LINEAR,
        "times": uniform_times(4),
        "fresh": lambda index: np.ones((2, 3)),
    }
    return list(sampler(denoiser, **(options | changed)))


def test_a_denoiser_that_returns_nan_is_named_with_its_level() -> None:
    for bad in (math.nan, math.inf, -math.inf):

        def broken(x_t: np.ndarray, t: float, cond: Any, bad: float = bad) -> np.ndarray:
            x0 = curved_denoiser(x_t, t, cond)
            x0[1, 2] = bad if t < 0.6 else 0.0
            return x0

        for sampler in SAMPLERS.values():
            with pytest.raises(UserError, match=r"denoiser returned NaN or infinity at t=0\.5"):
                one(sampler, broken)


BAD_ARGUMENTS: list[tuple[dict[str, Any], str]] = [
    ({"times": [1.0]}, r"times=\[1\.0\]"),
    ({"times": []}, r"times=\[\]"),
    ({"times": [1.0, 0.5, 0.5, 0.0]}, "two or more decreasing levels"),
    ({"times": [0.0, 1.0]}, "two or more decreasing levels"),
    ({"times": [1.5, 0.0]}, r"times=1\.5"),
    ({"times": [1.0, -0.1]}, r"times=-0\.1"),
    ({"times": [math.nan, 0.0]}, "times=nan"),
    ({"times": ["1", "0"]}, "times='1'"),
    ({"noise": np.ones(3)}, r"noise has shape \(3,\)"),
    ({"noise": np.ones((2, 3), int)}, "noise is int64"),
    ({"noise": [[1.0, 2.0]]}, "noise is list"),
    ({"cond": np.ones((3, 5))}, r"cond is of numpy with shape \(3, 5\).*\(2, D\)"),
    ({"cond": np.ones(5)}, r"cond is of numpy with shape \(5,\)"),
    ({"denoiser": lambda x, t, c: x[:1]}, r"x0 is of numpy with shape \(1, 3\).*\(2, 3\)"),
    ({"denoiser": lambda x, t, c: None}, "the denoiser's x0 is NoneType"),
]


def test_every_sampler_names_a_bad_argument_in_one_line() -> None:
    for sampler in SAMPLERS.values():
        for changed, message in BAD_ARGUMENTS:
            with pytest.raises(UserError, match=message) as caught:
                one(sampler, **changed)
            assert "\n" not in str(caught.value)


def test_options_out_of_range_are_refused_at_once() -> None:
    common = (curved_denoiser, np.ones((2, 3)), None)
    with pytest.raises(UserError, match=r"freshness=1\.1"):
        blend(*common, schedule=LINEAR, times=uniform_times(4), freshness=1.1)
    with pytest.raises(UserError, match="eta=-1"):
        ddim(*common, schedule=LINEAR, times=uniform_times(4), eta=-1)
    with pytest.raises(UserError, match="warmup=0"):
        one(dpmpp_2m, warmup=0)


def test_missing_or_misshapen_fresh_noise_is_refused() -> None:
    for sampler in (blend, ddpm):
        with pytest.raises(UserError, match="fresh=None"):
            one(sampler, fresh=None)
        with pytest.raises(UserError, match=r"fresh noise is of numpy with shape \(1, 3\)"):
            one(sampler, fresh=lambda index: np.ones((1, 3)))


def test_arrays_of_two_kinds_are_refused() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(UserError, match=r"cond is of torch.*give one of numpy"):
        one(cond=torch.ones(2, 5))
    with pytest.raises(UserError, match="the denoiser's x0 is of torch"):
        one(denoiser=lambda x, t, c: torch.from_numpy(x))
    with pytest.raises(UserError, match="fresh noise is of torch"):
        one(fresh=lambda index: torch.ones(2, 3))
