"""Loads a task's splits, from the cache if they are there."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from unlearnbench.contract.source import DataSource
from unlearnbench.contract.task import SPLIT_NAMES, Example, Splits, Task, TaskOptions, TransferTask
from unlearnbench.data.checks import check_splits
from unlearnbench.data.own_task import OwnTask
from unlearnbench.data.sampling import stratified_sample, subsample
from unlearnbench.identity.digest import digest
from unlearnbench.identity.ids import SplitsId
from unlearnbench.plugins import Origin
from unlearnbench.storage.cache import cache_root, cached, content_hash

if TYPE_CHECKING:
    from unlearnbench.config import RunConfig


@dataclass(frozen=True, eq=False)
class TaskData:
    """A task's splits as a run uses them, after subsampling."""

    task: Task
    splits: Splits

    @cached_property
    def fingerprint(self) -> str:
        """A hash over every row of the four splits."""
        return content_hash([[name, [asdict(e) for e in examples]] for name, examples in self.splits.items()])


@dataclass(frozen=True, eq=False)
class TransferData:
    """A transfer task's test set as a run uses it, after subsampling."""

    task: TransferTask
    examples: tuple[Example, ...]

    @cached_property
    def fingerprint(self) -> str:
        """A hash over every row."""
        return content_hash([asdict(example) for example in self.examples])


def load_task(task: Task, origin: Origin, config: RunConfig) -> TaskData:
    """The task's splits, checked and subsampled as `config` says."""
    source = DataSource(config.data_root)
    splits = _cached_splits(task, origin, source, config.split_seed)
    splits = check_splits(task.name, splits, config.on_leakage, published=task.published)
    return TaskData(task, subsample(splits, config.max_train, config.max_test, config.split_seed))


def load_transfer(task: TransferTask, config: RunConfig) -> TransferData:
    """The transfer task's test set, subsampled as `config` says."""
    examples = task.test(DataSource(config.data_root), config.split_seed)
    return TransferData(task, stratified_sample(examples, config.max_test, config.split_seed))


def _cached_splits(task: Task, origin: Origin, source: DataSource, seed: int) -> Splits:
    if isinstance(task, OwnTask):
        return task.splits(source, seed)
    # Options that every task has decide how models are trained and judged, not what the rows are.
    options = task.options.model_dump(mode="json", exclude=set(TaskOptions.model_fields))
    identity = SplitsId(
        task.name, origin.package, origin.version, content_hash(options), task.data_identity(source), seed
    )
    entry = cache_root() / "splits" / f"{task.name}-{digest(identity)}"
    return cached(entry, lambda folder: _write(task.splits(source, seed), folder), _read)


def _write(splits: Splits, folder: Path) -> None:
    import pandas as pd

    for name, examples in splits.items():
        columns = ["prompt", "answer", "text", "group"]
        pd.DataFrame([asdict(example) for example in examples], columns=columns).to_parquet(folder / f"{name}.parquet")
    (folder / "provenance.json").write_text(json.dumps(dict(splits.provenance), indent=1), encoding="utf-8")


def _read(folder: Path) -> Splits:
    import pandas as pd

    frames = {name: pd.read_parquet(folder / f"{name}.parquet") for name in SPLIT_NAMES}
    provenance = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
    examples = {
        name: tuple(Example(*row) for row in frame[["prompt", "answer", "text", "group"]].itertuples(index=False))
        for name, frame in frames.items()
    }
    return Splits(**examples, provenance=provenance)
