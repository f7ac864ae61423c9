"""Accuracy: the share of right answers."""

from __future__ import annotations

from unlearnbench.api import Metric, Predictions, hookimpl


class Accuracy(Metric):
    """Share of examples whose every answer token is the full-vocabulary argmax."""

    name = "accuracy"
    title = "Accuracy"
    description = "Share of answers whose every token is the argmax over the whole vocabulary."

    def compute(self, predictions: Predictions) -> float:
        from sklearn.metrics import accuracy_score

        return float(accuracy_score(predictions.answers, predictions.predicted))


@hookimpl
def register_metrics() -> list[type[Metric]]:
    return [Accuracy]
