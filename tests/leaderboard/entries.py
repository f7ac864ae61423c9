"""Made-up entries whose numbers and single predictions agree."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from unlearnbench.config import RunConfig
from unlearnbench.leaderboard.entry import DataFacts, Entry

SIZE = 10
SPLITS = ("train_forget", "train_retain", "test_forget", "test_retain")


def flags(share: float, size: int = SIZE) -> str:
    """The given share of the examples right, the first ones."""
    right = round(share * size)
    return "1" * right + "0" * (size - right)


def entry(row: str, forget: float, retain: float, seed: int | None = 0, *, size: int = SIZE, **changes: Any) -> Entry:
    """A result of `row` with the given accuracies."""
    accuracies = {split: forget if "forget" in split else retain for split in SPLITS}
    metrics = {f"{split}_{metric}": value for split, value in accuracies.items() for metric in ("accuracy", "f1")}
    metrics |= {f"{split}_examples": float(size) for split in SPLITS}
    metrics |= {"test_forget_correct": forget, "test_forget_generic": 1 - forget}
    metrics |= {"test_forget_other_label": 0.0, "test_forget_anything_else": 0.0}
    metrics |= {
        "trainable_parameters": 1_192_192.0,
        "training_wall_seconds": 12.0,
        "training_peak_memory_bytes": 2.0**30,
    }
    metrics |= {"tuning_wall_seconds": 3.0, "trials": 2.0}
    facts: dict[str, Any] = {
        "key": f"{row}-{seed}-{changes.get('block', 'b')}",
        "task": "sst2",
        "model": "m",
        "row": row,
        "title": row.upper(),
        "seed": None if row == "vanilla" else seed,
        "block": "b",
        "preset": "quick",
        "trial_budget": 2,
        "plugin": "",
        "recorded": datetime(2026, 11, 21, tzinfo=UTC),
        "model_revision": "r",
        "data": DataFacts(source="made up", fingerprint="f", sizes=dict.fromkeys(SPLITS, size)),
        "hyperparameters": {"learning_rate": "0.1"},
        "metrics": metrics,
        "versions": dict.fromkeys(("unlearnbench", "torch", "transformers", "python"), "1"),
        "hardware": {"cpu": "some"},
        "config": RunConfig(tasks=("sst2",)).model_dump(mode="json"),
        "right": {"test_forget": flags(forget, size), "test_retain": flags(retain, size)},
    }
    return Entry(**{**facts, **changes})


ENTRIES = [entry("spul", 0.1, 0.8), entry("vanilla", 0.0, 0.3), entry("ga", 0.5, 0.9), entry("base", 0.9, 0.9)]
