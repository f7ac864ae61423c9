"""Studies from the command line to their tables and pictures, with a tiny model."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from tests.conftest import invoke, tiny_llama
from tests.leaderboard.entries import entry
from unlearnbench.config import RunConfig
from unlearnbench.engine.encoded import Encoded
from unlearnbench.engine.model import LanguageModel
from unlearnbench.errors import UserError
from unlearnbench.studies import points
from unlearnbench.studies.outcome import collect, to_markdown
from unlearnbench.studies.points import STUDIES, Point
from unlearnbench.tracking.store import Store

pytestmark = pytest.mark.slow


@pytest.fixture
def common(model_folder: Path, data_folder: Path, tmp_path: Path) -> list[object]:
    return [
        "--tasks", f"path:{data_folder}", "--models", model_folder, "--results", tmp_path / "results", "--trials", 0,
        "--set", "base.kind=lora", "--set", "base.epochs=1", "--set", "spul.epochs=1", "--quiet",
    ]  # fmt: skip


def test_forget_size_writes_table_and_picture_and_resumes(common: list[object], tmp_path: Path) -> None:
    first = invoke("study", "forget-size", *common, "--seeds", "0,1")
    assert first.exit_code == 0, first.output
    folder = tmp_path / "results" / "studies" / "forget-size"
    frame = pd.read_csv(folder / "table.csv")
    methods = frame[frame.row == "spul"]
    assert list(methods.forget_fraction) == [0.25, 0.5, 1.0]
    assert set(methods.seeds) == {2}
    assert (folder / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert "Mean ± standard deviation over 2 seeds." in (folder / "table.md").read_text(encoding="utf-8")
    again = invoke("study", "forget-size", *common, "--seeds", "0,1")
    assert again.output.count("0 cells to run") == 3
    # A study has an experiment of its own, so that the leaderboard keeps one setting per method.
    assert Store(tmp_path / "results").finished_cells() == {}


def test_plan_force_and_retry_are_those_of_a_run(common: list[object], tmp_path: Path) -> None:
    """The base model, which all points share, is counted and run once, also when everything is run again."""
    study = ["study", "forget-size", *common, "--max-train", 6, "--device", "cpu"]
    planned = invoke(*study, "--dry-run")
    assert planned.exit_code == 0, planned.output
    assert [line.partition(" to run")[0] for line in planned.output.splitlines() if " to run" in line] == [
        "forget_fraction = 0.25: 3 cells",
        "forget_fraction = 0.5: 1 cell",
        "forget_fraction = 1.0: 1 cell",
        "5 cells",
    ]
    assert not (tmp_path / "results" / "studies").exists()
    failing = [*study, "--methods", "npo-rt", "--set", "npo-rt.epochs=4", "--set", "npo-rt.learning_rate=1e30"]
    failed = invoke(*failing)
    assert isinstance(failed.exception, UserError)  # no cell has finished, so there is no table
    assert failed.output.count("\nfailed: ") == 3
    assert failed.output.count("cell 3/3: ") == 1
    assert failed.output.count("cell 1/1: ") == 2, "the other two points' own cells"
    again = invoke(*failing)
    assert again.output.count("0 cells to run") == 3
    assert again.output.count("1 failed before (--retry-failed runs them again)") == 3
    assert again.output.count("\nfailed: ") == 3
    assert invoke(*failing, "--retry-failed", "--dry-run").output.count(": 1 cell to run") == 3
    mended = [*failing[:-1], "npo-rt.learning_rate=1e-3"]
    assert invoke(*mended).exit_code == 0
    assert "0 cells to run in all" in invoke(*mended, "--dry-run").output
    assert "5 cells to run in all" in invoke(*mended, "--force", "--dry-run").output


def test_a_wrong_name_gets_the_nearest_and_a_model_that_is_not_there_leaves_the_others(
    common: list[object], model_folder: Path
) -> None:
    wrong = invoke("study", "alpha-bta")
    assert isinstance(wrong.exception, UserError)
    assert str(wrong.exception) == "no study is called 'alpha-bta': did you mean 'alpha-beta'?"
    at = common.index("--models") + 1
    broken = shutil.copytree(model_folder, model_folder.with_name("broken"))
    (broken / "tokenizer.json").unlink()
    models = [*common[:at], f"{model_folder},{broken}", *common[at + 1 :]]
    planned = invoke("study", "models", *models, "--dry-run")
    assert planned.exit_code == 1
    assert f"left out: {broken}: " in planned.output
    assert "3 cells to run in all" in planned.output


def test_models_and_alpha_beta_draw(common: list[object], tmp_path: Path) -> None:
    assert invoke("study", "models", *common, "--methods", "spul,ga").exit_code == 0
    wrong = invoke("study", "alpha-beta", *common, "--methods", "ga")
    assert isinstance(wrong.exception, UserError)
    assert "study alpha-beta varies alpha and beta, but method ga has no alpha" in str(wrong.exception)


def test_embedding_needs_a_soft_prompt_and_counts(common: list[object], tmp_path: Path) -> None:
    outcome = invoke("study", "embedding", *common)
    assert outcome.exit_code == 0, outcome.output
    frame = pd.read_csv(tmp_path / "results" / "studies" / "embedding" / "table.csv")
    assert list(frame.row) == ["base", "SPUL"]
    assert frame.silhouette.between(-1, 1).all()
    assert frame.probe.between(0, 1).all()
    assert isinstance(invoke("study", "embedding", *common, "--methods", "ga").exception, UserError)


def test_states_are_what_the_head_reads(tmp_path: Path) -> None:
    """Against transformers' own hidden states, with a prompt in front as PEFT puts it."""
    network = tiny_llama()
    rows = [Encoded((5, 6, 7, 8, 9), 4), Encoded((5, 6, 7), 1)]
    model = LanguageModel(network, pad=0)
    for prompt in (None, torch.randn(3, 32, generator=torch.Generator().manual_seed(0))):
        found = (model if prompt is None else model.with_prompt(prompt, shared=True)).states(rows)
        for row, state in zip(rows, found, strict=True):
            words = network.get_input_embeddings()(torch.tensor([row.ids[: row.answer_start]]))
            inputs = words if prompt is None else torch.cat([prompt[None], words], dim=1)
            expected = network(inputs_embeds=inputs, output_hidden_states=True).hidden_states[-1][0, -1]
            assert torch.allclose(state, expected.detach(), atol=1e-4)


