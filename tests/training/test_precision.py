"""The dtype of autocast on machines with and without bfloat16 instructions."""

from collections.abc import Iterator

import pytest
import torch

from tests.training import tiny
from undiffuse.cli.progress import describe_precision
from undiffuse.training import precision


@pytest.fixture(autouse=True)
def fresh_choice() -> Iterator[None]:
    precision.choose_dtype.cache_clear()
    yield
    precision.choose_dtype.cache_clear()


def pretend(monkeypatch: pytest.MonkeyPatch, native: bool) -> None:
    monkeypatch.setattr(precision.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: native)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: native)


@pytest.mark.parametrize(("native", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_bfloat16_is_used_where_the_processor_has_it(
    monkeypatch: pytest.MonkeyPatch, native: bool, dtype: torch.dtype
) -> None:
    pretend(monkeypatch, native)
    with precision.autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype
    assert describe_precision("").startswith(f"computing in {precision.dtype_name()}: the proc")


@pytest.mark.parametrize(("intel", "dtype"), [(True, torch.float32), (False, torch.bfloat16)])
def test_intels_bfloat16_needs_amx(
    monkeypatch: pytest.MonkeyPatch, intel: bool, dtype: torch.dtype
) -> None:
    pretend(monkeypatch, native=True)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    monkeypatch.setattr(precision, "_is_intel", lambda: intel)
    assert precision.choose_dtype()[0] == dtype


def test_another_devices_choice_has_a_reason() -> None:
    assert precision.choose_dtype("cpu") == precision.choose_dtype()
    dtype, reason = precision.choose_dtype("mps")
    assert dtype == torch.float32
    assert "mps" in reason


def test_a_run_resumed_on_another_machine_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    pretend(monkeypatch, native=True)
    tiny.make("codec", tmp_path).save()
    precision.choose_dtype.cache_clear()
    pretend(monkeypatch, native=False)
    run = tiny.make("codec", tmp_path)
    assert run.resume()
    line = describe_precision(run.checkpoint_dtype)
    assert "computing in float32" in line
    assert "the checkpoint was computed in bfloat16, so results differ slightly" in line
