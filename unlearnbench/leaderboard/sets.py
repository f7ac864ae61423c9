"""Which sets of examples a result was evaluated on, as its identity says, and what their metrics are called.

A plugin may call a metric whatever it likes: names of metrics are never taken apart.
"""

from __future__ import annotations

from unlearnbench.leaderboard.entry import SPLITS, Entry

# What an answer can be, as shares of a set: right, a generic label, another label of the task, or something else.
OUTCOMES = ("correct", "generic", "other_label", "anything_else")


def prefix(name: str) -> str:
    """What the metrics of a split or transfer task begin with."""
    return name if name in SPLITS else f"transfer_{name}"


def transfer_tasks(entry: Entry) -> set[str]:
    """The transfer tasks that a result was evaluated on."""
    return {evaluation.name for evaluation in entry.identity.further}


def evaluated(entry: Entry) -> list[str]:
    """The splits and transfer tasks that a result was evaluated on."""
    return sorted({evaluation.name for evaluation in entry.identity.splits} | transfer_tasks(entry))
