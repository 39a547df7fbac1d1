"""Package versions and the kind of processor, which the bytes of a picture depend on; and how
threads wait.
"""

import os
import platform
from functools import cache
from pathlib import Path

# Vector instruction sets, widest first, as Linux names them.
_VECTOR_SETS = ("amx_tile", "avx512f", "avx2", "sve", "asimd")


def set_waiting() -> None:
    """Let torch's threads spin for some microseconds and then sleep while they wait for each other,
    unless OMP_WAIT_POLICY is set. Call it before torch is imported.

    Spinning on, they would keep the cores busy that they wait for beside another process; sleeping
    at once costs a third of the speed of an idle machine (docs/log, 2026-11-29).
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
        os.environ.setdefault("GOMP_SPINCOUNT", "2000")


def versions() -> dict[str, str]:
    """The versions of the packages that compute a picture."""
    import numpy as np
    import onnxruntime as ort

    from undiffuse import __version__

    return {"undiffuse": __version__, "numpy": np.__version__, "onnxruntime": ort.__version__}


@cache
def processor() -> str:
    """Architecture, model name and widest vector instructions, as far as they are known."""
    info: dict[str, str] = {}
    try:
        with Path("/proc/cpuinfo").open() as file:
            for line in file.read(8192).split("\n\n")[0].splitlines():
                name, _, value = line.partition(":")
                info[name.strip()] = value.strip()
    except (OSError, ValueError):
        pass
    flags = (info.get("flags") or info.get("Features") or "").split()
    vectors = next((name for name in _VECTOR_SETS if name in flags), "")
    return " ".join(filter(None, (platform.machine(), info.get("model name"), vectors)))
