"""Reads the tokenizer of a pretrained CLIP: tokenizer.json, or vocab.json and merges.txt."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from undiffuse.clip.tokenizer import END_OF_WORD, Tokens
from undiffuse.errors import UserError
from undiffuse.imaging.files import read_bytes
from undiffuse.pretrained.config import HIGHEST_ID
from undiffuse.pretrained.files import check_supported, user_errors


@dataclass(frozen=True)
class PretrainedTokenizer:
    """Converts texts to ids. `backend`: a `tokenizers.Tokenizer` that adds start and end."""

    backend: Any
    context: int  # maximum number of tokens, start and end included
    end: int

    def __call__(self, texts: Sequence[str]) -> Tokens:
        """Encode texts, truncated to the context and padded with the end."""
        ids = np.full((len(texts), self.context), self.end, np.int64)
        lengths, cut = np.zeros(len(texts), np.int64), []
        # Lone surrogates, from a terminal with another encoding, become "?".
        texts = [text.encode(errors="replace").decode() for text in texts]
        for row, encoding in enumerate(self.backend.encode_batch(texts)):
            fits = encoding.ids[:-1][: self.context - 1]
            ids[row, : len(fits)] = fits
            lengths[row] = len(fits) + 1
            lost = encoding.offsets[len(fits) : -1]
            cut.append(texts[row][lost[0][0] :] if lost else "")
        return Tokens(ids, lengths, tuple(cut))


def read_tokenizer(folder: Path, config: Any) -> tuple[PretrainedTokenizer, list[Path]]:
    """The tokenizer, and its files. `config`: the network's CLIPTextConfig.

    UserError for files that are missing or broken, or do not fit the text encoder.
    """
    from tokenizers.models import BPE
    from transformers import CLIPTokenizer

    whole = folder / "tokenizer.json"
    files = [whole] if whole.is_file() else [folder / "vocab.json", folder / "merges.txt"]
    if not all(file.is_file() for file in files):
        raise UserError(f"{folder} has no tokenizer.json, nor vocab.json and merges.txt")
    with user_errors(files[0]):
        if whole.is_file():  # read as transformers does: its vocabulary, with CLIP's own rules
            model = json.loads(read_bytes(whole))["model"]
            check_supported(model, {"type": ("BPE",), "end_of_word_suffix": (END_OF_WORD,)})
            pairs = (one.split(" ") if isinstance(one, str) else one for one in model["merges"])
            vocabulary, merges = model["vocab"], [(first, second) for first, second in pairs]
        else:
            vocabulary, merges = BPE.read_file(*map(str, files))
        if not {first + second for first, second in merges} <= vocabulary.keys():
            raise ValueError("its vocabulary lacks a token that its merges make")
        tokenizer = CLIPTokenizer(vocab=vocabulary, merges=merges)  # type: ignore[arg-type]
        backend = tokenizer.backend_tokenizer
        backend.encode_special_tokens = True  # "<|endoftext|>" in a text does not end it
        ids, highest = backend.encode("").ids, max(backend.get_vocab().values())
        if highest >= config.vocab_size:
            raise ValueError(f"id {highest} exceeds the text encoder's {config.vocab_size} tokens")
        # With another end, the text encoder would take its vector from the wrong token.
        end = highest if config.eos_token_id == HIGHEST_ID else config.eos_token_id
        if len(ids) != 2 or ids[-1] != end:
            raise ValueError(f"it encodes an empty text as {ids}, and not as [start, {end}]")
    names = ("tokenizer_config.json", "special_tokens_map.json")
    files += [folder / name for name in names if (folder / name).is_file()][:1]
    return PretrainedTokenizer(backend, config.max_position_embeddings, end), files
