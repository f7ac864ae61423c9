"""The trade-off between forgetting and keeping, as one number."""

from __future__ import annotations

LEARNED = 0.95


def training_accuracy(accuracies: tuple[float, float], sizes: tuple[float, float]) -> float:
    """Accuracy on forget and retain rows together, from that on each and their numbers.

    >>> training_accuracy((1.0, 0.9), (100, 300))
    0.925
    """
    return sum(accuracy * size for accuracy, size in zip(accuracies, sizes, strict=True)) / sum(sizes)


def remedy(as_it_is: bool) -> str:
    """What to do about a base model that does not know its training rows.

    Args:
        as_it_is: whether it was taken as it is, rather than fine-tuned.
    """
    if as_it_is:
        return "let it be fine-tuned first (`--set base.kind=lora`), or name a model that knows them"
    return "train it longer (`--set base.epochs=...`, or a higher `base.learning_rate`), or take a larger model"


def has_learned(accuracy: float) -> bool:
    """Whether a base model with this accuracy on its training rows has learned enough to unlearn it."""
    return accuracy >= LEARNED


def trade_off(forget_accuracy: float, retain_accuracy: float, base_retain_accuracy: float) -> float:
    """Harmonic mean of 1 - forget accuracy and of retain accuracy relative to the base model's (at most 1).

    Between 0 and 1; 0 when nothing is forgotten or nothing is retained, so that neither half can buy the other.

    >>> trade_off(forget_accuracy=0.0, retain_accuracy=0.9, base_retain_accuracy=0.9)
    1.0
    """
    forgotten = 1 - forget_accuracy
    kept = min(1.0, retain_accuracy / base_retain_accuracy) if base_retain_accuracy > 0 else 0.0
    return 2 * forgotten * kept / (forgotten + kept) if forgotten + kept > 0 else 0.0
