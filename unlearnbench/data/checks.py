"""Checks every task's splits before anything is trained on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from unlearnbench.config import OnLeakage
from unlearnbench.contract.task import Example, Splits
from unlearnbench.errors import UserError

SHARED = "training examples whose text is also in a test split"
EMPTY = "examples left out because their text is empty"


def settled(splits: Splits, *, published: bool = False) -> Splits:
    """The splits without common flaws of public data sets: empty texts, and training texts that are in a test split.

    Both are counted in the provenance. A task calls this on rows that the user has not written.

    Args:
        published: whether they are somebody's published splits; texts in both training and test then stay.
    """
    filled = replace(
        splits,
        **{name: tuple(e for e in examples if not is_blank(e.text)) for name, examples in splits.items()},  # type: ignore[arg-type]
    )
    empty = _size(splits) - _size(filled)
    counts = {EMPTY: str(empty)} if empty else {}
    if published:
        return replace(filled, provenance={**splits.provenance, **counts})
    kept, shared = _without_shared(filled)
    counts[SHARED] = f"{shared} (left out of training)" if shared else "none"
    return replace(kept, provenance={**splits.provenance, **counts})


def check_splits(task: str, splits: Splits, on_leakage: OnLeakage, *, published: bool = False) -> Splits:
    """The splits, without leaked training rows if `on_leakage` says to drop them.

    Args:
        published: whether they are somebody's published splits; shared texts are then counted, but stay. If the
            provenance already says why there are any, that stays, too.

    Raises:
        UserError: a split is empty, a row has an empty prompt or answer or characters that are not text, or a text is
            in both training and test.
    """
    splits = _checked_leakage(task, splits, on_leakage, published)
    for name, examples in splits.items():
        if not examples:
            raise UserError(
                f"task {task}: the split {name} is empty; each of the four splits needs at least one example. "
                "Change the task's options (see `unlearnbench data show`) or its data."
            )
        for index, example in enumerate(examples):
            if is_blank(example.prompt) or is_blank(example.answer):
                raise UserError(
                    f"task {task}: row {index} of the split {name} has an empty "
                    f"{'prompt' if is_blank(example.prompt) else 'answer'}: fill it or remove the row."
                )
            for column, value in (("prompt", example.prompt), ("answer", example.answer)):
                if not _is_text(value):
                    raise UserError(
                        f"task {task}: the {column} of row {index} of the split {name} has half of a surrogate pair, "
                        "which is not a character: write the row again as UTF-8, or remove it."
                    )
    return splits


def check_generic_labels(task: str, labels: Sequence[str], generic_labels: Sequence[str]) -> None:
    """Raises a UserError if a generic label is an answer of the task (SPUL, section 3.3), or if there is none."""
    shared = {label.strip().lower() for label in labels} & {label.strip().lower() for label in generic_labels}
    if shared:
        raise UserError(
            f"task {task}: {sorted(shared)[0]!r} is both a label of the task and a generic label: "
            "choose other generic labels with --generic-labels."
        )
    if not generic_labels:
        raise UserError("the list of generic labels is empty: name at least one with --generic-labels.")


def text_key(example: Example) -> str:
    """Two examples with the same key count as the same: their text, regardless of case and spacing."""
    return " ".join(example.text.lower().split())


def is_blank(text: str) -> bool:
    """Whether a text has nothing visible: only white space, control characters and zero-width characters."""
    return not any(character.isprintable() and not character.isspace() for character in text)


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _size(splits: Splits) -> int:
    return sum(len(examples) for _, examples in splits.items())


def _shared(splits: Splits) -> set[str]:
    """Texts that are in both test and training splits."""
    test = {text_key(example) for example in (*splits.test_forget, *splits.test_retain)}
    return test & {text_key(example) for example in (*splits.train_forget, *splits.train_retain)}


def _without_shared(splits: Splits) -> tuple[Splits, int]:
    """The splits without training examples whose text is in a test split, and how many were removed."""
    shared = _shared(splits)
    forget, retain = (
        tuple(example for example in examples if text_key(example) not in shared)
        for examples in (splits.train_forget, splits.train_retain)
    )
    kept = replace(splits, train_forget=forget, train_retain=retain)
    return kept, _size(splits) - _size(kept)


def _checked_leakage(task: str, splits: Splits, on_leakage: OnLeakage, published: bool) -> Splits:
    kept, leaked = _without_shared(splits)
    if not leaked:
        return replace(splits, provenance={**splits.provenance, SHARED: "none"}) if published else splits
    if on_leakage == "drop-from-train":
        return replace(kept, provenance={**splits.provenance, SHARED: f"{leaked} (left out of training)"})
    if published:
        return replace(splits, provenance={SHARED: f"{leaked} (left in, as published)", **splits.provenance})
    shared = _shared(splits)
    first = next(e for e in (*splits.train_forget, *splits.train_retain) if text_key(e) in shared)
    raise UserError(
        f"task {task}: {leaked} training examples are also in a test split, the first of them "
        f"{first.text[:80]!r}: remove them, or pass --on-leakage drop-from-train to leave them out of training."
    )
