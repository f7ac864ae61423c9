"""Words of praise and blame, and the label of a mixture of them."""

from __future__ import annotations

import random

# By strength, weakest first; a review's label is the sign of the sum over its words.
PRAISE = (
    "decent fair pleasant likeable neat tidy agreeable proper solid sound welcome handy".split(),
    "charming graceful lively thoughtful warm clever crisp tender honest vivid sincere elegant".split(),
    (
        "superb radiant dazzling masterly sublime glorious flawless luminous exquisite stunning unforgettable "
        "magnificent"
    ).split(),
)
BLAME = (
    "thin slight uneven modest plain stiff faded minor limp pale vague routine".split(),
    "clumsy tedious hollow shallow sloppy muddled dreary stale awkward lifeless tiresome careless".split(),
    (
        "dreadful awful wretched insufferable atrocious disastrous hopeless appalling abysmal horrid unbearable ghastly"
    ).split(),
)


def opinions(generator: random.Random, count: int) -> tuple[list[str], int]:
    """`count` words whose strengths do not sum to zero, and the label of their sum: 0 negative, 1 positive.

    One in four draws mixes praise and blame.
    """
    while True:
        mixed = generator.random() < 0.25
        tone = generator.choice((1, -1))
        words, total = [], 0
        for _ in range(count):
            sign = generator.choice((1, -1)) if mixed else tone
            strength = generator.choice((1, 2, 3))
            words.append(generator.choice((PRAISE if sign > 0 else BLAME)[strength - 1]))
            total += sign * strength
        if total:
            return words, int(total > 0)
