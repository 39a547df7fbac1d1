"""Devices, without a GPU: torch's meta device stands for one, and a mode watches all operations.

Computing on it fails where a GPU would have to wait for a value, and the mode fails where a tensor
of the processor meets one of the device.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from numpy.random import Generator, Philox
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tests.sample import FOLDER, pictures, tokenizer
from tests.training import tiny
from tests.training.test_loop import small
from undiffuse.cli.train import command as train_command
from undiffuse.clip.model import Clip
from undiffuse.errors import UserError
from undiffuse.networks.codec import Codec
from undiffuse.networks.denoiser import DenoiserNetwork
from undiffuse.training import devices, optimizers
from undiffuse.training.clip import ClipRecipe
from undiffuse.training.codec import CodecRecipe
from undiffuse.training.decoder_finetune import SampledLatents
from undiffuse.training.denoiser import DenoiserRecipe
from undiffuse.training.devices import BatchLoader, PictureTable, choose_device, to_device
from undiffuse.training.ema import PowerEma
from undiffuse.training.loop import train
from undiffuse.training.text_distillation import TextBatches
from undiffuse.training.torch_denoiser import sample

META = torch.device("meta")
COPIES = ("aten::copy_", "aten::_to_copy")


class NoMixing(TorchDispatchMode):
    """Fails if a tensor of the processor, other than a scalar, meets one of the device.

    `values_are`: what a value is taken to be that the processor waits for.
    """

    def __init__(self, values_are: bool | None = None) -> None:
        super().__init__()
        self.values_are = values_are

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        found = {x.device.type for x in tensors if x.ndim}
        assert len(found) < 2 or func.name().split(".")[0] in COPIES, f"{func} mixes {found}"
        if self.values_are is not None and func.name() == "aten::_local_scalar_dense":
            return self.values_are
        return func(*args, **(kwargs or {}))


def make_recipe(kind: str) -> tuple[torch.nn.Module, Any]:
    if kind == "clip":
        clip = Clip(tiny.CLIP).to(META)
        texts = TextBatches(tiny.words())
        return clip, ClipRecipe(clip, tokenizer(), pictures(), texts, 32, False, device=META)
    if kind == "denoiser":
        network = DenoiserNetwork(tiny.DENOISER).to(META)
        return network, DenoiserRecipe(network, pictures(), tiny.cache(), 32, False, device=META)
    codec, rows = Codec(tiny.CODEC).to(META), torch.arange(10)
    sampled = SampledLatents(rows, torch.zeros(10, 8, 4, 4).half(), "x")
    return codec, CodecRecipe(codec, pictures(), 32, False, 1.0, sampled, META)


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_a_step_stays_on_the_device_and_never_waits_for_it(kind: str) -> None:
    """Forward, backward, Muon and the averages; a GPU's AdamW is torch's fused one."""
    model, recipe = make_recipe(kind)
    batch = to_device(recipe.sample(15, Generator(Philox(key=[0, 15]))), META)
    ema, skip = PowerEma(model), torch.zeros((), device=META)
    _, *others = optimizers.make_optimizers(model, 1e-3, 0.01)
    with NoMixing():
        losses = recipe.losses(batch)
        losses["loss"].backward()
        norm = optimizers.clip_gradients(list(model.parameters()))
        for optimizer in others:
            optimizer.found_inf = skip
            optimizer.step()
        ema.update(model, 1, skip)
    tensors = [*losses.values(), norm, *ema.tensors().values()]
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert len(gradients) == len(list(model.parameters()))
    assert {tensor.device for tensor in (*tensors, *gradients)} == {META}


def test_the_watcher_can_tell() -> None:
    with NoMixing(), pytest.raises(AssertionError, match="mixes"):
        torch.zeros(3, device=META).index_select(0, torch.tensor([1]))


def test_a_batch_is_made_on_the_processor_alone() -> None:
    for kind in tiny.KINDS:
        _, recipe = make_recipe(kind)
        batch = recipe.sample(0, Generator(Philox(key=[0, 0])))
        tensors = [x for x in tree_leaves(batch) if isinstance(x, Tensor)]
        assert len(tensors) > 2
        assert {tensor.device.type for tensor in tensors} == {"cpu"}


def test_sampling_stays_on_the_device() -> None:
    network, cond = DenoiserNetwork(tiny.DENOISER).to(META), torch.zeros(2, 512, device=META)
    with NoMixing(values_are=True):  # samplers check that x0 is finite
        assert sample(network, cond, 3.0).device == META


@pytest.mark.parametrize("bad", [{}, {4: math.nan}, {2: math.inf, 3: math.nan, 11: math.nan}])
def test_values_read_a_step_late_change_no_weight_and_no_record(
    bad: dict[int, float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way of a GPU, on the processor: the optimizers themselves skip steps."""
    monkeypatch.setattr(optimizers, "FUSED_DEVICES", ("cpu",))
    runs = [small(tmp_path / name, bad) for name in ("now", "late")]
    runs[1].deferred = True
    (now, late) = ([(r.step, r.losses, r.grad_norm, r.skipped) for r in train(run)] for run in runs)
    assert [step for step, *_, skipped in late if skipped] == [step + 1 for step in bad]
    assert repr(now) == repr(late)
    one, other = (tiny.state(run) for run in runs)
    assert one.keys() == other.keys()
    for name in one:
        assert np.allclose(one[name], other[name], rtol=1e-5, atol=1e-7), name


