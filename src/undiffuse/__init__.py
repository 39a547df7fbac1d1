"""undiffuse draws pictures from text: CLIP, diffusion and steering.

`undiffuse.load().generate("a red apple", seed=7)[0].save("apple.png")` draws one.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from undiffuse.config import DrawConfig
    from undiffuse.errors import UserError
    from undiffuse.pipeline import Picture, Preview, TextToImage, load

__version__ = "0.1.0"
__all__ = ["DrawConfig", "Picture", "Preview", "TextToImage", "UserError", "__version__", "load"]

_MODULES = {"DrawConfig": "config", "UserError": "errors"}


def __getattr__(name: str) -> Any:
    """Imports a public name at its first use, so that `import undiffuse` is fast."""
    if name == "Look":
        import warnings

        warnings.warn("undiffuse.Look is deprecated, use Preview", FutureWarning, stacklevel=2)
        name = "Preview"
    if name not in __all__:
        raise AttributeError(f"module 'undiffuse' has no attribute {name!r}")
    return getattr(import_module(f"undiffuse.{_MODULES.get(name, 'pipeline')}"), name)


def __dir__() -> list[str]:
    return __all__
