"""Configuration: one flat frozen dataclass per thing, and the presets, one row each."""

from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar

from undiffuse.errors import UserError

SIDE = 64  # pixels
EMBED = 512  # the shared space of pictures and text


@dataclass(frozen=True)
class ClipConfig:
    """Two encoders and one space. `tower`: "transformer" over 16 tokens, or "conv" throughout."""

    tower: str = "transformer"
    image_width: int = 256
    image_depth: int = 6
    image_heads: int = 4
    vocabulary: int = 16384
    token_width: int = 128  # token vectors are stored this wide and widened by one matrix
    text_width: int = 256
    text_depth: int = 4
    text_heads: int = 4
    context: int = 32  # tokens, start and end included
    seed: int = 0


PRESETS: dict[str, dict[str, Any]] = {
    "clip": {"clip": ClipConfig()},
    # Another architecture and another seed: what it sees is not what the steering CLIP sees.
    "judge": {"clip": ClipConfig(tower="conv", text_depth=3, seed=1)},
}

Config = TypeVar("Config")


def to_dict(config: Any) -> dict[str, Any]:
    """The configuration as plain data, for a weight file's metadata."""
    return asdict(config)


def from_dict(kind: type[Config], values: dict[str, Any]) -> Config:
    """The configuration back from plain data. Raises UserError on a name it doesn't know."""
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    for name in values:
        if name not in known:
            raise UserError(f"{kind.__name__} has no setting {name!r}: a newer file?")
    return kind(**values)
