"""Writes to a running MLflow run."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unlearnbench.tracking.artifacts import Artifacts
from unlearnbench.tracking.server import patiently

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass(frozen=True)
class Record:
    """A running MLflow run."""

    client: MlflowClient
    run_id: str
    stored: Artifacts

    def params(self, params: Mapping[str, Any]) -> None:
        """Logs parameters (as text)."""
        from mlflow.entities import Param

        patiently(
            self.client.log_batch,
            self.run_id,
            params=[Param(name, str(value)[:6000]) for name, value in params.items()],
        )

    def metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Logs metrics."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        patiently(
            self.client.log_batch,
            self.run_id,
            metrics=[Metric(_name(name), value, now, step) for name, value in metrics.items()],
        )

    def series(self, metrics: Mapping[str, Sequence[tuple[int, float]]]) -> None:
        """Logs metrics that have values at several steps."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        values = [Metric(name, value, now, step) for name, points in metrics.items() for step, value in points]
        patiently(self.client.log_batch, self.run_id, metrics=values)

    def tags(self, tags: Mapping[str, str]) -> None:
        """Sets tags."""
        from mlflow.entities import RunTag

        patiently(self.client.log_batch, self.run_id, tags=[RunTag(name, value) for name, value in tags.items()])

    def artifacts(self, folder: Path) -> None:
        """Stores everything in `folder`."""
        self.stored.store(self.run_id, folder)

    def finish(self, status: str = "FINISHED") -> None:
        """Ends the run."""
        patiently(self.client.set_terminated, self.run_id, status)


def _name(metric: str) -> str:
    """MLflow allows letters, digits, and ``_-. :/`` in a name."""
    return "".join(c if c.isalnum() or c in "_-. :/" else "_" for c in metric)
