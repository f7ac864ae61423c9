"""A run with a target of forgetting: what tuning is judged by, from training rows alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import TEXTS, invoke
from unlearnbench.cell.cell import Cell
from unlearnbench.cell.evaluation import Evaluator
from unlearnbench.cell.trainer import NothingToForgetError, Trainer
from unlearnbench.config import build_config
from unlearnbench.contract.objective import SUPPRESSION
from unlearnbench.contract.rows import BASE, RETRAIN
from unlearnbench.contract.task import Example
from unlearnbench.data import own_task
from unlearnbench.errors import UserError
from unlearnbench.grid.grid import build_grid
from unlearnbench.leaderboard.files import open_entries
from unlearnbench.plugins import registry
from unlearnbench.tracking.store import Store


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Forget rows of which half have an answer that no retain row has."""
    return written(tmp_path / "data", ("positive", "negative"))


def written(folder: Path, forget_answers: tuple[str, str]) -> Path:
    folder.mkdir()
    for split in ("train_forget", "train_retain", "test_forget", "test_retain"):
        answers = [forget_answers[i % 2] if "forget" in split else "positive" for i in range(len(TEXTS))]
        rows = [
            json.dumps({"prompt": f"{split} {text} :", "answer": answer})
            for text, answer in zip(TEXTS, answers, strict=True)
        ]
        (folder / f"{split}.jsonl").write_text("\n".join(rows), encoding="utf-8")
    return folder


def settings(data: Path, model: Path, **changes: Any) -> dict[str, Any]:
    base = {"kind": "full", "epochs": 30, "learning_rate": 0.01, "batch_size": 4}
    return {
        "tasks": [f"path:{data}"],
        "models": [str(model)],
        "methods": ["ga"],
        "tuning": {"trials": 0},
        "base": base,
        "model": {"compute_dtype": "float32"},
        **changes,
    }


def cells(data: Path, model: Path, **changes: Any) -> dict[str, Cell]:
    return {cell.row: cell for cell in build_grid(build_config(settings(data, model, **changes), {}), registry())}


