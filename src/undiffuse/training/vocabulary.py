"""Learning a byte-level BPE vocabulary, with the tokenizers library."""

import json
from collections.abc import Iterable

from undiffuse.clip.tokenizer import END, END_OF_WORD, START, Tokenizer, normalise


def learn(texts: Iterable[str], size: int, context: int) -> Tokenizer:
    """A tokenizer of at most `size` tokens learned from the texts; the same texts, the same one."""
    from tokenizers import Regex, models, pre_tokenizers, trainers
    from tokenizers import Tokenizer as Learner

    learner = Learner(models.BPE(end_of_word_suffix=END_OF_WORD))
    pieces = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}\p{M}]+|\p{N}|[^\s\p{L}\p{M}\p{N}]+"
    learner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pieces), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        initial_alphabet=sorted(alphabet),
        special_tokens=[START, END],
        end_of_word_suffix=END_OF_WORD,
        show_progress=False,
    )
    learner.train_from_iterator((normalise(text) for text in texts), trainer)
    model = json.loads(learner.to_str())["model"]
    vocabulary: dict[str, int] = dict(model["vocab"])
    # A byte that ends a word and was never seen there would have no token of its own.
    for letter in sorted(alphabet):
        for token in (letter, letter + END_OF_WORD):
            vocabulary.setdefault(token, len(vocabulary))
    merges = [(first, second) for first, second in model["merges"]]
    return Tokenizer(vocabulary, merges, context)
