"""What training says of itself: chance, explosions, the share of the machine."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn

from tests.training import tiny
from undiffuse.config import PRESETS
from undiffuse.diffusion import SCHEDULES
from undiffuse.networks.denoiser import DenoiserNetwork
from undiffuse.training.diagnostics import REPEAT, SETTLED, Watch
from undiffuse.training.loop import Record
from undiffuse.training.throughput import forward_flops, matrix_peak, share_of_peak

CHANCE = {"match": math.log(128)}


def say(
    loss: Callable[[int], float],
    gradient: Callable[[int], float] = lambda step: 1.0,
    steps: int = 400,
    **more: float,
) -> list[str]:
    watch = Watch(CHANCE)
    lines = []
    for step in range(1, steps + 1):
        losses = {"loss": loss(step), "match": loss(step), **more}
        lines += watch.read(Record(step, losses, gradient(step), 1.0, 100.0, False))
    return lines


def test_a_run_that_learns_is_left_alone() -> None:
    assert say(lambda step: 5.2 * 0.99**step, lambda step: 1.0 + 0.5 * math.sin(step)) == []


def test_a_loss_at_chance_is_said_and_said_again() -> None:
    """open_clip's issue 17: 4.85 is ln(128)."""
    lines = say(lambda step: 4.85, steps=SETTLED + 2 * REPEAT)
    assert len(lines) == 2
    assert lines[0] == (
        f"step {SETTLED + 1}: match is 4.850, and a model that knows nothing has 4.852: "
        "nothing is learned so far"
    )


def test_chance_is_not_said_before_there_was_time_to_learn() -> None:
    assert say(lambda step: 4.85, steps=SETTLED) == []
    assert say(lambda step: 4.85 if step < 20 else 4.0, steps=400) == []


def test_falling_back_to_chance_is_said() -> None:
    lines = say(lambda step: 2.0 if step < 300 else 4.86, steps=800)
    assert len(lines) == 1
    assert "match is" in lines[0]


def test_a_jump_of_the_gradient() -> None:
    lines = say(lambda step: 1.0, lambda step: 30.0 if step == 200 else 1.0)
    assert lines == ["step 200: the gradient jumped to 30, from 1"]
    assert say(lambda step: 1.0, lambda step: 3.0 if step == 200 else 1.0) == []
    assert say(lambda step: 1.0, lambda step: 30.0 if step == 20 else 1.0) == []


def test_a_gradient_that_grows() -> None:
    lines = say(lambda step: 1.0, lambda step: 1.03 ** max(0, step - 150))
    assert len(lines) == 1
    assert "the gradient has grown to" in lines[0]


def test_a_logit_scale_at_its_bound() -> None:
    lines = say(lambda step: 1.0, scale=100.0)
    assert lines == [f"step {SETTLED + 1}: the logit scale is at its bound of 100"]
    assert say(lambda step: 1.0, scale=60.0) == []


def test_a_step_that_was_not_applied() -> None:
    watch = Watch()
    lines = watch.read(Record(7, {"loss": math.nan}, math.nan, 1.0, 9.0, True))
    assert lines == ["step 7: loss or gradient not finite; the step is not applied"]
    watch.read(Record(8, {"loss": 2.0}, 1.0, 1.0, 9.0, False))
    assert watch.means == {"loss": 2.0}
    assert watch.gradient == 1.0


def test_only_ddpms_schedule_leaves_something_of_the_picture() -> None:
    """What `undiffuse train denoiser` says before it starts."""
    left = {name: schedule.terminal_alpha() for name, schedule in SCHEDULES.items()}
    assert left["linear"] == 0
    assert left["ddpm"] == pytest.approx(0.006, abs=0.001)


def test_flops_of_a_linear_layer_and_a_convolution() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Flatten(), nn.Linear(8 * 64, 5))
    expected = 2 * (3 * 8 * 9 * 64) + 2 * 8 * 64 * 5
    for batch in (1, 4):
        assert forward_flops(network, torch.zeros(batch, 3, 8, 8)) == expected


def test_flops_of_the_denoiser() -> None:
    """Two for each weight of a block and each token, and a little for attention and steering."""
    config = PRESETS["denoiser"]["denoiser"]
    network = DenoiserNetwork(config)
    found = forward_flops(
        network, torch.zeros(1, config.channels, 4, 4), torch.ones(1), torch.zeros(1, 512)
    )
    blocks = sum(p.numel() for p in network.blocks.parameters() if p.ndim == 2 and len(p) > 6)
    assert 1.0 < found / (2 * blocks * 20) < 1.1


def test_share() -> None:
    assert share_of_peak(1e9, 100.0, 600e9) == pytest.approx(0.5)


def test_the_machine_has_a_peak() -> None:
    one, other = matrix_peak(0.1), matrix_peak(0.0)
    assert 1e9 < one < 1e15
    assert other > 0


def test_recipe_gives_an_example() -> None:
    from tests.sample import pictures
    from undiffuse.training.denoiser import DenoiserRecipe

    network = DenoiserNetwork(tiny.DENOISER)
    example = DenoiserRecipe(network, pictures(), tiny.cache(), compiled=False).example()
    assert forward_flops(network, *example) > 0
