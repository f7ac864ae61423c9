"""Seeded splitting and subsampling."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from unlearnbench.contract.task import Example, Splits

Row = TypeVar("Row")


def split_by_text(rows: Sequence[Row], texts: Sequence[str], train: int, seed: int) -> tuple[list[Row], list[Row]]:
    """Random training and test rows; rows with the same text get the same side, so that no text leaks.

    Texts are drawn in random order until at least `train` rows are in training; the rest are test rows.
    """
    by_text: dict[str, list[int]] = defaultdict(list)
    for index, text in enumerate(texts):
        by_text[" ".join(text.lower().split())].append(index)
    order = sorted(by_text)
    random.Random(seed).shuffle(order)
    training: set[int] = set()
    for text in order:
        if len(training) >= train:
            break
        training.update(by_text[text])
    return (
        [row for index, row in enumerate(rows) if index in training],
        [row for index, row in enumerate(rows) if index not in training],
    )


def subsample(splits: Splits, max_train: int | None, max_test: int | None, seed: int) -> Splits:
    """At most `max_train` examples of each training split and `max_test` of each test split."""
    limits = {"train_forget": max_train, "train_retain": max_train, "test_forget": max_test, "test_retain": max_test}
    return replace(
        splits,
        **{name: stratified_sample(examples, limits[name], seed) for name, examples in splits.items()},  # type: ignore[arg-type]
    )


def stratified_sample(examples: Sequence[Example], limit: int | None, seed: int) -> tuple[Example, ...]:
    """`limit` examples in their original order, stratified by answer (largest remainder method)."""
    if limit is None or len(examples) <= limit:
        return tuple(examples)
    by_answer: dict[str, list[int]] = defaultdict(list)
    for index, example in enumerate(examples):
        by_answer[example.answer].append(index)
    exact = {answer: limit * len(indices) / len(examples) for answer, indices in by_answer.items()}
    counts = {answer: int(share) for answer, share in exact.items()}
    # Free-text answers all have the same remainder: ties are broken at random, not by the alphabet.
    drawn = random.Random(f"{seed} remainders").sample(sorted(exact), len(exact))
    by_remainder = sorted(drawn, key=lambda answer: counts[answer] - exact[answer])
    for answer in by_remainder[: limit - sum(counts.values())]:
        counts[answer] += 1
    generator = random.Random(seed)
    chosen = [i for answer in sorted(by_answer) for i in generator.sample(by_answer[answer], counts[answer])]
    return tuple(examples[index] for index in sorted(chosen))


def seen_forget_rows(splits: Splits, fraction: float, seed: int) -> tuple[Example, ...]:
    """The training forget examples that methods see; the base model has memorised all of them."""
    examples = splits.train_forget
    return stratified_sample(examples, max(1, round(fraction * len(examples))), seed)


def judged_rows(
    splits: Splits, fraction: float, limit: int, seed: int
) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """The training forget and retain examples on which trials are evaluated."""
    forget = seen_forget_rows(splits, fraction, seed)
    return stratified_sample(forget, limit, seed), stratified_sample(splits.train_retain, limit, seed)


def answered_rows(splits: Splits, limit: int, seed: int) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
    """Test forget and retain examples in random order, so that every other one makes a random half."""
    forget, retain = (list(stratified_sample(rows, limit, seed)) for rows in (splits.test_forget, splits.test_retain))
    for rows in (forget, retain):
        random.Random(f"{seed} halves").shuffle(rows)
    return tuple(forget), tuple(retain)