def test_oracle_is_the_retrained_models_accuracy_on_the_training_rows_that_tuning_looks_at(
    data: Path, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = cells(data, model_folder, forget_target="oracle")
    assert list(found) == ["vanilla", "base", "retrain", "ga"], "the retrained model is needed"
    trainer = Trainer(found["ga"].scenario)
    read: set[str] = set()
    original = Evaluator.evaluate

    def spy(self: Evaluator, model: Any, examples: Sequence[Example]) -> Any:
        read.update(example.prompt.split()[0] for example in examples)
        return original(self, model, examples)

    monkeypatch.setattr(Evaluator, "evaluate", spy)
    scale = trainer.forget_scale()
    assert read == {"train_forget"}, "no test row is looked at"
    evaluator = trainer.evaluators[found["ga"].scenario.data.task.name]
    rows = found["ga"].scenario.data.splits.train_forget
    with trainer.slot.lent(RETRAIN) as model:
        retrained = evaluator.evaluate(model, rows)
    with trainer.slot.lent(BASE) as model:
        base = evaluator.evaluate(model, rows)
    assert retrained.accuracy == 0.5
    assert base.accuracy == 1
    assert (scale.target, scale.distance) == (0.5, 0.5)
    assert trainer.forget_scale() is scale, "measured once"


def test_chance_is_known_and_zero_asks_no_model(data: Path, model_folder: Path) -> None:
    chance = Trainer(cells(data, model_folder, forget_target="chance")["ga"].scenario).forget_scale()
    assert (chance.target, chance.distance) == (0.5, 0.5)
    trainer = Trainer(cells(data, model_folder)["ga"].scenario)
    assert trainer.forget_scale() is SUPPRESSION
    assert trainer.slot._row is None


def test_without_a_difference_there_is_nothing_to_tune_towards(tmp_path: Path, model_folder: Path) -> None:
    data = written(tmp_path / "alike", ("positive", "positive"))
    trainer = Trainer(cells(data, model_folder, forget_target="oracle")["ga"].scenario)
    with pytest.raises(NothingToForgetError, match=r"answers 100.0% of 8 training forget examples, and .* 100.0%"):
        trainer.forget_scale()


@pytest.mark.slow
def test_run_is_tuned_and_scored_by_its_target(data: Path, model_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(
        json.dumps(settings(data, model_folder, methods=["ga", "spul"], tuning={"trials": 2})), encoding="utf-8"
    )
    command = ["run", "--config", tmp_path / "run.yaml", "--results", tmp_path / "results", "--quiet"]
    aimed = invoke(*command, "--set", "forget_target=oracle", "--jobs", 2)
    assert aimed.exit_code == 0, aimed.output
    entries = {entry.row: entry for entry in open_entries(str(tmp_path / "results"))}
    assert set(entries) == {"vanilla", "base", "retrain", "ga", "spul"}
    base = entries["base"].metrics["train_retain_accuracy"]
    for row in ("ga", "spul"):
        assert len(entries[row].trials) == 2
        for trial in entries[row].trials:
            assert trial.forget_accuracy is not None
            assert trial.retain_accuracy is not None
            forgotten = max(0.0, 1 - abs(trial.forget_accuracy - 0.5) / 0.5)
            kept = min(1.0, trial.retain_accuracy / base)
            assert trial.objective == pytest.approx(
                2 * forgotten * kept / (forgotten + kept) if forgotten + kept else 0
            )
    markdown = (tmp_path / "results" / "leaderboard.md").read_text(encoding="utf-8")
    assert markdown.count("forget target oracle)") == 1
    # Another target is another training in another table, beside the same reference rows.
    again = invoke(*command, "--set", "forget_target=zero", "--oracle")
    assert again.exit_code == 0, again.output
    assert "2 cells to run, 3 finished before" in again.output
    markdown = (tmp_path / "results" / "leaderboard.md").read_text(encoding="utf-8")
    assert markdown.count("\n| Retrain |") >= 2
    assert "target zero instead of oracle" in markdown or "target oracle instead of zero" in markdown


@pytest.mark.slow
def test_cells_without_a_target_fail_with_one_sentence_and_keep_the_rest(model_folder: Path, tmp_path: Path) -> None:
    data = written(tmp_path / "alike", ("positive", "positive"))
    (tmp_path / "run.yaml").write_text(json.dumps(settings(data, model_folder)), encoding="utf-8")
    found = invoke(
        "run", "--config", tmp_path / "run.yaml", "--results", tmp_path / "results", "--set", "forget_target=oracle"
    )
    assert found.exit_code == 1
    output = " ".join(found.output.split())
    assert "target oracle says nothing about" in output
    assert "Traceback" not in output
    rows = {entry.row for entry in open_entries(str(tmp_path / "results"))}
    assert rows == {"vanilla", "base", "retrain"}


@pytest.mark.slow
def test_target_that_could_not_be_had_fails_all_methods_at_once(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = written(tmp_path / "alike", ("positive", "positive"))
    given = settings(data, model_folder, methods=["ga", "rl"], forget_target="oracle", jobs=1)
    (tmp_path / "run.yaml").write_text(json.dumps(given), encoding="utf-8")
    asked: list[Trainer] = []
    original = Trainer.forget_scale

    def spy(self: Trainer, *arguments: Any) -> Any:
        asked.append(self)
        return original(self, *arguments)

    monkeypatch.setattr(Trainer, "forget_scale", spy)
    found = invoke("run", "--config", tmp_path / "run.yaml", "--results", tmp_path / "results")
    assert found.exit_code == 1
    assert len(asked) == 1
    failures = Store.existing(tmp_path / "results").failed_cells().values()
    assert len(failures) == 2
    assert all("target oracle says nothing about" in failure.reason for failure in failures)


def test_wrong_targets_are_refused(
    data: Path, model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusal(*assigned: str) -> str:
        options = [part for one in assigned for part in ("--set", one)]
        found = invoke(
            "run", "--tasks", f"path:{data}", "--models", model_folder, "--results", tmp_path / "results", *options
        )
        assert isinstance(found.exception, UserError)
        return str(found.exception)

    assert "'forget_target' is 'oracel': input should be 'oracle', 'chance' or 'zero'" in refusal(
        "forget_target=oracel"
    )
    assert "has forget_target 'oracle', but base.kind is none" in refusal("forget_target=oracle", "base.kind=none")
    monkeypatch.setattr(own_task, "MAX_LABELS", 1)
    assert "has no labels to guess from, so its forget_target can't be 'chance'" in refusal("forget_target=chance")


def test_level_of_chance_is_that_of_every_row() -> None:
    """What a guessing model answers is known, so that it adds nothing to the chance of rows."""
    from unlearnbench.leaderboard.statistics import paired_difference

    base = np.array([1.0] * 9 + [0.0])
    low, high = paired_difference(base, np.full(10, 0.5))
    only = paired_difference(base, np.zeros(10))
    assert (low, high) == pytest.approx((only[0] - 0.5, only[1] - 0.5))
