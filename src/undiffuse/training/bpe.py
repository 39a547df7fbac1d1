"""Training of a byte-level BPE vocabulary with the tokenizers library."""

import json
from collections.abc import Iterable

from undiffuse.clip.tokenizer import END, END_OF_WORD, START, Tokenizer, normalize


def train_bpe(texts: Iterable[str], size: int, context: int) -> Tokenizer:
    """A tokenizer with at most `size` tokens, trained on the texts; deterministic."""
    from tokenizers import Regex, models, pre_tokenizers, trainers
    from tokenizers import Tokenizer as Learner

    learner = Learner(models.BPE(end_of_word_suffix=END_OF_WORD))
    words = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}\p{M}]+|\p{N}|[^\s\p{L}\p{M}\p{N}]+"
    learner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(words), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    # Every byte at the end of a word is a token from the start. Otherwise rare ones would be
    # missing, and the library would number the others in an order that changes between runs.
    ends = [letter + END_OF_WORD for letter in alphabet]
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        initial_alphabet=alphabet,
        special_tokens=[START, END, *ends],
        end_of_word_suffix=END_OF_WORD,
        show_progress=False,
    )
    learner.train_from_iterator((normalize(text) for text in texts), trainer)
    model = json.loads(learner.to_str())["model"]
    vocabulary: dict[str, int] = dict(model["vocab"])
    merges = [(first, second) for first, second in model["merges"]]
    return Tokenizer(vocabulary, merges, context)
