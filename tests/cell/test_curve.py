"""Forgetting curves: right at each point, cheap, kept over interruptions, and without any effect on the training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.conftest import invoke, opt_tokenizer, tiny_opt
from tests.leaderboard.entries import ENTRIES, entry
from unlearnbench.cell.cell import Cell
from unlearnbench.cell.curve import affordable_points, due_steps, sizes
from unlearnbench.cell.trainer import Trained, Trainer
from unlearnbench.config import build_config
from unlearnbench.engine.checkpoint import Checkpoints
from unlearnbench.engine.training import Progress
from unlearnbench.grid.grid import build_grid
from unlearnbench.leaderboard.blocks import build_blocks
from unlearnbench.leaderboard.entry import CurvePointEntry, TrialEntry
from unlearnbench.leaderboard.files import open_entries
from unlearnbench.leaderboard.page.charts import best_curves, charts, mean_curve
from unlearnbench.leaderboard.page.page import to_html
from unlearnbench.plugins import registry
from unlearnbench.tracking.store import KIND, Store

# Of eight rows: enough to afford four points of sixteen rows, or of all there are.
EPOCHS = 80
MakeCell = Callable[..., Cell]


class StoppedError(Exception):
    """Stands for a killed process."""


def keeps_least(forget: float, retain: float, *base: object) -> float:
    """An objective."""
    return -retain


def nothing(progress: Progress) -> None:
    """Does nothing after a step."""


@pytest.fixture
def make_cell(tmp_path: Path, data_folder: Path) -> MakeCell:
    """The cell of a method on a tiny OPT, which has dropout, with so many points."""
    folder, tokenizer = tmp_path / "tiny-opt", opt_tokenizer()
    tiny_opt(len(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)

    def made(method: str, points: int, keep: str = "last") -> Cell:
        settings: dict[str, Any] = {
            "tasks": [f"path:{data_folder}"],
            "models": [str(folder)],
            "methods": [method],
            "base": {"kind": "full", "learning_rate": 0.003, "epochs": 8, "batch_size": 4},
            "tuning": {"trials": 0, "curve_points": points, "keep": keep},
            "set": {method: {"epochs": EPOCHS, "batch_size": 4, "learning_rate": 1e-3}},
        }
        (cell,) = [cell for cell in build_grid(build_config(settings, {}), registry()) if cell.choice is not None]
        return cell

    return made


def trained(
    cell: Cell, checkpoints: Checkpoints | None = None, on_step: Callable[[Progress], None] = nothing
) -> tuple[dict[str, torch.Tensor], Trained, Trainer]:
    """The weights (or the prompt) that the method makes, facts about the training, and where it took place."""
    assert cell.choice is not None
    trainer = Trainer(cell.scenario)
    with trainer.unlearn(cell.choice.build({}), on_step, checkpoints) as (model, facts):
        state = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
        return (state if model.prompt is None else {"prompt": model.prompt.clone()}), facts, trainer


def assert_equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["ga-gd", "spul"])
def test_training_ends_with_the_same_bits_and_the_curve_survives_a_stop(
    make_cell: MakeCell, method: str, tmp_path: Path
) -> None:
    plain, facts, _ = trained(make_cell(method, 0))
    assert facts.curve == facts.tested == ()
    watched, facts, _ = trained(make_cell(method, 8))
    assert_equal(plain, watched)
    assert [point.step for point in facts.curve] == [0, 32, 64, 96, 128]
    assert facts.steps == 160
    assert len({(point.forget_accuracy, point.retain_accuracy) for point in facts.curve}) > 1
    assert [point.step for point in facts.tested] == [0, 18, 36, 53, 71, 89, 107, 124, 142, 160]
    assert len({(point.forget, point.retain) for point in facts.tested}) > 1

    def stop(progress: Progress) -> None:
        if progress.step == 70:
            raise StoppedError

    with pytest.raises(StoppedError):
        trained(make_cell(method, 8), Checkpoints(tmp_path / "c", 0.0), stop)
    resumed, again, _ = trained(make_cell(method, 8), Checkpoints(tmp_path / "c", 0.0))
    assert_equal(plain, resumed)
    assert again.curve == facts.curve
    assert again.tested == facts.tested


@pytest.mark.slow
def test_points_are_what_plain_transformers_predicts_then(make_cell: MakeCell) -> None:
    cell = make_cell("ga-gd", 8)
    found: dict[int, tuple[float, float]] = {}
    tested: dict[int, list[list[str]]] = {}
    rows = cell.scenario.data.splits

    def plainly(trainer: Trainer, progress: Progress) -> None:
        assert trainer.slot._model is not None
        network = trainer.slot._model.network
        modes = [(module, module.training) for module in network.modules()]
        network.eval()
        flags = []
        for examples in (rows.train_forget, rows.train_retain, rows.test_forget, rows.test_retain):
            flags.append("")
            for row in trainer.encoder.encode(examples):
                with torch.no_grad():
                    best = network(torch.tensor([row.ids])).logits[0].argmax(-1).tolist()
                flags[-1] += "1" if tuple(best[row.answer_start - 1 : -1]) == row.answer else "0"
        for module, mode in modes:
            module.training = mode
        forget, retain = (right.count("1") / len(right) for right in flags[:2])
        found[progress.step] = (forget, retain)
        tested[progress.step] = [sorted(right) for right in flags[2:]]

    assert cell.choice is not None
    trainer = Trainer(cell.scenario)
    with trainer.unlearn(cell.choice.build({}), lambda progress: plainly(trainer, progress)) as (_, facts):
        pass
    assert len(facts.curve) == 5
    for point in facts.curve[1:]:
        assert (point.forget_accuracy, point.retain_accuracy) == found[point.step]
    assert len(facts.tested) == 10
    for answered in facts.tested[1:]:
        # In random order.
        assert [sorted(answered.forget), sorted(answered.retain)] == tested[answered.step]


@pytest.mark.parametrize("trained_rows", [100, 256, 512, 5120, 10**6])
@pytest.mark.parametrize("points", [0, 1, 8])
def test_a_curve_costs_at_most_a_tenth_of_the_training(points: int, trained_rows: int) -> None:
    count, rows = sizes(points, trained_rows)
    # Forwards alone is at most half of forwards and backwards; there are two sets.
    assert 2 * count * rows * 0.5 <= 0.1 * trained_rows
    assert count <= points
    assert rows == 0 if count == 0 else 16 <= rows <= 64
    if trained_rows >= 5120:
        assert (count, rows) == (points, 64 if points else 0)


@pytest.mark.parametrize("trained_rows", [100, 1000, 4000, 10**6])
@pytest.mark.parametrize("tested_rows", [1, 40, 200])
def test_tested_points_cost_at_most_another_tenth(trained_rows: int, tested_rows: int) -> None:
    count = affordable_points(8, trained_rows, tested_rows)
    assert count * tested_rows * 0.5 <= 0.1 * trained_rows
    assert count == 8 or (count + 1) * tested_rows * 0.5 > 0.1 * trained_rows


def test_points_divide_the_training() -> None:
    assert due_steps(3, 100) == {25, 50, 75}
    assert due_steps(8, 4) == {1, 2, 3}, "no step twice, and not the end"
    assert due_steps(0, 10) == frozenset()
    assert due_steps(5, 1) == frozenset()


@pytest.mark.slow
def test_curves_are_series_in_mlflow_and_part_of_the_leaderboard(
    model_folder: Path, data_folder: Path, tmp_path: Path
) -> None:
    results = tmp_path / "results"
    command = [
        "run", "--tasks", f"path:{data_folder}", "--models", model_folder, "--methods", "npo-rt", "--trials", 2,
        "--set", "base.kind=lora", "--set", "base.epochs=1", "--set", "npo-rt.epochs=60", "--results", results,
        "--set", "npo-rt.batch_size=4", "--quiet",
    ]  # fmt: skip
    assert invoke(*command).exit_code == 0
    (found,) = [one for one in open_entries(str(results)) if one.row == "npo-rt"]
    assert [point.step for point in found.trials[0].curve] == [0, 30, 60, 90, 120]
    assert found.trials[0].tested[0] == found.trials[1].tested[0], "the base model"
    assert [found.trials[0].tested[index].step for index in (0, -1)] == [0, 120]
    last = found.trials[1].curve[-1]
    assert (last.forget_accuracy, last.retain_accuracy) == (
        found.trials[1].forget_accuracy,
        found.trials[1].retain_accuracy,
    )
    store = Store(results)
    run = next(run for run in store._search(f"tags.`{KIND}` = 'trial'") if run.data.tags["unlearnbench.trial"] == "0")
    history = store.client.get_metric_history(run.info.run_id, "curve_retain_accuracy")
    assert [(point.step, point.value) for point in sorted(history, key=lambda point: point.step)] == [
        (point.step, point.retain_accuracy) for point in found.trials[0].curve
    ]
    again = invoke(*command, "--set", "tuning.curve_points=0")
    assert "0 cells to run" in again.output, "curves decide no result"


def curve(*points: tuple[int, float, float]) -> tuple[CurvePointEntry, ...]:
    return tuple(
        CurvePointEntry(step=step, forget_accuracy=forget, retain_accuracy=retain) for step, forget, retain in points
    )


def trial(number: int, rate: str, objective: float | None, points: tuple[CurvePointEntry, ...]) -> TrialEntry:
    return TrialEntry(
        number=number, values={"learning_rate": rate}, objective=objective, forget_accuracy=0.0, retain_accuracy=0.0,
        pruned=None, curve=points,
    )  # fmt: skip


def test_chart_shows_the_mean_way_of_the_best_trials() -> None:
    best = [curve((0, 1.0, 1.0), (5, 0.5, 0.9), (10, 0.1, 0.8)), curve((0, 1.0, 1.0), (5, 0.7, 0.7), (10, 0.3, 0.8))]
    other = curve((0, 1.0, 1.0), (5, 0.0, 0.0), (10, 0.0, 0.0))
    methods = [
        entry("spul", 0.1, 0.8, seed, trials=(trial(0, "0.5", 0.9, other), trial(1, "0.1", 0.8, best[seed])))
        for seed in (0, 1)
    ]
    (block,) = build_blocks([*ENTRIES[1:], *methods])
    (line,) = [line for line in block.lines if line.row == "spul"]
    assert best_curves(line) == best, "those whose values the result has"
    assert mean_curve(best) == [
        pytest.approx((0.0, 1.0, 1.0)),
        pytest.approx((0.5, 0.6, 0.8)),
        pytest.approx((1.0, 0.2, 0.8)),
    ]
    assert "curves" in charts(block, with_paper=False)
    assert "Forgetting curves" in to_html([block], {})
    (without,) = build_blocks(ENTRIES)
    assert "curves" not in charts(without, with_paper=False)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["ga-gd", "npo-rt"])
def test_best_point_of_a_curve_is_kept_over_interruptions(
    make_cell: MakeCell, method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against the parameters in the snapshots of a plain training; by an objective that these methods lose."""
    monkeypatch.setattr("unlearnbench.cell.trainer.trade_off", keeps_least)
    cell = make_cell(method, 8)
    folder, states = tmp_path / "plain", dict[int, dict[str, torch.Tensor]]()

    def remember(progress: Progress) -> None:
        # The snapshot of the step before; the next one is written after this call.
        for snapshot in folder.glob("step-*"):
            states[int(snapshot.name.removeprefix("step-"))] = load_file(snapshot / "state.safetensors")

    _, facts, _ = trained(cell, Checkpoints(folder, 0.0), remember)
    reached = {point.step: keeps_least(0.0, point.retain_accuracy) for point in facts.curve[1:]}

    def stop(progress: Progress) -> None:
        if progress.step == 150:
            raise StoppedError

    kept = make_cell(method, 8, "best")
    with pytest.raises(StoppedError):
        trained(kept, Checkpoints(tmp_path / "c", 0.0), stop)
    checkpoints = Checkpoints(tmp_path / "c", 0.0)
    _, found, _ = trained(kept, checkpoints)
    assert found.best_step is not None
    assert [point.step for point in found.curve] == [0, 32, 64, 96, 128, 160]
    assert found.curve[:-1] == facts.curve
    last = found.curve[-1]
    reached[160] = keeps_least(0.0, last.retain_accuracy)
    assert reached[found.best_step] == max(reached.values())
    assert found.best_step < 160, "otherwise this shows little"
    expected = [states[found.best_step][f"parameter/{index}"] for index in range(len(checkpoints.kept))]
    assert all(torch.equal(one, two) for one, two in zip(checkpoints.kept, expected, strict=True))
    assert kept.choice is not None
    with Trainer(kept.scenario).unlearn(kept.choice.build({}), nothing) as (model, _):
        assert all(torch.equal(one, two) for one, two in zip(model.network.parameters(), expected, strict=True))


@pytest.mark.slow
def test_result_of_a_kept_model_is_that_models(make_cell: MakeCell) -> None:
    cell = make_cell("ga-gd", 8, "best")
    assert cell.choice is not None
    trainer = Trainer(cell.scenario)
    with trainer.unlearn(cell.choice.build({}), nothing) as (model, facts):
        (point,) = [point for point in facts.curve if point.step == facts.best_step]
        # All rows are in the curve's sample.
        assert trainer.training_accuracies(model) == (point.forget_accuracy, point.retain_accuracy)
