"""Which values a method's hyper-parameters take: its own, its model's, or the configuration's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ToyTask
from unlearnbench.api import Choice, Fixed, LogUniform
from unlearnbench.cell.method_choice import MethodChoice
from unlearnbench.config import build_config
from unlearnbench.contract.hyperparameters import Hyperparameter
from unlearnbench.contract.model_spec import ModelSpec
from unlearnbench.errors import UserError
from unlearnbench.grid.grid import build_grid
from unlearnbench.plugins import Origin, Registered, Registry, registry

ORIGIN = Origin("test", "test", "0")


def chosen(folder: Path, own: dict[str, Hyperparameter[Any]], settings: dict[str, Any]) -> MethodChoice:
    """SPUL's values on a model with hyper-parameters of its own."""
    spec = ModelSpec("mine", "Mine", "For tests.", str(folder), hyperparameters={"spul": own})
    installed = Registry({"toy": Registered(ToyTask, ORIGIN)}, registry().methods, {"mine": Registered(spec, ORIGIN)})
    names = {"tasks": ["toy"], "methods": ["spul"], "models": ["mine"]}
    config = build_config({}, names).model_copy(update={"set": {"spul": settings}})
    (choice,) = [cell.choice for cell in build_grid(config, installed) if cell.choice is not None]
    return choice


def test_values_that_a_model_fixes_are_used(model_folder: Path) -> None:
    choice = chosen(model_folder, {"alpha": Fixed(0.7), "epochs": Fixed(3), "beta": Choice((0.0, 0.3), 0.3)}, {})
    assert {"alpha", "epochs"}.isdisjoint(choice.space)
    assert (choice.fixed["alpha"], choice.fixed["epochs"], choice.defaults["beta"]) == (0.7, 3, 0.3)
    assert choice.build({**choice.defaults, "beta": 0.0}).hyperparameters["alpha"] == 0.7


def test_configuration_wins_over_the_model(model_folder: Path) -> None:
    choice = chosen(model_folder, {"alpha": Fixed(0.7), "learning_rate": LogUniform(1e-3, 1e-2, 4e-3)}, {"alpha": 0.2})
    assert choice.fixed["alpha"] == 0.2
    assert choice.defaults["learning_rate"] == 4e-3


def test_a_model_may_only_fix_what_the_method_has(model_folder: Path) -> None:
    with pytest.raises(UserError, match="spul has no hyper-parameter 'alpa': did you mean 'alpha'"):
        chosen(model_folder, {"alpa": Fixed(0.7)}, {})
