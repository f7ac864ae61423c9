"""Hyper-parameters are declared on classes and have values on instances."""

from __future__ import annotations

import pytest

from unlearnbench.api import Choice, Fixed, LogUniform, Method
from unlearnbench.errors import UserError


class Toy(Method):
    name = "toy"
    title = "Toy"
    description = "For tests."
    uses = ("forget",)
    learning_rate = LogUniform(1e-4, 1e-2, default=1e-3)
    weight = Choice((0.5, 1.0), default=1.0)
    flag = Fixed(True)

    def loss(self, batch: object) -> object:  # type: ignore[override]
        return None


def test_class_has_the_declaration_and_instance_the_value() -> None:
    assert isinstance(Toy.learning_rate, LogUniform)
    assert Toy().learning_rate == 1e-3
    assert Toy(learning_rate=0.5).learning_rate == 0.5
    assert Toy(weight=2).hyperparameters["weight"] == 2.0
    assert Toy().hyperparameters["batch_size"] == 32


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"learning_rat": 1.0}, "toy has no hyper-parameter 'learning_rat': did you mean 'learning_rate'"),
        ({"learning_rate": float("nan")}, "toy.learning_rate is nan, but must be a finite number"),
        ({"learning_rate": -1.0}, "toy.learning_rate is -1.0, but must be above 0"),
        ({"learning_rate": "fast"}, "toy.learning_rate is 'fast', but must be of type float"),
        ({"flag": 1}, "toy.flag is 1, but must be of type bool"),
        ({"epochs": 0}, "toy.epochs is 0, but must be at least 1"),
        ({"epochs": True}, "toy.epochs is True, but must be of type int"),
    ],
)
def test_bad_values_are_reported(values: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Toy(**values)
