"""What counts as forgotten, and the trade-off between forgetting and keeping as one number."""

from __future__ import annotations

from dataclasses import dataclass

LEARNED = 0.95


@dataclass(frozen=True)
class ForgetScale:
    """A scale of forgetting: complete at a target, nothing at some distance from it or farther, on either side.

    Attributes:
        target: the forget accuracy of a model that has forgotten.
        distance: how far from it nothing counts as forgotten: the base model's distance, but 1 for target zero.

    >>> ForgetScale(target=0.6, distance=0.4).forgotten(0.6)
    1.0
    """

    target: float = 0.0
    distance: float = 1.0

    def forgotten(self, forget_accuracy: float) -> float:
        """1 - |forget accuracy - target| / distance, at least 0."""
        return max(0.0, 1 - abs(forget_accuracy - self.target) / self.distance)


SUPPRESSION = ForgetScale()


def forget_scale(level: float, base_forget_accuracy: float) -> ForgetScale | None:
    """The scale on which the base model has forgotten nothing, and a model at `level` everything.

    Args:
        level: forget accuracy of the retrained model, or of one that guesses.

    Returns:
        None if the base model is at that level itself, so that there is nothing to forget.
    """
    distance = abs(base_forget_accuracy - level)
    return ForgetScale(level, distance) if distance > 0 else None


def over_forgetting(forget_accuracy: float, level: float) -> float:
    """How far a forget accuracy lies below the level that it should have, or 0."""
    return max(0.0, level - forget_accuracy)


def training_accuracy(accuracies: tuple[float, float], sizes: tuple[float, float]) -> float:
    """Accuracy on forget and retain rows together, computed from the accuracy on each and their numbers.

    >>> training_accuracy((1.0, 0.9), (100, 300))
    0.925
    """
    return sum(accuracy * size for accuracy, size in zip(accuracies, sizes, strict=True)) / sum(sizes)


def remedy(as_it_is: bool) -> str:
    """What to do about a base model that does not know its training rows.

    Args:
        as_it_is: whether it was used as it is instead of being fine-tuned.
    """
    if as_it_is:
        return "let it be fine-tuned first (`--set base.kind=lora`), or name a model that knows them"
    return (
        "train it longer (`--set base.epochs=...`), faster (a higher `base.learning_rate`) or all of its weights "
        "(`--set base.kind=full`), or take a larger model"
    )


def has_learned(accuracy: float) -> bool:
    """Whether a base model with this accuracy on its training rows has learned enough to unlearn it."""
    return accuracy >= LEARNED


def trade_off(
    forget_accuracy: float,
    retain_accuracy: float,
    base_retain_accuracy: float,
    scale: ForgetScale = SUPPRESSION,
) -> float:
    """Harmonic mean of what is forgotten and of retain accuracy relative to the base model's (at most 1).

    Between 0 and 1; 0 if nothing is forgotten or nothing is retained, so that neither can compensate for the other.

    Args:
        scale: of forgetting; by default 1 - forget accuracy.

    >>> trade_off(forget_accuracy=0.0, retain_accuracy=0.9, base_retain_accuracy=0.9)
    1.0
    """
    forgotten = scale.forgotten(forget_accuracy)
    kept = min(1.0, retain_accuracy / base_retain_accuracy) if base_retain_accuracy > 0 else 0.0
    return 2 * forgotten * kept / (forgotten + kept) if forgotten + kept > 0 else 0.0
