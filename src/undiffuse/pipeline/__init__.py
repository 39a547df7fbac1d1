"""Text to image: prompt -> CLIP vector -> denoising steps -> picture."""

from undiffuse.pipeline.options import DrawOptions, check_config
from undiffuse.pipeline.picture import Picture, Preview
from undiffuse.pipeline.text_to_image import SHIPPED_WEIGHTS, TextToImage, load

__all__ = [
    "SHIPPED_WEIGHTS", "DrawOptions", "Picture", "Preview", "TextToImage", "check_config", "load",
]  # fmt: skip
