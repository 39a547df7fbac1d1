"""The number format of autocast: bfloat16 where it is faster, otherwise float32."""

import platform
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from pathlib import Path
from typing import Any

import torch


@cache
def choose_dtype(device_type: str = "cpu") -> tuple[torch.dtype, str]:
    """The dtype for autocast on this machine, and the reason in words.

    Without native instructions, torch emulates bfloat16 matrix products, up to 200 times slower
    than float32. Intel's AVX-512 computes as many products a second in bfloat16 as in float32, and
    converting takes time (docs/log, 2026-11-29); AMD's computes twice as many.
    """
    if device_type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    elif device_type == "cpu":
        native = torch.ops.mkldnn._is_mkldnn_bf16_supported()
        if platform.machine() in ("x86_64", "AMD64"):  # oneDNN also emulates it on plain AVX-512
            native = native and torch.cpu._is_avx512_bf16_supported()
            if native and not torch.cpu._is_amx_tile_supported() and _is_intel():
                return torch.float32, "this Intel processor has bfloat16 instructions, but no AMX"
    else:
        native = False
    name = {"cpu": "processor", "cuda": "GPU"}.get(device_type, device_type)
    if native:
        return torch.bfloat16, f"the {name} has bfloat16 instructions"
    return torch.float32, f"the {name} has no bfloat16 instructions"


def _is_intel() -> bool:
    try:
        return "GenuineIntel" in Path("/proc/cpuinfo").read_text()
    except OSError:  # another system: macOS names no processor here
        return platform.processor().startswith("Intel")


def dtype_name(device_type: str = "cpu") -> str:
    """ "bfloat16" or "float32"."""
    return str(choose_dtype(device_type)[0]).removeprefix("torch.")


def autocast(device_type: str = "cpu") -> AbstractContextManager[Any]:
    """A context in which torch computes in `choose_dtype`'s dtype."""
    dtype, _ = choose_dtype(device_type)
    return nullcontext() if dtype == torch.float32 else torch.autocast(device_type, dtype)
