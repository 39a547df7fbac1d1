"""Text to image: prompt -> CLIP vector -> denoising steps -> picture."""

from undiffuse.pipeline.loading import load
from undiffuse.pipeline.options import DrawOptions, check_config
from undiffuse.pipeline.picture import Picture, Preview
from undiffuse.pipeline.text_to_image import TextToImage
from undiffuse.runtime.session import SHIPPED_WEIGHTS

__all__ = [
    "SHIPPED_WEIGHTS", "DrawOptions", "Picture", "Preview", "TextToImage", "check_config", "load",
]  # fmt: skip
