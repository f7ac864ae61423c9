"""The task keeps the promises of a task, and the metrics are what they say."""

import math

import pytest
from unlearnbench_authors import Authors, Probability, RougeL

from unlearnbench.api import DataSource, Predictions
from unlearnbench.testing import Check, task_checks


@pytest.mark.parametrize("check", task_checks(Authors), ids=str)
def test_promises(check: Check) -> None:
    check()


def test_forgotten_authors_are_the_same_in_training_and_test() -> None:
    splits = Authors(Authors.Options(authors=10, forgotten=3)).splits(DataSource("bundled"), 1)
    forgotten = {example.group for example in splits.train_forget}
    assert forgotten == {example.group for example in splits.test_forget}
    assert len(forgotten) == 3
    assert not forgotten & {example.group for example in splits.train_retain}
    answers = [example.answer for example in splits.train_retain]
    assert answers == [example.answer for example in splits.test_retain]


def test_metrics_by_hand() -> None:
    predictions = Predictions(
        answers=["a b c d", "x y"],
        predicted=["a b c d", "z"],
        labels=(),
        generic_labels=(),
        log_probabilities=[math.log(0.0625), math.log(0.25)],
        answer_tokens=[4, 2],
        written=["a c b d", "z"],
    )
    assert RougeL().compute(predictions) == pytest.approx((3 / 4 + 0) / 2)
    assert Probability().compute(predictions) == pytest.approx((0.5 + 0.5) / 2)
