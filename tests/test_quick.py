"""Preset quick: bundled data and model show the effects that the paper reports."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from unlearnbench.cli import app
from unlearnbench.config import build_config, default_preset
from unlearnbench.tracking.store import Store

SMALL = ["--tasks", "sst2", "--max-train", "96", "--max-test", "64", "--trials", "1", "--quiet"]


def accuracies(results: Path, *arguments: str) -> dict[str, dict[str, float]]:
    """Metrics by row of a run of the default preset."""
    outcome = CliRunner().invoke(app, ["run", *SMALL, "--results", str(results), *arguments])
    assert outcome.exit_code == 0, outcome.output
    return {run.data.tags["row"]: run.data.metrics for run in Store(results).finished_cells().values()}


@pytest.mark.slow
def test_a_soft_prompt_forgets_and_keeps_while_gradient_ascent_loses_both(tmp_path: Path) -> None:
    rows = accuracies(tmp_path / "results", "--methods", "ga,spul")
    base, ga, spul = rows["base"], rows["ga"], rows["spul"]
    assert min(base["train_forget_accuracy"], base["train_retain_accuracy"]) >= 0.95
    assert spul["test_forget_accuracy"] <= base["test_forget_accuracy"] - 0.6
    assert spul["test_retain_accuracy"] >= base["test_retain_accuracy"] - 0.05
    assert spul["trainable_parameters"] < 0.01 * spul["total_parameters"]
    assert ga["test_retain_accuracy"] < base["test_retain_accuracy"] - 0.1


@pytest.mark.slow
def test_the_base_stage_can_be_qlora(tmp_path: Path) -> None:
    rows = accuracies(
        tmp_path / "results", "--methods", "rl", "--set", "base.kind=qlora", "--set", "base.learning_rate=0.005"
    )
    assert rows["base"]["trainable_parameters"] < 0.1 * rows["base"]["total_parameters"]
    assert rows["base"]["train_retain_accuracy"] > rows["vanilla"]["train_retain_accuracy"]


@pytest.mark.parametrize(
    ("given", "preset"),
    [
        ({}, "quick"),
        ({"tasks": ["sst2"], "max_train": 3}, "quick"),
        ({"models": ["tiny"], "data_root": "bundled"}, "quick"),
        ({"models": ["smollm2-135m"]}, "small"),
        ({"data_root": "hub"}, "small"),
    ],
)
def test_other_models_and_data_are_not_run_with_settings_made_for_the_tiny_one(
    given: dict[str, object], preset: str
) -> None:
    assert default_preset(given) == preset
    assert build_config(given, {}).preset == preset
    assert build_config(given, {"preset": "paper"}).preset == "paper"
