"""Warnings during training, and model FLOPs utilization."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn

from tests.training import tiny
from undiffuse.config import STAGE_PRESETS
from undiffuse.diffusion import SCHEDULES
from undiffuse.networks.denoiser import DenoiserNetwork
from undiffuse.training.diagnostics import MIN_STEPS, REPEAT_STEPS, Diagnostics
from undiffuse.training.loop import StepRecord
from undiffuse.training.throughput import forward_flops, model_flops_utilization, peak_flops

CHANCE = {"match": math.log(128)}


def warnings(
    loss: Callable[[int], float],
    gradient: Callable[[int], float] = lambda step: 1.0,
    steps: int = 400,
    **more: float,
) -> list[str]:
    diagnostics = Diagnostics(CHANCE)
    lines = []
    for step in range(1, steps + 1):
        losses = {"loss": loss(step), "match": loss(step), **more}
        lines += diagnostics.update(StepRecord(step, losses, gradient(step), 1.0, 100.0, False))
    return lines


def test_a_run_that_learns_gives_no_warning() -> None:
    assert warnings(lambda step: 5.2 * 0.99**step, lambda step: 1.0 + 0.5 * math.sin(step)) == []


def test_a_loss_at_chance_is_reported_repeatedly() -> None:
    """open_clip's issue 17: 4.85 is ln(128)."""
    lines = warnings(lambda step: 4.85, steps=MIN_STEPS + 2 * REPEAT_STEPS)
    assert len(lines) == 2
    assert lines[0] == (
        f"step {MIN_STEPS + 1}: match is 4.850, and 4.852 is chance: "
        "the model has learned nothing so far"
    )


def test_chance_is_not_reported_in_the_first_steps() -> None:
    assert warnings(lambda step: 4.85, steps=MIN_STEPS) == []
    assert warnings(lambda step: 4.85 if step < 20 else 4.0, steps=400) == []


def test_a_fall_back_to_chance_is_reported() -> None:
    lines = warnings(lambda step: 2.0 if step < 300 else 4.86, steps=800)
    assert len(lines) == 1
    assert "match is" in lines[0]


def test_a_jump_of_the_gradient_is_reported() -> None:
    lines = warnings(lambda step: 1.0, lambda step: 30.0 if step == 200 else 1.0)
    assert lines == ["step 200: the gradient norm jumped from 1 to 30"]
    assert warnings(lambda step: 1.0, lambda step: 3.0 if step == 200 else 1.0) == []
    assert warnings(lambda step: 1.0, lambda step: 30.0 if step == 20 else 1.0) == []


def test_a_growing_gradient_is_reported() -> None:
    lines = warnings(lambda step: 1.0, lambda step: 1.03 ** max(0, step - 150))
    assert len(lines) == 1
    assert "the gradient norm grew from 1 to" in lines[0]


def test_a_logit_scale_at_its_maximum_is_reported() -> None:
    lines = warnings(lambda step: 1.0, scale=100.0)
    assert lines == [f"step {MIN_STEPS + 1}: the logit scale is at its maximum of 100"]
    assert warnings(lambda step: 1.0, scale=60.0) == []


def test_a_skipped_step_is_reported_and_not_averaged() -> None:
    diagnostics = Diagnostics()
    lines = diagnostics.update(StepRecord(7, {"loss": math.nan}, math.nan, 1.0, 9.0, True))
    assert lines == ["step 7: loss or gradient is not finite; the step is skipped"]
    diagnostics.update(StepRecord(8, {"loss": 2.0}, 1.0, 1.0, 9.0, False))
    assert diagnostics.means == {"loss": 2.0}
    assert diagnostics.grad_norm == 1.0


def test_only_the_ddpm_schedule_does_not_end_in_pure_noise() -> None:
    """`undiffuse train denoiser` reports this before it starts."""
    left = {name: schedule.terminal_alpha() for name, schedule in SCHEDULES.items()}
    assert left["linear"] == 0
    assert left["ddpm"] == pytest.approx(0.006, abs=0.001)


def test_flops_of_a_linear_layer_and_a_convolution_are_counted() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Flatten(), nn.Linear(8 * 64, 5))
    expected = 2 * (3 * 8 * 9 * 64) + 2 * 8 * 64 * 5
    for batch in (1, 4):
        assert forward_flops(network, torch.zeros(batch, 3, 8, 8)) == expected


def test_flops_of_the_denoiser_are_mostly_those_of_its_matrices() -> None:
    """Two for each weight of a block and each token, and a little for attention and modulation."""
    config = STAGE_PRESETS["denoiser"]["denoiser"]
    network = DenoiserNetwork(config)
    found = forward_flops(
        network, torch.zeros(1, config.channels, 4, 4), torch.ones(1), torch.zeros(1, 512)
    )
    blocks = sum(p.numel() for p in network.blocks.parameters() if p.ndim == 2 and len(p) > 6)
    assert 1.0 < found / (2 * blocks * 20) < 1.1


def test_utilization_counts_forward_and_backward() -> None:
    assert model_flops_utilization(1e9, 100.0, 600e9) == pytest.approx(0.5)


def test_the_machines_peak_is_measured() -> None:
    one, other = peak_flops(0.05), peak_flops(0.0)
    assert 1e8 < one < 1e15
    assert other > 0


def test_a_recipe_gives_example_inputs_for_counting() -> None:
    from tests.sample import pictures
    from undiffuse.training.denoiser import DenoiserRecipe

    network = DenoiserNetwork(tiny.DENOISER)
    example = DenoiserRecipe(network, pictures(), tiny.cache(), compiled=False).example_inputs()
    assert forward_flops(network, *example) > 0
