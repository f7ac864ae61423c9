"""From results to scores: a row's accuracies and trade-off, and how much each test example moves them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from unlearnbench.contract.objective import trade_off
from unlearnbench.leaderboard.entry import Entry
from unlearnbench.leaderboard.learned import learned
from unlearnbench.leaderboard.sets import prefix, transfer_tasks
from unlearnbench.leaderboard.statistics import Floats, Score

TRADE_OFF = "trade_off"


def accuracy_score(right: Floats) -> Score:
    """The score of an accuracy.

    Args:
        right: ``[seeds, examples]``, 0 or 1.
    """
    return Score(right.mean(1), {"": right}, examples=right.shape[1])


def trade_off_score(forget: Floats, retain: Floats, base_retain: Floats) -> Score:
    """The score of `objective.trade_off`, with its gradients times what the examples do to the three accuracies.

    The gradient by retain accuracy does not stop where that reaches the base model's: the other side of the kink is as
    near as the next example.

    Args:
        forget: ``[seeds, forget examples]``, 0 or 1.
        retain, base_retain: ``[seeds, retain examples]``, of the method and of the base model of the same seed.
    """
    accuracies = forget.mean(1), retain.mean(1), base_retain.mean(1)
    values = np.array([trade_off(*each) for each in zip(*accuracies, strict=True)])
    by_forget, by_retain, by_base = _gradients(*accuracies)
    influence = {
        "forget": by_forget[:, None] * forget,
        "retain": by_retain[:, None] * retain + by_base[:, None] * base_retain,
    }
    return Score(values, influence, examples=min(forget.shape[1], retain.shape[1]))


def _gradients(forget: Floats, retain: Floats, base: Floats) -> tuple[Floats, Floats, Floats]:
    """Derivatives of the harmonic mean of 1 - forget and retain / base, ``[seeds]`` each."""
    known = np.where(base > 0, base, 1.0)
    forgotten, kept = 1 - forget, np.where(base > 0, np.minimum(1.0, retain / known), 0.0)
    total = np.where(forgotten + kept > 0, forgotten + kept, 1.0)
    by_kept = 2 * (forgotten / total) ** 2
    return -2 * (kept / total) ** 2, by_kept / known, -by_kept * kept / known


def metric_name(split: str) -> str:
    """The accuracy metric of a split or transfer task."""
    return f"{prefix(split)}_accuracy"


def scores_of(entries: Sequence[Entry], bases: Mapping[int | None, Entry]) -> dict[str, Score]:
    """What can be judged of a row, by the leaderboard's name of the metric.

    Args:
        entries: the row's, one per seed.
        bases: the base model's entry of each seed.
    """
    entries = sorted(entries, key=lambda entry: -1 if entry.seed is None else entry.seed)
    splits = [name for name in _judged(entries) if all(_size(entry, name) > 0 for entry in entries)]
    found = {metric_name(split): _accuracy(entries, split) for split in splits}
    bases = {seed: base for seed, base in bases.items() if learned(base)}
    if all(entry.seed in bases for entry in entries) and {"test_forget", "test_retain"} <= set(splits):
        found[TRADE_OFF] = _trade_off(entries, [bases[entry.seed] for entry in entries])
    return found


def _judged(entries: Sequence[Entry]) -> list[str]:
    """Test splits and transfer tasks that every entry was evaluated on."""
    names = sorted(set.intersection(*(transfer_tasks(entry) for entry in entries)))
    return ["test_forget", "test_retain", *names]


def _size(entry: Entry, split: str) -> int:
    """The number of test examples."""
    if split in entry.right:
        return len(entry.right[split])
    return int(entry.metrics.get(f"{prefix(split)}_examples", entry.data.sizes.get(split, 0)))


def _flags(entries: Sequence[Entry], split: str) -> Floats | None:
    """``[seeds, examples]``, or None if the single predictions are not known."""
    texts = [entry.right.get(split, "") for entry in entries]
    if not texts[0] or any(len(text) != len(texts[0]) for text in texts):
        return None
    return np.array([[flag == "1" for flag in text] for text in texts], float)


def _accuracy(entries: Sequence[Entry], split: str) -> Score:
    right = _flags(entries, split)
    if right is not None:
        return Score(right.mean(1), {split: right}, examples=right.shape[1])
    values = np.array([entry.metrics[metric_name(split)] for entry in entries])
    examples = min(_size(entry, split) for entry in entries)
    return Score(values, example_variance=float((values * (1 - values)).mean()) / examples, examples=examples)


def _trade_off(entries: Sequence[Entry], bases: Sequence[Entry]) -> Score:
    flags = _flags(entries, "test_forget"), _flags(entries, "test_retain"), _flags(bases, "test_retain")
    forget, retain, base = flags
    if forget is not None and retain is not None and base is not None and retain.shape == base.shape:
        return trade_off_score(forget, retain, base)
    sides = ((entries, "test_forget"), (entries, "test_retain"), (bases, "test_retain"))
    shares = [np.array([entry.metrics[metric_name(split)] for entry in side]) for side, split in sides]
    sizes = [min(_size(entry, split) for entry in side) for side, split in sides]
    gradients = _gradients(*shares)
    variance = sum(
        float((gradient**2 * share * (1 - share)).mean()) / size
        for gradient, share, size in zip(gradients, shares, sizes, strict=True)
    )
    values = np.array([trade_off(*each) for each in zip(*shares, strict=True)])
    return Score(values, example_variance=variance, examples=min(sizes))
