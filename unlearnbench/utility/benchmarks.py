"""Tasks of lm-evaluation-harness by name, and the examples of them that are asked."""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lm_eval.api.task import Task
from lm_eval.tasks import TaskManager

from unlearnbench.errors import UserError, first_line
from unlearnbench.storage import hub
from unlearnbench.storage.cache import content_hash

HARNESS = "lm_eval"
# With which lm-evaluation-harness draws examples for prompts.
FEW_SHOT_SEED = 1234
# Where data lie decides nothing: the rows themselves are hashed.
PLACES = {"dataset_path", "dataset_name", "dataset_kwargs"}

NO_SHARES = (
    "lm-eval task {} has no metric that is a mean of shares over examples, such as acc: only those have intervals "
    "here; choose another task."
)


@dataclass(frozen=True)
class Benchmark:
    """A task of lm-evaluation-harness, or a group of them.

    Attributes:
        parts: its tasks; a task is its only part.
        chosen: by part, the numbers of the examples that are asked.
        size: how many examples it has.
        seed: with which they were drawn; None if all are asked.
        asked: hash of everything that decides what is asked and how answers count.
    """

    name: str
    parts: Mapping[str, Task]
    chosen: Mapping[str, Sequence[int]]
    size: int
    seed: int | None
    asked: str

    @property
    def examples(self) -> int:
        """How many are asked."""
        return sum(map(len, self.chosen.values()))

    @property
    def version(self) -> str:
        """The tasks' own versions."""
        return ", ".join(sorted({str(part.VERSION) for part in self.parts.values()}))

    @property
    def few_shots(self) -> int:
        """The largest number of solved examples in a prompt."""
        return max(int(part.get_config("num_fewshot") or 0) for part in self.parts.values())

    def __str__(self) -> str:
        return self.name if self.seed is None else f"{self.name} ({self.examples} of {self.size} examples)"


def find_benchmarks(names: Sequence[str], folder: Path | None, examples: int | None, seed: int) -> list[Benchmark]:
    """The benchmarks with these names.

    Args:
        folder: with further tasks in YAML files, as `lm-eval --include_path` takes it.
        examples: how many of each are asked, drawn with `seed`; all if None.

    Raises:
        UserError: there is no such task, its data can't be had, or it can't be asked.
    """
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    if folder is not None and not folder.is_dir():
        raise UserError(f"--utility-path {folder} is not a folder: name one with lm-eval tasks as YAML files.")
    # If it can't be reached, the libraries would each try for many seconds.
    hub.trouble()
    manager = _manager(names, folder)
    for name in names:
        if name not in manager.all_tasks:
            close = " or ".join(map(repr, get_close_matches(name, manager.all_tasks, n=2)))
            hint = f"did you mean {close}?" if close else "`lm-eval ls tasks` lists them."
            raise UserError(f"lm-eval has no task {name!r}: {hint}")
    found = [one for name in names for one in _benchmarks(name, manager, examples, seed)]
    return list({one.name: one for one in found}.values())


def _manager(names: Sequence[str], folder: Path | None) -> TaskManager:
    """What knows all of the tasks; reading the harness's own thousands takes seconds, which own ones alone need not."""
    if folder is not None:
        own = TaskManager(include_path=str(folder), include_defaults=False)
        if set(names) <= set(own.all_tasks):
            return own
    return TaskManager(include_path=None if folder is None else str(folder))


def _benchmarks(name: str, manager: TaskManager, examples: int | None, seed: int) -> list[Benchmark]:
    """A task, a group as a whole, or each task that has this tag."""
    try:
        loaded = manager.load([name])
        parts: dict[str, Task] = dict(sorted(loaded["tasks"].items()))
        sizes = {part: len(task.eval_docs) for part, task in parts.items()}
    except Exception as error:  # tasks run code of their own, and read data through several libraries
        trouble = hub.trouble()
        where = f"; the Hugging Face hub can't be asked ({trouble})" if trouble else ""
        raise UserError(
            f"lm-eval task {name} can't be loaded ({first_line(error).rstrip('.')}): check its YAML file and its "
            f"data{where}."
        ) from None
    _check(name, parts, loaded["groups"].values())
    whole = {name: parts} if loaded["groups"] else {part: {part: task} for part, task in parts.items()}
    return [_drawn(one, tasks, sizes, examples, seed) for one, tasks in whole.items()]


def _drawn(
    name: str, parts: Mapping[str, Task], sizes: Mapping[str, int], examples: int | None, seed: int
) -> Benchmark:
    """The benchmark with the examples that are asked."""
    places = [(part, number) for part in parts for number in range(sizes[part])]
    is_subset = examples is not None and examples < len(places)
    asked = sorted(random.Random(seed).sample(places, examples)) if examples is not None and is_subset else places
    chosen: dict[str, list[int]] = {}
    for part, number in asked:
        chosen.setdefault(part, []).append(number)
    tasks = {part: parts[part] for part in chosen}
    for task in tasks.values():
        if task.get_config("num_fewshot") is None:
            task.set_config(key="num_fewshot", value=0)
    return Benchmark(name, tasks, chosen, len(places), seed if is_subset else None, _asked(tasks, chosen))


def _check(name: str, parts: Mapping[str, Task], groups: Any) -> None:
    if not parts:
        raise UserError(f"lm-eval task {name} has no parts: choose another one.")
    for part, task in parts.items():
        if getattr(task, "UNSAFE_CODE", False):
            raise UserError(
                f"lm-eval task {part} runs code that the model writes, which is not done here: leave it out."
            )
        if getattr(task, "MULTIMODAL", False):
            raise UserError(f"lm-eval task {part} shows pictures or sounds, and the models read text: leave it out.")
        if not mean_metrics(task):
            raise UserError(NO_SHARES.format(part))
    for group in groups:
        if any(not metric.weight_by_size for metric in group.aggregate_metric_list or ()):
            raise UserError(
                f"lm-eval's group {group.name} weighs small and large tasks alike, so that it has no examples of its "
                f"own: name its tasks ({', '.join(list(parts)[:4])}, ...)."
            )


def mean_metrics(task: Task) -> list[str]:
    """Metrics that are means over examples, of which more is better."""
    better: Mapping[str, bool] = task.higher_is_better()
    return [
        metric
        for metric, aggregate in task.aggregation().items()
        if getattr(aggregate, "__name__", "") == "mean" and better.get(metric, False)
    ]


def _asked(parts: Mapping[str, Task], chosen: Mapping[str, Sequence[int]]) -> str:
    described = []
    for name, task in parts.items():
        config = {key: value for key, value in task.dump_config().items() if key not in PLACES}
        documents = task.eval_docs
        rows = content_hash([documents[number] for number in chosen[name]])
        shots = content_hash(list(task.fewshot_docs())) if config.get("num_fewshot") else ""
        described.append([name, config, list(chosen[name]), rows, shots])
    return content_hash([version(HARNESS), described])
