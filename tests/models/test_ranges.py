"""Learning rates by a model's size and the kind of what is trained, for models that bring no ranges of their own."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import pytest

from unlearnbench.api import Batch, LogUniform, Method
from unlearnbench.config import build_config
from unlearnbench.contract.hyperparameters import Choice, Fixed, over
from unlearnbench.errors import UserError
from unlearnbench.grid.grid import build_grid
from unlearnbench.models.ranges import BASE_RATES, BASE_SIZES, FOUND, SIZES, base_rate_by_size, range_by_size
from unlearnbench.plugins import Origin, Registered, Registry, registry

TINY = Path(str(registry().models["tiny"].item.location))


class Plain(Method):
    """A plugin's method that says nothing of learning rates."""

    name, title, description = "plain", "Plain", "Plain."
    uses = ("forget", "retain")

    def loss(self, batch: Batch) -> Any:
        return batch.retain.cross_entropy()


class Knowing(Plain):
    name = "knowing"
    learning_rate = LogUniform(1e-4, 1e-2, default=1e-3)


def spaces(model: str, **settings: Any) -> dict[str, Any]:
    """Each method's learning rates on a model."""
    origin = Origin("p", "package", "1")
    own = {method.name: Registered(method, origin) for method in (Plain, Knowing)}
    known = registry()
    installed = Registry(known.tasks, {**known.methods, **own}, known.models)
    names = ["plain", "knowing", "ga-gd", "spul"]
    config = build_config({}, {"preset": "quick", "tasks": ["sst2"], "methods": names, "models": [model], **settings})
    choices = [cell.choice for cell in build_grid(config, installed) if cell.choice is not None]
    return {choice.method.name: choice.space.get("learning_rate") for choice in choices}


def ends(found: LogUniform | None) -> tuple[float, float, float]:
    assert found is not None
    return found.low, found.high, found.default


@pytest.mark.parametrize("trained", ["weights", "soft prompt"])
def test_the_line_goes_through_both_models_and_ends_at_a_billion(trained: Any) -> None:
    for size, found in zip(SIZES, FOUND[trained], strict=True):
        assert ends(range_by_size(round(size), trained)) == pytest.approx(ends(found))
    middle = range_by_size(round(math.sqrt(SIZES[0] * SIZES[1])), trained)
    first, last = FOUND[trained]
    assert ends(middle)[0] == pytest.approx(math.sqrt(first.low * last.low), rel=0.05)
    assert range_by_size(2_000_000_000, trained) is None


def test_a_copy_of_the_model_and_a_plugins_method_get_ranges_of_its_size(tmp_path: Path) -> None:
    registered = spaces("tiny")
    assert ends(registered["ga-gd"]) == (3e-4, 2e-3, 1e-3)
    assert ends(registered["plain"]) == ends(registered["ga-gd"]), "the same loss gets the same search"
    assert ends(registered["knowing"]) == (1e-4, 1e-2, 1e-3)
    shutil.copytree(TINY, tmp_path / "copy")
    copied = spaces(str(tmp_path / "copy"))
    assert ends(copied["spul"]) == ends(registered["spul"])
    assert ends(copied["ga-gd"]) == ends(copied["plain"]) == ends(FOUND["weights"][0])
    assert ends(copied["knowing"]) == (1e-4, 1e-2, 1e-3)


def test_base_rates_go_through_three_models_and_are_level_beyond() -> None:
    for trained, rates in BASE_RATES.items():
        assert [base_rate_by_size(round(size), trained) for size in BASE_SIZES] == list(rates)
        assert base_rate_by_size(1000, trained) == rates[0]
        assert base_rate_by_size(10**12, trained) == rates[-1]
        middle = base_rate_by_size(round(math.sqrt(BASE_SIZES[1] * BASE_SIZES[2])), trained)
        assert middle == pytest.approx(math.sqrt(rates[1] * rates[2]), rel=0.05)


def test_base_models_of_the_committed_boards_keep_their_rates_and_a_copy_has_the_same(tmp_path: Path) -> None:
    shutil.copytree(TINY, tmp_path / "copy")

    def rates(model: str, **settings: Any) -> set[float | None]:
        given = {"preset": "quick", "tasks": ["sst2"], "methods": ["ga"], "models": [model], **settings}
        cells = build_grid(build_config({}, given), registry())
        recipes = [cell.scenario.base_id.recipe for cell in cells]
        return {None if recipe is None else recipe.learning_rate for recipe in recipes}

    assert rates("tiny") == rates(str(tmp_path / "copy")) == {3e-4}
    assert rates("tiny", base={"kind": "qlora"}) == rates(str(tmp_path / "copy"), base={"kind": "lora"}) == {5e-3}
    assert rates("tiny", base={"learning_rate": 0.5}) == {0.5}
    assert rates("tiny", base={"kind": "none"}) == {None}


def test_a_configuration_gives_ranges_and_one_value_for_every_method() -> None:
    given = spaces("tiny", set={"plain": {"learning_rate": [1e-3, 1e-1]}, "ga-gd": {"learning_rate": 0.5}})
    assert ends(given["plain"]) == (1e-3, 1e-1, 1e-2)
    assert given["ga-gd"] is None
    assert set(spaces("tiny", set={"methods": {"learning_rate": 0.1}}).values()) == {None}
    with pytest.raises(UserError, match="methods has no hyper-parameter 'lr'"):
        spaces("tiny", set={"methods": {"lr": 0.1}})


def test_lists_and_ranges_that_do_not_fit_are_refused() -> None:
    rate, layers = LogUniform(1e-6, 1e-3, default=1e-5), Fixed(3)
    rate.name, layers.name = "learning_rate", "layers"
    found = over(layers, (1, 2, 3))
    assert isinstance(found, Choice)
    assert (found.choices, found.default) == ((1, 2, 3), 3)
    for values, message in (((1e-3, 1e-5), "the lower one first"), ((1e-3, 1e-2, 1e-1), "two ends"), ((), "no values")):
        with pytest.raises(UserError, match=message):
            over(rate, values)
    with pytest.raises(UserError, match="must be of type int"):
        over(layers, ("a",))
