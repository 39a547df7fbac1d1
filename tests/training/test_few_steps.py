"""Distillation into few steps: trajectories of the teacher, and the student's targets and loss."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tests.training import tiny  # noqa: E402
from tests.training.tiny import CLIP, CODEC, DENOISER, pictures  # noqa: E402
from undiffuse import diffusion  # noqa: E402
from undiffuse.clip.model import Clip  # noqa: E402
from undiffuse.config import DrawConfig  # noqa: E402
from undiffuse.errors import UserError  # noqa: E402
from undiffuse.networks.codec import Codec  # noqa: E402
from undiffuse.networks.denoiser import DenoiserNetwork  # noqa: E402
from undiffuse.training.embedder import TextEmbedder  # noqa: E402
from undiffuse.training.few_steps import FewStepRecipe  # noqa: E402
from undiffuse.training.latent_cache import FrozenModels  # noqa: E402
from undiffuse.training.torch_denoiser import sample  # noqa: E402
from undiffuse.training.trajectories import Trajectories, sample_trajectories  # noqa: E402

FEW, COUNT, TOKENS = 4, 300, 3


def make_network(tokens: int = TOKENS) -> DenoiserNetwork:
    torch.manual_seed(1)
    tokens_read = {"text_tokens": tokens, "text_channels": CLIP.text_width, "text_depth": 1}
    network = DenoiserNetwork(replace(DENOISER, **tokens_read))
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():  # a network that gives zeros would have straight trajectories
                parameter.normal_(std=0.05)
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="module", autouse=True)
def in_float32() -> Iterator[None]:
    with tiny.in_float32():
        yield


@pytest.fixture(scope="module")
def frozen() -> FrozenModels:
    torch.manual_seed(0)
    texts = TextEmbedder(Clip(CLIP).eval(), tiny.tokenizer())
    return FrozenModels(texts, Codec(CODEC).eval(), {"clip": "a", "codec": "b"})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def sampled(frozen: FrozenModels, folder: Path) -> Trajectories:
    return sample_trajectories(pictures(), frozen, make_network(), "t", FEW, COUNT, folder)


def recipe(network: DenoiserNetwork, known: Trajectories, frozen: FrozenModels) -> FewStepRecipe:
    return FewStepRecipe(network, known, 32, compiled=False, embedder=frozen.embed_texts)


def test_the_teacher_draws_as_the_program_does(sampled: Trajectories, frozen: FrozenModels) -> None:
    """The last state is what `sample` gives for the same noise, vectors and tokens."""
    drawing = DrawConfig()
    assert sampled.x.shape == (COUNT, FEW + 1, DENOISER.channels, DENOISER.side, DENOISER.side)
    assert sampled.levels == diffusion.shifted_times(drawing.steps, drawing.shift)[::5]
    assert sampled.ids is not None
    assert sampled.lengths is not None
    vectors, texts = sampled.cond[:8].float(), frozen.embed_texts
    states = texts.states(sampled.ids[:8].long(), sampled.lengths[:8], TOKENS)  # type: ignore
    cond = torch.cat([vectors, states], dim=1)
    drawn = sample(make_network(), cond, drawing.guidance, sampled.x[:8, 0].float())
    assert (drawn - sampled.x[:8, -1].float()).abs().max() < 0.02  # float16
    assert (sampled.lengths > 0).float().mean().item() == pytest.approx(0.8 * 0.85, abs=0.1)


def test_an_exact_prediction_arrives_at_the_teachers_states(
    sampled: Trajectories, frozen: FrozenModels
) -> None:
    """Euler's method with the target as its prediction."""
    made = recipe(make_network(), sampled, frozen)
    rows = torch.arange(6)
    x: Any = sampled.x[rows, 0].float()
    for number, (t, s) in enumerate(zip(sampled.levels, sampled.levels[1:], strict=False)):
        batch = made.examples(rows, torch.full((6,), number))
        assert batch["t"].tolist() == pytest.approx([t] * 6)
        target = batch["target"]
        steps = diffusion.euler(
            lambda x_t, t, cond, target=target: target, x / t, None,
            schedule=diffusion.SCHEDULES["linear"], times=(t, s),
        )  # fmt: skip
        x = list(steps)[-1].x_t
        np.testing.assert_allclose(x, sampled.x[rows, number + 1].float(), atol=0.02)


def test_interrupted_sampling_continues_with_the_same_result(
    sampled: Trajectories, frozen: FrozenModels, folder: Path
) -> None:
    files = sorted(folder.glob("steps-*"))
    assert len(files) == 2
    written = [path.stat().st_mtime_ns for path in files]
    files[1].unlink()
    again = sample_trajectories(pictures(), frozen, make_network(), "t", FEW, COUNT, folder)
    assert torch.equal(again.x, sampled.x)
    assert files[0].stat().st_mtime_ns == written[0]


def test_the_student_comes_nearer_to_the_teacher(
    sampled: Trajectories, frozen: FrozenModels
) -> None:
    network = make_network().requires_grad_(True)
    made = recipe(network, sampled, frozen)
    before = made.held_out_error(network)
    optimizer = torch.optim.AdamW(network.parameters(), 2e-3)
    for step in range(40):
        rng = np.random.Generator(np.random.Philox(key=[step, 0]))
        losses = made.losses(made.sample(step, rng))
        optimizer.zero_grad()
        losses["loss"].backward()
        optimizer.step()
    after = made.held_out_error(network)
    assert list(after) == [f"error of step {number}" for number in range(1, FEW + 1)]
    assert sum(after.values()) < 0.8 * sum(before.values())


def test_a_student_takes_as_many_steps(frozen: FrozenModels) -> None:
    network, levels = make_network(), []

    class Counted:
        config = network.config

        def __call__(self, x_t: Any, t: Any, cond: Any) -> Any:
            levels.append(t[0].item())
            return network(x_t, t, cond)

    model: Any = Counted()
    sample(model, frozen.embed_texts.cond(["cat"], TOKENS), 1.0, few=FEW)
    assert levels == pytest.approx(diffusion.shifted_times(FEW, DrawConfig().shift)[:-1])


def test_teachers_that_do_not_fit_are_refused(frozen: FrozenModels, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="few=3: the model's 20 steps must be a multiple"):
        sample_trajectories(pictures(), frozen, make_network(), "t", 3, COUNT, tmp_path)
    other = DenoiserNetwork(replace(DENOISER, target="v"))
    with pytest.raises(UserError, match="predicts v"):
        sample_trajectories(pictures(), frozen, other, "t", FEW, COUNT, tmp_path)
    assert not list(tmp_path.iterdir())
