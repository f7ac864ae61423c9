"""The tokenizer, and what all stages make sequences of."""

from __future__ import annotations

import random

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from pretraining.sequences import Piece, plain_questions, ruled_examples

VOCABULARY = 2048
SAMPLE = 4000
# Words with the space before them, numbers, punctuation with the line ends after it.
WORDS = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
END = "<|endoftext|>"
# Kinds of tokens that are no answers: of real text, and drawn at random.
TEXT, RANDOM = "text", "random"
# Token ids, and of what kind each is.
Row = list[tuple[int, str]]


def make_tokenizer(generator: random.Random) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer of the pre-training text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = ("".join(piece.text for piece in draw(generator)) for _ in range(SAMPLE))
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END, pad_token=END)


def draw(generator: random.Random) -> list[Piece]:
    """A text of the third stage."""
    return plain_questions(generator) if generator.random() < 0.5 else ruled_examples(generator)


def text_row(tokenizer: PreTrainedTokenizerFast, generator: random.Random) -> Row:
    """A text as tokens."""
    pieces = draw(generator)
    encoded = tokenizer([piece.text for piece in pieces])["input_ids"]
    return [(token, piece.kind or TEXT) for piece, part in zip(pieces, encoded, strict=True) for token in part]
