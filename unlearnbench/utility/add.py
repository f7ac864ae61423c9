"""Asks the models of finished cells benchmarks of lm-evaluation-harness, and records the answers with the cells."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from unlearnbench import __version__
from unlearnbench.cell.kept_model import KeptModel, KeptModels, NotKeptError
from unlearnbench.cell.recording import attach
from unlearnbench.console.progress import working
from unlearnbench.leaderboard.entry import Entry, UtilityEntry
from unlearnbench.leaderboard.stored import entries_by_run
from unlearnbench.leaderboard.utility import utilities_of
from unlearnbench.plugins import Registry
from unlearnbench.tracking.run import Record
from unlearnbench.tracking.store import RESULT, Store
from unlearnbench.utility.answers import answers, is_answered, metrics_of
from unlearnbench.utility.benchmarks import HARNESS, Benchmark
from unlearnbench.utility.harness_model import HarnessModel

if TYPE_CHECKING:
    import pandas as pd

# What has no place in the name of a file.
ODD = re.compile(r"[^\w.-]")


@dataclass(frozen=True)
class Asking:
    """A finished cell whose model can be asked what it was not asked before."""

    run_id: str
    entry: Entry
    model: KeptModel
    benchmarks: Sequence[Benchmark]

    @property
    def is_answered(self) -> bool:
        """Whether models in the same state have answered all of it."""
        return all(is_answered(benchmark, self.model.state) for benchmark in self.benchmarks)


@dataclass
class UtilityPlan:
    """What there is to ask.

    Attributes:
        before: how many cells have all benchmarks already.
        lacking: why a cell's model can't be asked, by the cell's name.
    """

    asking: list[Asking] = field(default_factory=list)
    before: int = 0
    lacking: dict[str, str] = field(default_factory=dict)

    @property
    def models(self) -> int:
        """How many models have to be loaded."""
        return len({one.model.state for one in self.asking if not one.is_answered})


def plan_utility(store: Store, benchmarks: Sequence[Benchmark], known: Registry, device: str | None) -> UtilityPlan:
    """Looks up which cells lack a benchmark, and where their models are."""
    plan = UtilityPlan()
    runs = {run.info.run_id: run for run in store.finished_cells().values()}
    models = KeptModels(store, known, device)
    for run_id, entry in entries_by_run(store).items():
        had = {one.asked for one in entry.utility}
        new = [benchmark for benchmark in benchmarks if benchmark.asked not in had]
        if not new:
            plan.before += 1
            continue
        try:
            plan.asking.append(Asking(run_id, entry, models.find(runs[run_id], entry), new))
        except NotKeptError as error:
            plan.lacking[entry.name] = str(error)
    return plan


def ask(store: Store, plan: UtilityPlan, told: Callable[[str], object]) -> None:
    """Asks, and records each cell as soon as it is done; what was answered before an interruption is not asked again.

    Args:
        told: is told the name of each cell that is recorded.
    """
    held: tuple[str, HarnessModel] | None = None
    for one in sorted(plan.asking, key=lambda asking: asking.model.state):

        def model(kept: KeptModel = one.model) -> HarnessModel:
            nonlocal held
            if held is None or held[0] != kept.state:
                held = None  # frees the former weights before new ones are loaded
                loaded, encoder = kept.load()
                held = kept.state, HarnessModel(loaded, encoder.tokenizer)
            return held[1]

        found = {}
        for benchmark in one.benchmarks:
            with working(f"{one.entry.name}: {benchmark}"):
                found[benchmark.name] = answers(benchmark, one.model.state, model)
        _record(store, one, found)
        told(one.entry.name)


def _record(store: Store, one: Asking, found: dict[str, pd.DataFrame]) -> None:
    new = tuple(_utility(benchmark, found[benchmark.name]) for benchmark in one.benchmarks)
    # Of a benchmark with other examples or another version both are kept; they stand in columns of their own.
    entry = one.entry.model_copy(update={"utility": (*one.entry.utility, *new)})
    record = Record(store.client, one.run_id, store.artifacts)
    with tempfile.TemporaryDirectory() as scratch:
        for benchmark in one.benchmarks:
            place = Path(scratch) / "utility" / f"{ODD.sub('_', benchmark.name)}-{benchmark.asked}.parquet"
            place.parent.mkdir(exist_ok=True)
            found[benchmark.name].to_parquet(place)
        record.artifacts(Path(scratch))
    record.metrics({metric: score.mean for metric, score in utilities_of([entry]).items()})
    attach(record, {RESULT: entry.model_dump_json(indent=1)})


def _utility(benchmark: Benchmark, frame: pd.DataFrame) -> UtilityEntry:
    return UtilityEntry(
        name=benchmark.name,
        version=benchmark.version,
        harness=f"{HARNESS} {version(HARNESS)}",
        few_shots=benchmark.few_shots,
        asked=benchmark.asked,
        size=benchmark.size,
        seed=benchmark.seed,
        values={metric: _told(values) for metric, values in metrics_of(frame).items()},
        added=datetime.now(UTC).replace(microsecond=0),
        package=__version__,
    )


def _told(values: list[float]) -> str | tuple[float, ...]:
    return "".join(f"{value:.0f}" for value in values) if set(values) <= {0.0, 1.0} else tuple(values)
