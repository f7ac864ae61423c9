"""From results to the accuracies that tables judge, with every single prediction where it is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from unlearnbench.leaderboard.entry import Entry
from unlearnbench.leaderboard.sets import prefix
from unlearnbench.leaderboard.statistics import Floats, Score


def metric_name(split: str) -> str:
    """The accuracy metric of a split or transfer task."""
    return f"{prefix(split)}_accuracy"


def size(entry: Entry, split: str) -> int:
    """The number of test examples."""
    if split in entry.right:
        return len(entry.right[split])
    return int(entry.metrics.get(f"{prefix(split)}_examples", entry.data.sizes.get(split, 0)))


def flags(entries: Sequence[Entry], split: str) -> Floats | None:
    """``[seeds, examples]``, 1 for each right prediction, or None if the single predictions are not known."""
    texts = [entry.right.get(split, "") for entry in entries]
    if not texts[0] or any(len(text) != len(texts[0]) for text in texts):
        return None
    return np.array([[flag == "1" for flag in text] for text in texts], float)


def accuracy_score(right: Floats) -> Score:
    """The score of an accuracy.

    Args:
        right: ``[seeds, examples]``, 0 or 1.
    """
    return Score(right.mean(1), {"": right}, examples=right.shape[1])


def shares(entries: Sequence[Entry], split: str) -> Floats:
    """The accuracies, ``[seeds]``."""
    return np.array([entry.metrics[metric_name(split)] for entry in entries])


def accuracy(entries: Sequence[Entry], split: str) -> Score:
    """The score of the results' accuracy on a split or transfer task."""
    right = flags(entries, split)
    if right is not None:
        return Score(right.mean(1), {split: right}, examples=right.shape[1])
    values, examples = shares(entries, split), min(size(entry, split) for entry in entries)
    return Score(values, example_variance=float((values * (1 - values)).mean()) / examples, examples=examples)