def test_muon_skips_a_step_on_the_device_as_without_it() -> None:
    weights = torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(0))
    ends = []
    for skips in (False, True):
        parameters = [torch.nn.Parameter(weight.clone()) for weight in weights]
        muon = optimizers.Muon(parameters, lr=0.1, weight_decay=0.1)
        for step in range(4):
            bad = step == 2
            for parameter in parameters:
                parameter.grad = torch.full_like(parameter, math.nan) if bad else parameter.detach()
            if skips:
                muon.found_inf = torch.tensor(float(bad))
            if skips or not bad:
                muon.step()
        ends.append(torch.stack(parameters))
    assert torch.equal(*ends)


def test_pictures_that_fit_are_kept_on_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    data, rows = pictures().pictures, np.array([3, 1, 3])
    monkeypatch.setattr(devices, "free_memory", lambda device: 4 * data.nbytes)
    table = PictureTable(data)
    assert table.cached is not None
    taken = table.take(rows)
    assert taken.dtype == torch.int64  # their numbers alone go to the device
    assert np.array_equal(table.load(taken), data[rows])
    monkeypatch.setattr(devices, "free_memory", lambda device: 4 * data.nbytes - 4)
    table = PictureTable(data)
    assert table.cached is None
    assert np.array_equal(table.load(table.take(rows)), data[rows])


def test_batches_sampled_ahead_are_those_of_their_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "pin", lambda batch: batch)
    monkeypatch.setattr(devices, "to_device", lambda batch, device: batch)

    def draw(step: int, rng: Generator) -> tuple[int, int]:
        return step, int(rng.integers(2**60))

    plain, ahead = BatchLoader(draw, 7), BatchLoader(draw, 7, torch.device("cuda"))
    assert [ahead(step) for step in (3, 4, 5, 9, 10)] == [plain(s) for s in (3, 4, 5, 9, 10)]
    ahead.close()
    failing = BatchLoader(lambda step, rng: [][step], 7, torch.device("cuda"))
    with pytest.raises(IndexError):  # raised in the thread, seen here
        failing(0)
    failing.close()


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "available_devices", lambda: ["cpu"])
    with pytest.raises(UserError, match=rf"--device {name}: torch .* use one of cpu"):
        choose_device(name)
    for args in (["codec", "--data", FOLDER], [FOLDER]):
        command = [*map(str, args), "-o", str(tmp_path / "out"), "--device", name]
        with pytest.raises(UserError, match="finds no"):
            CliRunner().invoke(train_command, command, catch_exceptions=False)
    assert not (tmp_path / "out").exists()


def test_the_preferred_device_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device().type == "mps"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device().type == "cuda"
    torch.set_float32_matmul_precision("highest")
    assert choose_device("cpu").type == "cpu"
