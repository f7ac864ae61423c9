"""Leaderboard files of version 0.1 (schema version 1), whose results keep their place."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import AwareDatetime, Field

from unlearnbench.contract.rows import BASE, VANILLA
from unlearnbench.identity.ids import CellId, EarlierId, EvaluationId, ModelId
from unlearnbench.leaderboard.claims import OverallClaims, TableClaims
from unlearnbench.leaderboard.entry import SPLITS, Count, DataFacts, Entry, Flags, Name, Number, TrialEntry
from unlearnbench.leaderboard.frozen import Frozen


class EarlierEntry(Frozen):
    """A result as version 0.1 wrote it; `block` is a hash that results of one table share."""

    schema_version: Literal[1] = 1
    key: Name
    task: Name
    model: Name
    row: Name
    title: Name
    seed: Count | None
    block: Name
    preset: str
    trial_budget: Count
    tuned_on: Count | None = None
    edges: dict[str, Literal["lower", "upper"]] = Field(default_factory=dict)
    plugin: str
    recorded: AwareDatetime
    model_revision: str
    data: DataFacts
    hyperparameters: dict[str, str]
    metrics: dict[str, Number]
    versions: dict[str, str]
    hardware: dict[str, str]
    config: dict[str, Any] | None = None
    right: dict[str, Flags] = Field(default_factory=dict)
    trials: tuple[TrialEntry, ...] = ()

    def upgraded(self) -> Entry:
        """The same result, in tables with its like alone: what decided it is known as hashes only."""
        tuned = self.row not in (VANILLA, BASE)
        subject = EarlierId(
            ModelId(self.model_revision),
            self.block,
            self.key,
            self.trial_budget if tuned else None,
            self.seed,
            self.tuned_on,
        )
        splits = tuple(EvaluationId(name, self.data.fingerprint, (), ()) for name in SPLITS)
        further = tuple(EvaluationId(name, self.block, (), ()) for name in self._transfer_tasks())
        kept = self.model_dump(include=set(Entry.model_fields) - {"schema_version"})
        identity = CellId(self.task, self.model, self.row, subject, None, splits, further, None)
        return Entry(**{**kept, "identity": identity})

    def _transfer_tasks(self) -> list[str]:
        """Those that it was evaluated on, which only its metrics and single predictions name."""
        first, last = "transfer_", "_examples"
        counted = {
            metric.removeprefix(first).removesuffix(last)
            for metric in self.metrics
            if metric.startswith(first) and metric.endswith(last)
        }
        return sorted(counted | (self.right.keys() - set(SPLITS)))


class EarlierFile(Frozen):
    """What `leaderboard.json` held."""

    schema_version: Literal[1] = 1
    overall: tuple[OverallClaims, ...] = ()
    tables: tuple[TableClaims, ...] = ()
    entries: tuple[EarlierEntry, ...]