@pytest.mark.slow
def test_tuning_compares_designs_scopes_and_budgets(
    common: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(points, "TRIALS", (2, 3))
    given = [one for one in common if one not in ("--trials", 0)]
    outcome = invoke("study", "tuning", *given, "--methods", "ga", "--seeds", "0,1")
    assert outcome.exit_code == 0, outcome.output
    folder = tmp_path / "results" / "studies" / "tuning"
    frame = pd.read_csv(folder / "table.csv")
    methods = frame[frame.row != "base"]
    assert len(methods) == 2 * 2 * 2
    assert set(methods.design) == {"spread", "random"}
    assert set(methods.scope) == {"seed", "grid"}
    assert set(methods.trials) == {2, 3}
    assert set(methods.seeds) == {2}
    assert methods.test_retain_accuracy.between(0, 1).all()
    # One epoch teaches this base model nothing, and beside such a one there is no trade-off.
    assert "trade_off" not in methods
    assert (folder / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_tuning_needs_seeds_and_sets_the_budget_itself(common: list[object]) -> None:
    one_seed = invoke("study", "tuning", *[one for one in common if one not in ("--trials", 0)])
    assert "name several, as in --seeds 0,1,2,3,4" in str(one_seed.exception)
    budget = invoke("study", "tuning", *common, "--seeds", "0,1")
    assert "leave --trials out" in str(budget.exception)


def test_averages_are_over_tasks_and_methods() -> None:
    """Means and standard deviations against NumPy's, the trade-off against its formula."""
    base = [entry("base", 1.0, 0.8, seed) for seed in (0, 1)]
    ga = [entry("ga", 0.5, 0.8, 0), entry("ga", 0.3, 0.4, 1)]
    rl = [entry("rl", 0.2, 0.6, 0), entry("rl", 0.1, 0.7, 1)]
    entries = [*base, *ga, *rl]
    point = Point({"design": "spread", "scope": "seed", "trials": 2}, RunConfig())
    found = collect([(point, {one.key for one in entries})], entries)

    def score(forget: float, retain: float) -> float:
        return 2 / (1 / (1 - forget) + 1 / (retain / 0.8))

    scores = [[score(0.5, 0.8), score(0.3, 0.4)], [score(0.2, 0.6), score(0.1, 0.7)]]
    mean, deviation = 100 * np.mean(scores), 100 * np.mean(np.std(scores, axis=1, ddof=1))
    assert f"| spread | seed | 2 | 2 | {mean:.2f} | {deviation:.2f} |" in to_markdown(STUDIES["tuning"], found)
