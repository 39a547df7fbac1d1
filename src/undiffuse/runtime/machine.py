"""What the pixels depend on beside the model: versions, and the kind of processor."""

import platform
from functools import cache
from pathlib import Path

# Of the instruction sets that a runtime may choose by, widest first (names of Linux).
_VECTORS = ("amx_tile", "avx512f", "avx2", "sve", "asimd")


def versions() -> dict[str, str]:
    """The packages that compute a picture, as they are now."""
    import numpy as np
    import onnxruntime as ort

    from undiffuse import __version__

    return {"undiffuse": __version__, "numpy": np.__version__, "onnxruntime": ort.__version__}


@cache
def processor() -> str:
    """The kind of processor: architecture, maker's name, widest vectors, as far as is known."""
    lines: dict[str, str] = {}
    try:
        with Path("/proc/cpuinfo").open() as file:
            for line in file.read(8192).split("\n\n")[0].splitlines():
                name, _, value = line.partition(":")
                lines[name.strip()] = value.strip()
    except (OSError, ValueError):
        pass
    flags = (lines.get("flags") or lines.get("Features") or "").split()
    vectors = next((name for name in _VECTORS if name in flags), "")
    return " ".join(filter(None, (platform.machine(), lines.get("model name"), vectors)))
