"""The prompt of the multiple-choice tasks."""

from __future__ import annotations

import ast
import random
from collections.abc import Iterable, Sequence
from numbers import Integral
from string import ascii_uppercase

from unlearnbench.api import Example, UserError


def multiple_choice_example(question: str, options: Sequence[str], correct: int, group: str = "") -> Example:
    """A question with lettered options; the answer is the letter of option `correct`."""
    question = question.strip()
    lettered = "\n".join(
        f"{letter}. {option.strip()}" for letter, option in zip(ascii_uppercase, options, strict=False)
    )
    prompt = f"### Question: {question}\n\n### Options:\n{lettered}\n\n### Answer:"
    return Example(prompt, ascii_uppercase[correct], text=question, group=group)


def shuffled_example(
    question: str, options: Sequence[str], correct: int, generator: random.Random, group: str = ""
) -> Example:
    """Like `multiple_choice_example`, with the options in random order."""
    order = list(range(len(options)))
    generator.shuffle(order)
    return multiple_choice_example(question, [options[i] for i in order], order.index(correct), group)


def published_example(question: str, choices: object, label: object, label_text: object, group: str = "") -> Example:
    """A question of the authors' published splits, with its options in their order.

    Args:
        choices: the options, as a list or as the text of a Python list (in CSV files).
        label: index of the right option, from 0.
        label_text: the right option as a letter, or its text.

    Raises:
        UserError: these are inconsistent.
    """
    options = _options(choices)
    correct = int(label) if isinstance(label, Integral) else -1
    fits = 0 <= correct < len(options)
    if not fits or str(label_text).strip() not in (ascii_uppercase[correct], options[correct].strip()):
        raise UserError(
            f"the question {question[:60]!r} has {len(options)} options, label {label!r} and label_text "
            f"{label_text!r}, which do not fit together: label must count the options from 0, and label_text be the "
            "letter of that option, or the option."
        )
    return multiple_choice_example(question, options, correct, group)


def _options(choices: object) -> list[str]:
    if isinstance(choices, str):
        try:
            choices = ast.literal_eval(choices)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return []
    return [str(choice) for choice in choices] if isinstance(choices, Iterable) else []
