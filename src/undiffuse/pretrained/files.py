"""A folder with a pretrained CLIP: which files make it up, and what they say; no weights are read.

Weights are safetensors. A pickle can run any code when it is read, and is never read here.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from undiffuse.clip.tokenizer import Tokenizer
from undiffuse.errors import UserError
from undiffuse.pretrained.layouts import HF, OPEN_CLIP, Layout, VitConfig
from undiffuse.pretrained.preprocess import Preprocess
from undiffuse.pretrained.settings import Settings
from undiffuse.pretrained.tokenizer_files import read_tokenizer

PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl")
REFUSAL = (
    "is a pickle, which can run any code when it is read: it is not. Convert it where you trust it,"
    " with transformers' save_pretrained(FOLDER, safe_serialization=True)"
)


@dataclass(frozen=True)
class ClipFiles:
    """What a folder's files say, and where its weights are."""

    layout: Layout
    config: VitConfig
    weights: Path
    preprocess: Preprocess
    tokenizer: Tokenizer
    read: tuple[Path, ...]  # all of them, the weights first

    def hash(self) -> str:
        """The first 16 hex digits of SHA-256 over the bytes of all files."""
        digest = hashlib.sha256()
        try:
            for path in self.read:
                with path.open("rb") as file:
                    digest.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            raise UserError(f"{path} can't be read: {error.strerror}") from error
        return digest.hexdigest()[:16]


def find_files(folder: Path) -> ClipFiles:
    """The files of a pretrained CLIP in a folder, Hugging Face's layout before open_clip's.

    UserError, naming file and reason, for a folder without one, and for what is not read here.
    """
    if not folder.is_dir():
        if folder.suffix.lower() in PICKLES and folder.exists():
            raise UserError(f"{folder} {REFUSAL}")
        raise UserError(f"{folder} is no folder: give one with config.json and model.safetensors")
    layout, weights = _weights(folder)
    config_path = folder / layout.config_file
    settings = Settings.read(config_path)
    config = layout.read(settings)
    if layout is HF:
        processed = _first(folder, "preprocessor_config.json", "processor_config.json")
        said = Settings.read(processed)
        if processed.name == "processor_config.json":
            said = said.part("image_processor")
        preprocess = Preprocess.from_hf(said, config.side)
    else:
        processed = config_path
        preprocess = Preprocess.from_open_clip(settings.part("preprocess_cfg"), config.side)
    tokenizer, texts = read_tokenizer(folder, config)
    read = tuple(dict.fromkeys((weights, config_path, processed, *texts)))
    return ClipFiles(layout, config, weights, preprocess, tokenizer, read)


def _first(folder: Path, *names: str) -> Path:
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise UserError(f"{folder} has no {names[0]}: what a picture must be made is not known")


def _weights(folder: Path) -> tuple[Layout, Path]:
    for layout in (HF, OPEN_CLIP):
        for name in layout.weight_files:
            if (folder / layout.config_file).is_file() and (folder / name).is_file():
                return layout, folder / name
    if (folder / "model.safetensors.index.json").is_file():
        raise UserError(f"{folder} has its weights in several files: save them as one")
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in PICKLES:
            raise UserError(f"{path} {REFUSAL}")
    pairs = (f"{one.config_file} with {one.weight_files[0]}" for one in (HF, OPEN_CLIP))
    raise UserError(f"{folder} has no CLIP in it: there is neither {' nor '.join(pairs)}")


def why_not_safetensors(path: Path) -> str:
    """One line on a file that could not be read as safetensors."""
    try:
        with path.open("rb") as file:
            head = file.read(4)
    except OSError as error:
        return f"{path} can't be read: {error.strerror}"
    # torch.save writes a zip with a pickle in it; before 2020, a pickle as it is.
    if head == b"PK\x03\x04" or (head[:1] == b"\x80" and head[1:2] in (b"\2", b"\3", b"\4", b"\5")):
        return f"{path} {REFUSAL}"
    return f"{path} is not a safetensors file, or is broken"
