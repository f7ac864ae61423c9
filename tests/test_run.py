"""The whole way from a command to a leaderboard, with a tiny model and the user's own data."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import mlflow
import optuna
import pandas as pd
import pytest
import torch
from peft import AutoPeftModelForCausalLM
from transformers import AutoTokenizer

from tests.conftest import gpt2_tokenizer, invoke
from unlearnbench.contract.task import Example
from unlearnbench.engine.encoding import Encoder
from unlearnbench.errors import UserError
from unlearnbench.tracking.store import KEY, KIND, ORDER, Store

pytestmark = pytest.mark.slow

METHODS = ["ga", "rl", "ga-kl", "ga-gd", "npo-rt", "spul"]
QUICK = ["--set", "npo-rt.epochs=1", "--set", "spul.epochs=1", "--set", "base.learning_rate=0.01"]


@pytest.fixture
def command(model_folder: Path, data_folder: Path, tmp_path: Path) -> list[object]:
    return [
        "run", "--tasks", f"path:{data_folder}", "--models", model_folder, "--results", tmp_path / "results",
        "--trials", 2, "--set", "base.kind=lora", "--set", "base.epochs=2", *QUICK,
    ]  # fmt: skip


def cells(results: Path) -> dict[str, Any]:
    return {run.data.tags["row"]: run for run in Store(results).finished_cells().values()}


def test_every_method_ends_in_a_leaderboard_and_nothing_runs_twice(command: list[object], tmp_path: Path) -> None:
    first = invoke(*command, "--methods", "all")
    assert first.exit_code == 0, first.output
    results = tmp_path / "results"
    runs = cells(results)
    assert set(runs) == {"vanilla", "base", *METHODS}

    for row, run in runs.items():
        metrics = run.data.metrics
        for split in ("train_forget", "train_retain", "test_forget", "test_retain"):
            predictions = pd.read_parquet(_artifact(results, run, f"predictions/{split}.parquet"))
            assert metrics[f"{split}_accuracy"] == pytest.approx((predictions.answer == predictions.predicted).mean())
            shares = [metrics[f"{split}_{part}"] for part in ("correct", "generic", "other_label", "anything_else")]
            assert sum(shares) == pytest.approx(1)
        counts = pd.read_csv(_artifact(results, run, "confusion.csv"))
        right = counts[(counts.split == "test_retain") & (counts.answer == counts.predicted)]["count"].sum()
        assert right == pytest.approx(metrics["test_retain_accuracy"] * 5)
        if row in METHODS:
            assert metrics["trials"] == 2
            assert 0 <= metrics["objective"] <= 1
            assert metrics["training_wall_seconds"] > 0
            assert float(run.data.params["learning_rate"]) > 0
    assert runs["spul"].data.metrics["trainable_parameters"] < runs["ga"].data.metrics["trainable_parameters"]
    assert runs["ga"].data.metrics["trainable_parameters"] == runs["ga"].data.metrics["total_parameters"]

    markdown = (results / "leaderboard.md").read_text(encoding="utf-8")
    assert all(f"\n| {title} |" in markdown for title in ("Vanilla", "Base", "GA", "SPUL", "NPO+RT"))
    frame = pd.read_csv(results / "leaderboard.csv")
    assert len(frame) == 8
    assert set(frame.row) == set(runs)

    studies = optuna.get_all_study_summaries(f"sqlite:///{results / 'optuna.db'}")
    assert len(studies) == len(METHODS)
    assert not (results / "work").exists() or not list((results / "work").iterdir())

    again = invoke(*command, "--methods", "all")
    assert again.exit_code == 0
    assert "0 cells to run, 8 finished before" in again.output
    assert {run.info.run_id for run in cells(results).values()} == {run.info.run_id for run in runs.values()}


def test_oracle_adds_one_row_and_leaves_the_others_as_they_are(command: list[object], tmp_path: Path) -> None:
    assert invoke(*command, "--methods", "spul").exit_code == 0
    before = {row: run.info.run_id for row, run in cells(tmp_path / "results").items()}
    found = invoke(*command, "--methods", "spul", "--oracle")
    assert found.exit_code == 0, found.output
    assert "1 cell to run, 3 finished before" in found.output
    runs = cells(tmp_path / "results")
    assert {row: run.info.run_id for row, run in runs.items() if row != "retrain"} == before
    assert runs["retrain"].data.metrics["training_wall_seconds"] > 0
    assert runs["retrain"].data.metrics["base_wall_seconds"] == 0
    markdown = (tmp_path / "results" / "leaderboard.md").read_text(encoding="utf-8")
    assert markdown.count("\n## ") == 1, "one table"
    order = [markdown.index(f"\n| {title} |") for title in ("Vanilla", "Base", "Retrain", "SPUL")]
    assert order == sorted(order)
    assert "0 cells to run, 4 finished before" in invoke(*command, "--methods", "spul", "--oracle").output


def test_forced_cell_runs_again_with_the_same_numbers(command: list[object], tmp_path: Path) -> None:
    assert invoke(*command, "--methods", "ga-gd").exit_code == 0
    before = cells(tmp_path / "results")
    assert invoke(*command, "--methods", "ga-gd", "--force").exit_code == 0
    after = cells(tmp_path / "results")
    assert before["ga-gd"].info.run_id != after["ga-gd"].info.run_id
    (study,) = optuna.get_all_study_summaries(f"sqlite:///{tmp_path / 'results' / 'optuna.db'}")
    assert study.n_trials == 2
    for name, value in before["ga-gd"].data.metrics.items():
        if "seconds" not in name and "memory" not in name and name != ORDER:
            assert after["ga-gd"].data.metrics[name] == pytest.approx(value), name


@pytest.mark.parametrize("kept", [False, True], ids=["base in the cache", "base kept"])
def test_prompt_adapter_artifact_predicts_in_plain_peft_what_was_recorded(
    command: list[object], tmp_path: Path, kept: bool
) -> None:
    """Loaded as its own configuration says, in front of the base model that it names."""
    learn = ["--methods", "spul", "--set", "spul.learning_rate=0.01", "--set", "model.compute_dtype=float32"]
    learn += ["--keep-models"] if kept else []
    assert invoke(*command, *learn).exit_code == 0
    run = cells(tmp_path / "results")["spul"]
    adapter = _artifact(tmp_path / "results", run, "prompt-adapter")
    if kept:
        shutil.rmtree(tmp_path / "cache")
        (base,) = (tmp_path / "results" / "models").glob("path-toy-data-tiny-llama-base-seed-0-*")
        assert AutoTokenizer.from_pretrained(base).vocab_size == gpt2_tokenizer().vocab_size
    else:
        (base,) = (tmp_path / "cache" / "base").iterdir()
    assert f"\nbase_model: {base}\n" in (adapter / "README.md").read_text(encoding="utf-8")
    model = AutoPeftModelForCausalLM.from_pretrained(adapter).eval()
    for split in ("train_forget", "test_retain"):
        check_answers(model, pd.read_parquet(_artifact(tmp_path / "results", run, f"predictions/{split}.parquet")))


@pytest.mark.parametrize("method", ["spul", "ga"])
def test_model_that_knows_its_rows_is_unlearned_as_it_is(
    command: list[object], model_folder: Path, tmp_path: Path, method: str
) -> None:
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM

    as_it_is = ["--methods", method, "--set", "base.kind=none", "--keep-models"]
    as_it_is += ["--set", "model.compute_dtype=float32"]
    outcome = invoke(*command, *as_it_is)
    assert outcome.exit_code == 0, outcome.output
    assert "the base model answers only" in outcome.output
    assert "let it be fine-tuned first" in outcome.output
    results = tmp_path / "results"
    runs = cells(results)
    assert set(runs) == {"base", method}, "the vanilla model is the base model"
    assert "The base model does not know its training rows" in (results / "leaderboard.md").read_text(encoding="utf-8")

    # The base row is the user's model in plain transformers.
    model = AutoModelForCausalLM.from_pretrained(model_folder).eval()
    check_answers(model, pd.read_parquet(_artifact(results, runs["base"], "predictions/train_retain.parquet")))
    assert runs["base"].data.metrics["trainable_parameters"] == 0
    kept = results / runs[method].data.tags["model.folder"]
    assert re.fullmatch(rf"path-toy-data-tiny-llama-{method}-seed-0-[0-9a-f]{{8}}", kept.name)
    if method == "ga":
        model = AutoModelForCausalLM.from_pretrained(kept).eval()
        assert AutoTokenizer.from_pretrained(kept).vocab_size == gpt2_tokenizer().vocab_size
        before = load_file(model_folder / "model.safetensors")
        assert any(
            not torch.equal(weight, before[name]) for name, weight in model.state_dict().items() if name in before
        )
    else:
        model = AutoPeftModelForCausalLM.from_pretrained(kept).eval()
        assert model.peft_config["default"].base_model_name_or_path == str(model_folder)
        assert f"as it is:\n\n    {model_folder}" in (kept / "README.md").read_text(encoding="utf-8")
        assert [folder.name for folder in (results / "models").iterdir()] == [kept.name], "no copy of the user's model"
    check_answers(model, pd.read_parquet(_artifact(results, runs[method], "predictions/test_retain.parquet")))


def test_finished_cells_that_kept_no_model_are_named(command: list[object], tmp_path: Path) -> None:
    one = [*command, "--methods", "ga", "--trials", 0]
    assert invoke(*one).exit_code == 0
    again = invoke(*one, "--keep-models")
    cell = "tiny-llama / path:toy-data / seed 0 / ga"
    said = f"--keep-models: {cell} finished before and kept no model: --force runs it again."
    assert said in again.output
    assert invoke(*one, "--keep-models", "--force").output.count("finished before and kept no model") == 0
    assert list((tmp_path / "results" / "models").glob("path-toy-data-tiny-llama-ga-seed-0-*"))
    kept = invoke(*one, "--keep-models")
    assert "kept no model" not in kept.output
    assert "the unlearned models: " in kept.output


def check_answers(model: Any, recorded: pd.DataFrame) -> None:
    """Plain PyTorch computes what was recorded."""
    examples = [Example(row.text, row.answer, text=row.text) for row in recorded.itertuples()]
    encoded = Encoder(gpt2_tokenizer(), 1024).encode(examples)
    for row, tokens in zip(recorded.itertuples(), encoded, strict=True):
        logits = model(input_ids=torch.tensor([tokens.ids])).logits[0, -len(tokens.answer) - 1 : -1].detach()
        chosen = logits.log_softmax(-1).gather(-1, torch.tensor(tokens.answer)[:, None])
        assert float(chosen.sum()) == pytest.approx(row.log_probability, abs=1e-3)
        assert (row.predicted == row.answer) == (tuple(logits.argmax(-1).tolist()) == tokens.answer)


def test_interrupted_run_continues_with_the_cell_it_was_in(
    command: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from unlearnbench.cell.trainer import Trainer

    original = Trainer.unlearn
    calls = []

    def interrupted(self: Trainer, method: Any, *rest: Any) -> Any:
        calls.append(method.name)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return original(self, method, *rest)

    monkeypatch.setattr(Trainer, "unlearn", interrupted)
    stopped = invoke(*command, "--methods", "ga,rl")
    assert stopped.exit_code == 130
    assert "continues where this run stopped" in stopped.output
    assert set(cells(tmp_path / "results")) == {"vanilla", "base", "ga"}

    resumed = invoke(*command, "--methods", "ga,rl")
    assert resumed.exit_code == 0
    assert "1 cell to run, 3 finished before" in resumed.output
    # ga: two trials; rl: one trial, the interrupted one, and that one again.
    assert calls == ["ga", "ga", "rl", "rl", "rl"]


def test_failing_cell_is_recorded_and_the_others_go_on(
    command: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from unlearnbench_methods.ga import GradientAscent

    monkeypatch.setattr(GradientAscent, "loss", lambda self, batch: batch.forget.logits.sum() * float("nan"))
    outcome = invoke(*command, "--methods", "ga,rl")
    assert outcome.exit_code == 1
    assert "all 2 trials diverged" in outcome.output
    results = tmp_path / "results"
    assert set(cells(results)) == {"vanilla", "base", "rl"}
    store = Store(results)
    (failed,) = store.client.search_runs(
        [store.experiment_id], f"tags.`{KIND}` = 'cell' and attributes.status = 'FAILED'"
    )
    assert "diverged" in failed.data.tags["unlearnbench.failure"]


def test_base_model_that_diverges_fails_its_cells_at_once(command: list[object], tmp_path: Path) -> None:
    outcome = invoke(*command, "--methods", "ga,rl", "--set", "base.learning_rate=1e38")
    assert outcome.exit_code == 1
    assert outcome.output.count("lower base.learning_rate (now 1e+38)") >= 3
    assert set(cells(tmp_path / "results")) == {"vanilla"}


def test_dry_run_shows_the_plan_and_computes_nothing(command: list[object], tmp_path: Path) -> None:
    plan = invoke(*command, "--methods", "ga,spul", "--seeds", "0,1", "--dry-run")
    assert plan.exit_code == 0
    # Vanilla once; base and two methods for each of two seeds.
    assert "7 cells to run" in plan.output
    assert not cells(tmp_path / "results")
    assert not (tmp_path / "cache" / "base").exists()


def test_seeds_give_means_and_spreads(command: list[object], tmp_path: Path) -> None:
    assert invoke(*command, "--methods", "ga", "--seeds", "0,1", "--trials", "0").exit_code == 0
    frame = pd.read_csv(tmp_path / "results" / "leaderboard.csv")
    assert sorted(frame[frame.row == "ga"].seed) == [0, 1]
    markdown = (tmp_path / "results" / "leaderboard.md").read_text(encoding="utf-8")
    assert "±" in markdown
    assert "over 2 seeds" in markdown


def test_saved_configuration_runs_the_same_cells(command: list[object], tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    assert invoke(*command, "--methods", "ga", "--save-config", file).exit_code == 0
    again = invoke("run", "--config", file)
    assert again.exit_code == 0
    assert "0 cells to run, 3 finished before" in again.output


def test_runs_are_nested_invocation_cell_trial(command: list[object], tmp_path: Path) -> None:
    assert invoke(*command, "--methods", "ga").exit_code == 0
    store = Store(tmp_path / "results")
    runs = store.client.search_runs([store.experiment_id])
    kinds = {run.info.run_id: run.data.tags[KIND] for run in runs}
    parents = {(run.data.tags[KIND], kinds.get(run.data.tags.get("mlflow.parentRunId", ""))) for run in runs}
    assert parents == {("invocation", None), ("cell", None), ("trial", "cell")}
    for run in runs:
        if run.data.tags[KIND] == "cell":
            assert {"version.torch", "hardware.cpu", "data.fingerprint", "model.revision", KEY} <= set(run.data.tags)


def test_another_tracking_store_gets_the_runs(command: list[object], tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'elsewhere.db'}"
    assert invoke(*command, "--methods", "ga", "--tracking-uri", uri).exit_code == 0
    assert len(Store(tmp_path / "results", uri).finished_cells()) == 3
    assert not (tmp_path / "results" / "mlflow.db").exists()
    written = invoke("leaderboard", "--tracking-uri", uri, "--results", tmp_path / "results", "--with-paper")
    assert written.exit_code == 0
    assert "| GA |" in written.output


def test_prompt_is_trained_in_front_of_weights_in_four_bits(command: list[object], tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes")
    four_bit = [*command, "--set", "model.frozen_4bit=true", "--set", "spul.epochs=2"]
    outcome = invoke(*four_bit, "--methods", "spul")
    assert outcome.exit_code == 0, outcome.output
    assert cells(tmp_path / "results")["spul"].data.metrics["trials"] == 2
    refused = invoke(*four_bit, "--methods", "ga")
    assert "which model.frozen_4bit holds in 4 bits" in f"{refused.exception} {refused.output}"


@pytest.mark.parametrize("kind", ["qlora", "full"])
def test_base_model_memorises_and_is_cached(command: list[object], tmp_path: Path, kind: str) -> None:
    pytest.importorskip("bitsandbytes")
    more = [
        "--methods",
        "ga",
        "--trials",
        "0",
        "--set",
        f"base.kind={kind}",
        "--set",
        "base.epochs=30",
        "--set",
        "base.batch_size=4",
    ]
    assert invoke(*command, *more).exit_code == 0
    base = cells(tmp_path / "results")["base"].data.metrics
    assert base["train_retain_accuracy"] >= 0.8
    (entry,) = (tmp_path / "cache" / "base").iterdir()
    assert (entry / "adapter").exists() == (kind == "qlora")
    stamp = entry.stat().st_mtime_ns
    shutil.rmtree(tmp_path / "results")
    assert invoke(*command, *more).exit_code == 0
    assert entry.stat().st_mtime_ns == stamp


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tasks", "ssst2"], "no task is called 'ssst2': did you mean 'sst2'"),
        (["--tasks", "arc"], "--tasks wmdp-sciq,arc"),
        (["--methods", "spull"], "no method is called 'spull': did you mean 'spul'"),
        (["--models", "smollm"], "no model is called 'smollm': did you mean 'smollm2-135m'"),
        (["--set", "spul.alfa=1"], "spul has no hyper-parameter 'alfa': did you mean 'alpha'"),
        (["--set", "yelp.cluster=1"], "task yelp has no option 'cluster': did you mean 'clusters'"),
        (["--set", "yelp.clusters=1"], "yelp.clusters is 1"),
        (["--set", "sppul.alpha=1"], "no task or method is called 'sppul'"),
        (["--set", "ga.learning_rate=.nan"], "ga.learning_rate is nan"),
        (["--generic-labels", "neutral,positive"], "both a label of the task and a generic label"),
        (["--device", "cuda"], "torch sees no CUDA GPU"),
        (["--data-root", "/nowhere", "--tasks", "sst2"], "data root '/nowhere' is not a folder"),
        (["--seeds", "-1"], "must be whole numbers from 0"),
        (["--trials", "-1"], "setting 'tuning.trials' is -1"),
        (["--save-config", "/nowhere/config.yaml"], "--save-config /nowhere/config.yaml can't be written"),
    ],
)
def test_bad_input_gets_one_sentence(command: list[object], arguments: list[str], message: str) -> None:
    outcome = invoke(*command, *arguments)
    assert isinstance(outcome.exception, UserError)
    assert message in str(outcome.exception)
    assert "\n" not in str(outcome.exception)


def _artifact(results: Path, run: Any, path: str) -> Path:
    return Path(
        mlflow.MlflowClient(f"sqlite:///{results.resolve() / 'mlflow.db'}").download_artifacts(run.info.run_id, path)
    )


def test_studies_can_be_kept_in_another_database(command: list[object], tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'elsewhere.db'}"
    assert invoke(*command, "--methods", "ga", "--optuna-storage", url).exit_code == 0
    (study,) = optuna.get_all_study_summaries(url)
    assert study.n_trials == 2
    assert not (tmp_path / "results" / "optuna.db").exists()
