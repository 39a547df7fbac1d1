"""undiffuse pulls pictures out of noise.

`undiffuse.load().generate("a red apple", seed=7)[0].save("apple.png")` draws one.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from undiffuse.config import DrawConfig
    from undiffuse.errors import UserError
    from undiffuse.pipeline import Look, Picture, TextToImage, load

__version__ = "0.1.0"
__all__ = ["DrawConfig", "Look", "Picture", "TextToImage", "UserError", "__version__", "load"]

_HOMES = {"DrawConfig": "config", "UserError": "errors"}


def __getattr__(name: str) -> Any:
    """The public names, imported when first asked for: `import undiffuse` costs nothing."""
    if name not in __all__:
        raise AttributeError(f"module 'undiffuse' has no attribute {name!r}")
    return getattr(import_module(f"undiffuse.{_HOMES.get(name, 'pipeline')}"), name)


def __dir__() -> list[str]:
    return __all__
