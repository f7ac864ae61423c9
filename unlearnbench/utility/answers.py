"""Asks a model a benchmark, and keeps what it answers to every example."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from lm_eval.api.model import LM
from lm_eval.api.task import Task
from lm_eval.evaluator import evaluate

from unlearnbench.errors import UserError
from unlearnbench.storage.cache import cache_root, cached
from unlearnbench.storage.checksums import is_intact
from unlearnbench.utility.benchmarks import FEW_SHOT_SEED, NO_SHARES, Benchmark, mean_metrics

# Columns with a metric's value for each example begin with it.
METRIC = "metric "


def answers_entry(benchmark: Benchmark, state: str) -> Path:
    """The place of the answers in the cache.

    Args:
        state: hash of the model's weights, soft prompt and precision.
    """
    return cache_root() / "utility" / f"{benchmark.asked}-{state}"


def is_answered(benchmark: Benchmark, state: str) -> bool:
    """Whether a model of that state has answered before."""
    return is_intact(answers_entry(benchmark, state))


def answers(benchmark: Benchmark, state: str, model: Callable[[], LM]) -> pd.DataFrame:
    """The answers of a model to the examples of a benchmark, from the cache if it has answered before.

    Returns:
        A line for each example, with the columns `task`, `example` (its number there), `prompt`, `target`, `answers`
        (JSON), and ``metric NAME`` for each metric, between 0 and 1.

    Raises:
        UserError: the benchmark has no metric that is a mean over examples.
    """

    def make(folder: Path) -> None:
        parts = [_asked(name, task, list(benchmark.chosen[name]), model()) for name, task in benchmark.parts.items()]
        # What some parts of a group lack has no mean over the group.
        frame = pd.concat(parts, join="inner", ignore_index=True)
        if not metrics_of(frame):
            raise UserError(NO_SHARES.format(benchmark.name))
        frame.to_parquet(folder / "answers.parquet")

    return cached(answers_entry(benchmark, state), make, lambda folder: pd.read_parquet(folder / "answers.parquet"))


def metrics_of(frame: pd.DataFrame) -> dict[str, list[float]]:
    """By metric, a value for each example."""
    columns = [column for column in frame.columns if column.startswith(METRIC)]
    return {column.removeprefix(METRIC): frame[column].tolist() for column in columns}


def _asked(name: str, task: Task, numbers: list[int], model: LM) -> pd.DataFrame:
    # Drawing examples for prompts begins anew for every model.
    task.set_fewshot_seed(seed=FEW_SHOT_SEED)
    loaded: Any = {"tasks": {name: task}, "groups": {}, "group_map": {}}
    # Where all are asked, naming them would take time that grows with their square.
    some = None if len(numbers) == len(task.eval_docs) else {name: numbers}
    found: Any = evaluate(lm=model, task_dict=loaded, samples=some, bootstrap_iters=0)
    rows: dict[int, dict[str, Any]] = {}
    means = mean_metrics(task)
    for sample in found["samples"][name]:
        row = rows.setdefault(
            sample["doc_id"],
            {
                "task": name,
                "example": sample["doc_id"],
                "prompt": str(sample["arguments"][0][0]),
                "target": str(sample["target"]),
                "answers": json.dumps(sample["resps"], default=str),
            },
        )
        behind = "" if sample["filter"] == "none" else f",{sample['filter']}"
        row |= {f"{METRIC}{metric}{behind}": float(sample[metric]) for metric in means if _is_share(sample.get(metric))}
    # A metric that is no share of some example is left out.
    return pd.DataFrame([rows[number] for number in sorted(rows)]).dropna(axis="columns")


def _is_share(value: Any) -> bool:
    try:
        return math.isfinite(float(value)) and 0 <= float(value) <= 1
    except (TypeError, ValueError):
        return False
