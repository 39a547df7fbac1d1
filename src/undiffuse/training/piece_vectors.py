"""First values of the token embeddings: what the teachers say of each piece of the vocabulary."""

import numpy as np
from numpy.typing import NDArray

from undiffuse.clip.tokenizer import END, END_OF_WORD, START, Tokenizer, bytes_to_unicode
from undiffuse.data.teacher_table import KINDS, TeacherTable

Floats = NDArray[np.float32]


def initial_piece_vectors(
    tokenizer: Tokenizer, teacher: TeacherTable, width: int = 96, scale: float = 0.5
) -> Floats:
    """Vectors (V, width), one per token of the vocabulary, with standard deviation `scale`.

    A piece that is a text of the teacher gets the teacher's vector of that text, in English if it
    is one. Any other piece gets the mean over the texts that the tokenizer cuts into it and other
    pieces, each weighted by its share of the text; pieces of no text, and the two special tokens,
    get 0. The vectors are centered and projected on their first `width` principal components
    (Pearson 1901), which keeps the angles between them as well as `width` numbers can.
    """
    whole, parts, weights = _teacher_sums(tokenizer, teacher)
    vectors = np.where(
        np.any(whole, axis=1, keepdims=True), whole, parts / np.maximum(weights, 1e-9)[:, None]
    )
    used = np.any(vectors, axis=1)
    found = vectors[used] - vectors[used].mean(0)
    # Of the covariance: (768, 768) whatever the size of the vocabulary.
    _, basis = np.linalg.eigh(found.T @ found)
    components = basis[:, ::-1][:, :width]
    # The sign of a component is arbitrary; fixed, so that the same input gives the same values.
    components *= np.sign(components[np.abs(components).argmax(0), np.arange(components.shape[1])])
    out = np.zeros((len(vectors), width), np.float32)
    projected = found @ components
    out[used, : projected.shape[1]] = projected * (scale / max(float(projected.std()), 1e-9))
    return out


def _teacher_sums(tokenizer: Tokenizer, teacher: TeacherTable) -> tuple[Floats, Floats, Floats]:
    """For each piece: the vector of the text that it is, 0 if none (V, D); the weighted sum of the
    vectors of the texts that hold it (V, D); and the sum of the weights (V,)."""
    size, dim = len(tokenizer.vocabulary), teacher.vectors.shape[1]
    whole, parts = np.zeros((size, dim), np.float32), np.zeros((size, dim), np.float32)
    weights = np.zeros(size, np.float32)
    languages = sorted(set(teacher.languages), key=lambda code: (code == "en", code))
    for language in languages:  # English last, so that it counts where a word is in two languages
        for row in teacher.rows(*(set(KINDS) - {"gloss", "caption"}), language=language):
            vector = teacher.vectors[row].astype(np.float32)
            ids = tokenizer.encode(teacher.texts[row])
            if len(ids) == 1:
                whole[ids[0]] = vector
            for number in ids:
                parts[number] += vector / len(ids)
                weights[number] += 1 / len(ids)
    for piece, number in _word_beginnings(tokenizer).items():
        if piece in teacher.english and not whole[number].any():
            whole[number] = teacher.vectors[teacher.english[piece]]
    return whole, parts, weights


def _word_beginnings(tokenizer: Tokenizer) -> dict[str, int]:
    """Text -> id of the pieces that do not end a word, such as "butter" in "butterfly"."""
    back = {letter: byte for byte, letter in bytes_to_unicode().items()}
    found = {}
    for token, number in tokenizer.vocabulary.items():
        if token not in (START, END) and not token.endswith(END_OF_WORD):
            text = bytes(back[letter] for letter in token).decode(errors="replace")
            if len(text) > 2:
                found[text] = number
    return found
