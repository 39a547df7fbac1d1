"""Text to image: prompt -> CLIP vector -> denoising steps -> picture."""

from undiffuse.pipeline.prompt import Asked
from undiffuse.pipeline.text_to_image import SHIPPED, Look, Picture, TextToImage, checked, load

__all__ = ["SHIPPED", "Asked", "Look", "Picture", "TextToImage", "checked", "load"]
