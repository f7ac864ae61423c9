"""Made-up entries whose numbers and single predictions agree."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from inspect import signature
from typing import Any

from unlearnbench.config import RunConfig
from unlearnbench.identity.ids import (
    BaseId,
    CellId,
    EvaluationId,
    ForgetTarget,
    HeldBaseId,
    MachineId,
    MethodId,
    ModelId,
    PrecisionId,
    RecipeId,
    RetrainId,
    TrainedId,
    TuningId,
    Value,
    Values,
    values,
)
from unlearnbench.leaderboard.entry import DataFacts, Entry

SIZE = 10
SPLITS = ("train_forget", "train_retain", "test_forget", "test_retain")


def flags(share: float, size: int = SIZE) -> str:
    """The given share of the examples right, the first ones."""
    right = round(share * size)
    return "1" * right + "0" * (size - right)


PRECISION = PrecisionId("float32", "float32", "packed", 1024)
RECIPE = RecipeId(6, 16, 3e-4, 0.05, 0.001, 1.0, "adamw", None)
LIBRARIES = values({"torch": "2.9", "transformers": "5.0"})
MACHINE = MachineId("cpu", "some", 1, 768)


def identity(
    row: str,
    seed: int | None = 0,
    *,
    block: str = "b",
    trial_budget: int | None = 2,
    tuned_on: int | None = None,
    task: str = "sst2",
    model: str = "m",
    revision: str = "r",
    rows: str = "f",
    fixed: Mapping[str, Value] | None = None,
    libraries: Values = LIBRARIES,
    transfer: Mapping[str, str] | None = None,
    machine: MachineId = MACHINE,
    target: ForgetTarget = "zero",
) -> CellId:
    """An identity; results of another `block` have another base model, those of other `rows` other test data."""
    subject: ModelId | HeldBaseId | RetrainId | TrainedId = ModelId(revision)
    if row != "vanilla":
        assert seed is not None
        subject = HeldBaseId(BaseId(ModelId(revision), block, RECIPE, PRECISION, None, libraries, seed), False)
        if row == "retrain":
            subject = RetrainId(subject, "r")
        elif row != "base":
            method = MethodId(row, "unlearnbench", "1", values(fixed or {}), (), ())
            tuning = TuningId(trial_budget, "f", "r", "spread", tuned_on, target)
            subject = TrainedId(subject, method, "f", (), "adamw", tuning, PRECISION, None, libraries, seed)
    splits = tuple(EvaluationId(name, f"{rows} {name}", ("a", "b"), ("unknown",)) for name in SPLITS)
    further = tuple(EvaluationId(name, found, ("a", "b"), ("unknown",)) for name, found in (transfer or {}).items())
    return CellId(task, model, row, subject, PRECISION, splits, further, machine)


def entry(row: str, forget: float, retain: float, seed: int | None = 0, *, size: int = SIZE, **changes: Any) -> Entry:
    """A result of `row` with the given accuracies; `changes` are those of `identity` or fields of the entry."""
    accuracies = {split: forget if "forget" in split else retain for split in SPLITS}
    if row == "base":
        # It has memorised its training rows.
        accuracies |= {"train_forget": 1.0, "train_retain": 1.0}
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
    metrics |= {f"transfer_{name}_accuracy": retain for name in changes.get("transfer") or ()}
    decided = {name: changes.pop(name) for name in list(changes) if name in IDENTIFYING}
    facts: dict[str, Any] = {
        "identity": identity(row, seed, **decided),
        "title": row.upper(),
        "preset": "quick",
        "plugin": "",
        "recorded": datetime(2026, 11, 21, tzinfo=UTC),
        "data": DataFacts(source="made up", fingerprint="f", sizes=dict.fromkeys(SPLITS, size)),
        "hyperparameters": {"learning_rate": "0.1"},
        "metrics": metrics,
        "versions": dict.fromkeys(("unlearnbench", "torch", "transformers", "python"), "1"),
        "hardware": {"cpu": "some"},
        "config": RunConfig(tasks=("sst2",)).model_dump(mode="json"),
        "right": {"test_forget": flags(forget, size), "test_retain": flags(retain, size)}
        | {name: flags(retain, size) for name in decided.get("transfer") or ()},
    }
    return Entry(**{**facts, **changes})


IDENTIFYING = set(signature(identity).parameters) - {"row", "seed"}

ENTRIES = [entry("spul", 0.1, 0.8), entry("vanilla", 0.0, 0.3), entry("ga", 0.5, 0.9), entry("base", 0.9, 0.9)]
