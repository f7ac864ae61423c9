"""Whether a base model has learned what is to be forgotten: if not, nothing can be said of forgetting it."""

from __future__ import annotations

from collections.abc import Mapping

from unlearnbench.contract.objective import has_learned, remedy, training_accuracy
from unlearnbench.identity.ids import HeldBaseId
from unlearnbench.leaderboard.entry import Entry

TRAINING = ("train_forget", "train_retain")


def learned(base: Entry) -> bool:
    """Whether the base model of this entry knows its training rows."""
    accuracy = base_accuracy(base)
    return accuracy is None or has_learned(accuracy)


def base_accuracy(base: Entry) -> float | None:
    """Share of all training rows, forget and retain, that the base model answers; None if it is not known."""
    metrics = base.metrics
    accuracies = [metrics.get(f"{name}_accuracy") for name in TRAINING]
    sizes = [metrics.get(f"{name}_examples", base.data.sizes.get(name, 0)) for name in TRAINING]
    forget, retain = accuracies
    if forget is None or retain is None or not sum(sizes):
        return None
    return training_accuracy((forget, retain), (sizes[0], sizes[1]))


def learned_notes(bases: Mapping[int | None, Entry]) -> list[str]:
    """One sentence if base models have not learned their training rows."""
    unlearned = sorted((base for base in bases.values() if not learned(base)), key=lambda base: base.seed or 0)
    if not unlearned:
        return []
    found = ", ".join(f"{100 * (base_accuracy(base) or 0):.1f} % with seed {base.seed}" for base in unlearned)
    as_it_is = all(_as_it_is(base) for base in unlearned)
    fault, advice = "does not know" if as_it_is else "never learned", remedy(as_it_is)
    return [
        f"The base model {fault} its training rows ({found}; at least 95 % are needed): what it does not know "
        f"can't be unlearned, so trade-offs are left out. {advice[0].upper()}{advice[1:]}."
    ]


def _as_it_is(base: Entry) -> bool:
    subject = base.identity.subject
    return isinstance(subject, HeldBaseId) and subject.base.recipe is None
