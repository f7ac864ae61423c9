"""Weighted F1 (SPUL, section 4.1)."""

from __future__ import annotations

from unlearnbench.api import Metric, Predictions, hookimpl


class WeightedF1(Metric):
    """F1 of each true answer, weighted by how often it occurs; anything else predicted counts as wrong."""

    name = "f1"
    title = "F1"
    description = "F1 of each true answer, weighted by how often it occurs; anything else predicted is wrong."

    def compute(self, predictions: Predictions) -> float:
        from sklearn.metrics import f1_score

        return float(f1_score(predictions.answers, predictions.predicted, average="weighted", zero_division=0))


@hookimpl
def register_metrics() -> list[type[Metric]]:
    return [WeightedF1]
