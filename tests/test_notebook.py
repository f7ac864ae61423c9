"""Runs and leaderboards as data frames."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from statistics import harmonic_mean

import pandas as pd
import pytest

import unlearnbench
import unlearnbench.cli
import unlearnbench.processes.run
from unlearnbench.errors import UserError

QUICK = Path(__file__).parents[1] / "leaderboards" / "quick"


def test_import_loads_nothing() -> None:
    code = (
        "import sys, unlearnbench; assert {'run', 'load_leaderboard'} <= set(dir(unlearnbench)); "
        "heavy = {'torch', 'pandas', 'mlflow', 'pydantic', 'typer'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_no_submodule_takes_the_place_of_the_functions() -> None:
    assert callable(unlearnbench.run)
    assert callable(unlearnbench.load_leaderboard)


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="lode_leaderboard"):
        unlearnbench.lode_leaderboard  # noqa: B018


def test_committed_leaderboard_as_a_frame() -> None:
    frame = unlearnbench.load_leaderboard(QUICK)
    assert set(frame["task"]) == {"sst2", "wmdp-sciq", "yelp"}
    assert set(frame.loc[frame["row"] == "spul", "seed"]) == set(range(10))
    written = pd.read_csv(QUICK / "leaderboard.csv")
    assert frame["metrics.test_forget_accuracy"].to_numpy() == pytest.approx(written["metrics.test_forget_accuracy"])


def test_trade_off_is_relative_to_the_base_model_of_the_same_seed() -> None:
    frame = unlearnbench.load_leaderboard(QUICK)
    sst2 = frame[frame["task"] == "sst2"].set_index(["row", "seed"])
    for seed in (0, 3):
        spul, base = sst2.loc[("spul", seed)], sst2.loc[("base", seed)]
        kept = min(1.0, spul["metrics.test_retain_accuracy"] / base["metrics.test_retain_accuracy"])
        forgotten = 1 - spul["metrics.test_forget_accuracy"]
        assert spul["metrics.trade_off"] == pytest.approx(harmonic_mean([forgotten, kept]))


def test_bad_settings_are_refused() -> None:
    with pytest.raises(UserError, match="trails"):
        unlearnbench.run(tuning={"trails": 3})
    with pytest.raises(UserError, match="sst3"):
        unlearnbench.run(tasks="sst3")


@pytest.mark.slow
def test_run_returns_what_the_results_folder_holds(model_folder: Path, data_folder: Path, tmp_path: Path) -> None:
    settings = {"models": str(model_folder), "tasks": f"path:{data_folder}", "base": {"kind": "full", "epochs": 1}}
    changes = {"seeds": range(2), "tuning": {"trials": 1}, "results": tmp_path / "results", "quiet": True}
    frame = unlearnbench.run(settings, methods="ga, spul", set={"spul": {"epochs": 1}}, **changes)
    assert sorted(zip(frame["row"], frame["seed"].fillna(-1), strict=True)) == sorted(
        [("vanilla", -1), *((row, seed) for row in ("base", "ga", "spul") for seed in (0, 1))]
    )
    assert set(frame.loc[frame["row"] == "spul", "hyperparameters.epochs"]) == {"1"}
    assert frame.attrs["failed"] == {}
    held = unlearnbench.load_leaderboard(tmp_path / "results")
    pd.testing.assert_frame_equal(frame, held)
    # What has a result is not run again, and a part of the grid is that part.
    part = unlearnbench.run(settings, methods="ga", set={"spul": {"epochs": 1}}, **changes)
    assert set(part["row"]) == {"vanilla", "base", "ga"}
    assert set(part["recorded"]) <= set(frame["recorded"])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:failed")
def test_failed_cells_are_warned_of(model_folder: Path, data_folder: Path, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="failed: .* / base: .*cell_timeout"):
        frame = unlearnbench.run(
            models=str(model_folder), tasks=f"path:{data_folder}", methods="ga", results=tmp_path / "results",
            base={"kind": "full", "epochs": 40}, tuning={"trials": 0}, cell_timeout=1e-3, quiet=True,
        )  # fmt: skip
    assert any(name.endswith("/ base") for name in frame.attrs["failed"])
