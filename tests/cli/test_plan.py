"""The plan of a run, as a table that fits on a terminal."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from tests.conftest import ToyTask
from unlearnbench.cell.cell import Cell
from unlearnbench.cli.plan import plan_table
from unlearnbench.config import build_config
from unlearnbench.contract.model_spec import ModelSpec
from unlearnbench.grid.estimate import Estimator
from unlearnbench.grid.grid import build_grid
from unlearnbench.plugins import Origin, Registered, Registry, registry

ORIGIN = Origin("test", "test", "0")
SEEDS = [0, 1, 2, 3, 7]


@pytest.fixture
def cells(model_folder: Path) -> list[Cell]:
    """Vanilla of one seed; base, GA and SPUL of five."""
    spec = ModelSpec("mine", "Mine", "For tests.", str(model_folder))
    installed = Registry({"toy": Registered(ToyTask, ORIGIN)}, registry().methods, {"mine": Registered(spec, ORIGIN)})
    names = {"tasks": ["toy"], "methods": ["ga", "spul"], "models": ["mine"], "seeds": SEEDS}
    return build_grid(build_config({}, names).model_copy(update={"set": {}}), installed)


def shown(cells: list[Cell], todo: dict[str, float], failed: set[str]) -> str:
    """The table on 80 columns, without its lines and with each space once."""
    console = Console(width=80)
    with console.capture() as captured:
        console.print(plan_table(cells, todo, failed, Estimator(cells[0].scenario.config)))
    text = captured.get()
    lines = [line for line in text.splitlines() if line.startswith("│")]
    assert all(len(line) <= 80 and line.endswith("│") for line in lines)
    columns = [line.split("│")[1:-1] for line in lines]
    return "\n".join(" ".join(" ".join(parts).split()) for parts in zip(*columns, strict=True))


def test_seeds_of_the_same_sizes_share_a_line(cells: list[Cell]) -> None:
    text = shown(cells, {cell.key: 60.0 for cell in cells}, set())
    assert text.splitlines()[0] == "mine / toy seeds 0-3, 7"
    assert "to run: vanilla, base, ga, spul" in text
    assert "0:16:00" in text


def test_what_is_finished_and_what_failed_are_told_apart_with_their_seeds(cells: list[Cell]) -> None:
    finished = [cell for cell in cells if cell.row in ("vanilla", "base") or cell.name.endswith(("0 / ga", "1 / ga"))]
    failed = [cell for cell in cells if cell.name.endswith("3 / spul")]
    todo = {cell.key: 1.0 for cell in cells if cell not in finished + failed}
    text = shown(cells, todo, {cell.key for cell in failed})
    assert "to run: ga (seeds 2, 3, 7), spul (seeds 0-2, 7)" in text
    assert "finished: vanilla, base, ga (seeds 0, 1)" in text
    assert "failed before: spul (seed 3)" in text
