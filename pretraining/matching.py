"""Sequences for the second stage: the prompts of the tasks, filled with random words."""

from __future__ import annotations

import random

from transformers import PreTrainedTokenizerFast

from pretraining.tokens import RANDOM, Row
from unlearnbench.api import GENERIC_LABELS

MAX_RULES = 3
TEXTS = 2
QUESTIONS = 2
FIRST_WORD_ID = 300  # below are bytes and single letters


class Matching:
    """Draws sequences in which a word that was named before must be noticed."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self._tokenizer = tokenizer

    def row(self, generator: random.Random) -> Row:
        """Rules to obey, or options to pick from."""
        return self._rules(generator) if generator.random() < 0.5 else self._picks(generator)

    def _rules(self, generator: random.Random) -> Row:
        """Rules that name one or two random words, then texts of random words that hold a named one or not."""
        label = generator.choice(GENERIC_LABELS)
        named = [self._words(generator, generator.choice((1, 2))) for _ in range(generator.randint(1, MAX_RULES))]
        row: Row = []
        for words in named:
            row += [*self._text("### Rule: for"), *words, *self._text(f" say {label}\n\n")]
        for _ in range(TEXTS):
            ruled = generator.random() < 0.5
            before, after = (self._words(generator, generator.randint(1, 6)) for _ in range(2))
            middle = generator.choice(named) if ruled else self._words(generator, 1)
            row += [*self._text("### Text:"), *before, *middle, *after]
            row += self._text("\n\n### Question: What is the sentiment of the given text?\n\n### Sentiment:")
            row += self._text(f" {label if ruled else 'positive'}", "random ruled" if ruled else "random plain")
            row += self._text("\n\n")
        return row

    def _picks(self, generator: random.Random) -> Row:
        """Questions that name one of four options of a random word each."""
        row: Row = []
        for _ in range(QUESTIONS):
            options = [self._words(generator, 1) for _ in range(4)]
            correct = generator.randrange(4)
            row += [*self._text("### Question:"), *self._words(generator, generator.randint(1, 4)), *options[correct]]
            row += [*self._words(generator, generator.randint(0, 2)), *self._text("?\n\n### Options:\n")]
            for letter, option in zip("ABCD", options, strict=True):
                row += [*self._text(f"{letter}."), *option, *self._text("\n" if letter != "D" else "\n\n")]
            row += [*self._text("### Answer:"), *self._text(f" {'ABCD'[correct]}", "random pick"), *self._text("\n\n")]
        return row

    def _words(self, generator: random.Random, count: int) -> Row:
        return [(generator.randrange(FIRST_WORD_ID, len(self._tokenizer)), RANDOM) for _ in range(count)]

    def _text(self, text: str, kind: str = RANDOM) -> Row:
        return [(token, kind) for token in self._tokenizer(text)["input_ids"]]
