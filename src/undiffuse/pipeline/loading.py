"""Loading a model: its CLIP, codec, denoisers and lexicon, checked to belong together."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from undiffuse.clip.lexicon import FILE, Lexicon
from undiffuse.clip.reading import Reader
from undiffuse.config import DrawConfig
from undiffuse.errors import UserError
from undiffuse.pipeline.denoisers import Denoisers
from undiffuse.pipeline.text_to_image import TextToImage
from undiffuse.runtime.networks import ClipEncoder, CodecRuntime
from undiffuse.runtime.session import PRETRAINED, SHIPPED_WEIGHTS, weight_file

if TYPE_CHECKING:
    from undiffuse.pretrained.encoder import PretrainedClip


def load(
    folder: str | Path | None = None, threads: int = 2, clip: str | Path | None = None
) -> TextToImage:
    """Load the model in a folder, or the one that ships with the package.

    The folder holds clip, codec and denoiser .safetensors and their graphs/, and may hold a
    lexicon.safetensors, with which prompts are read, and a denoiser-fast.safetensors, which draws
    in few steps. UserError for a file that is missing or broken, or that the denoiser was not
    trained with.

    A model that was trained with a pretrained CLIP has it in the folder clip/, or needs its folder
    as `clip`, because it was too large to be copied.
    """
    folder = SHIPPED_WEIGHTS if folder is None else Path(folder)
    denoisers = Denoisers(folder, threads)
    with ThreadPoolExecutor(1) as pool:
        encoder = pool.submit(_load_clip, folder, clip, threads)
        codec = pool.submit(CodecRuntime, folder, threads)
        denoiser = denoisers.default
    if denoiser.clip_name and clip is None and not (folder / PRETRAINED).is_dir():
        raise UserError(f"the denoiser in {folder} was trained with the pretrained CLIP "
                        f"{denoiser.clip_name} ({denoiser.trained_with['clip']}): give its folder "
                        "with --clip")  # fmt: skip
    defaults = DrawConfig()
    if denoiser.default_style is not None:
        defaults = replace(defaults, style=denoiser.default_style)
    if denoiser.few_steps and denoisers.fast is None:
        defaults = defaults.in_few_steps(denoiser.few_steps)
    reader = Reader(Lexicon(folder / FILE)) if (folder / FILE).exists() else None
    model = TextToImage(encoder.result(), denoisers, codec.result(), folder, defaults, reader)
    denoisers.require(model.clip.hash, model.codec.encoder)
    return model


def _load_clip(
    folder: Path, given: str | Path | None, threads: int
) -> "ClipEncoder | PretrainedClip":
    own, copied = weight_file(folder, "clip"), folder / PRETRAINED
    if given is None and (own.exists() or not copied.is_dir()):
        return ClipEncoder(folder, threads)
    from undiffuse.pretrained.encoder import PretrainedClip

    return PretrainedClip(copied if given is None else Path(given), threads)
