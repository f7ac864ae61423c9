"""A metric that is installed after a run: the same numbers and the same keys as if it had been there from the start."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from statistics import fmean

import pandas as pd
import pytest
import torch
from transformers import AutoModelForCausalLM
from typer.testing import Result

from tests.cli.test_bad_input import sentence_of
from tests.conftest import invoke
from unlearnbench import plugins
from unlearnbench.cell.further_metrics import add_metrics
from unlearnbench.contract.metrics import Metric, Predictions
from unlearnbench.leaderboard.check import check_entries
from unlearnbench.leaderboard.files import open_entries
from unlearnbench.plugins import Origin, Registered, Registry
from unlearnbench.storage.checksums import write_checksums
from unlearnbench.tracking.store import Store

pytestmark = pytest.mark.slow


class Confidence(Metric):
    """Mean log-probability of a token of the right answer."""

    name, title, description = "confidence", "Confidence", "For tests."
    is_share = False

    def compute(self, predictions: Predictions) -> float:
        pairs = zip(predictions.log_probabilities, predictions.answer_tokens, strict=True)
        return fmean(value / tokens for value, tokens in pairs)


class Exactly(Metric):
    """Share of the texts that are the right answer."""

    name, title, description, needs_text = "exactly", "Exactly", "For tests.", True

    def compute(self, predictions: Predictions) -> float:
        return fmean(one == other for one, other in zip(predictions.answers, predictions.written, strict=True))


def installed(monkeypatch: pytest.MonkeyPatch, *metrics: type[Metric], version: str = "1") -> None:
    """Installs a package with these metrics."""
    plugins.registry.cache_clear()
    found = plugins.registry()
    new = {metric.name: Registered(metric, Origin("mine", "my-metrics", version)) for metric in metrics}
    changed = Registry(found.tasks, found.methods, found.models, {**found.metrics, **new})
    for module in ("cli.evaluate", "cli.run"):
        monkeypatch.setattr(f"unlearnbench.{module}.registry", lambda: changed)


@pytest.fixture
def results(model_folder: Path, data_folder: Path, tmp_path: Path) -> Path:
    assert run(model_folder, data_folder, tmp_path / "results").exit_code == 0
    return tmp_path / "results"


def run(model: Path, data: Path, results: Path) -> Result:
    settings = [
        "--set",
        "base.kind=none",
        "--set",
        "ga.epochs=1",
        "--trials",
        0,
        "--keep-models",
        "--jobs",
        1,
        "--quiet",
    ]
    return invoke(
        "run", "--tasks", f"path:{data}", "--models", model, "--methods", "ga", "--results", results, *settings
    )


def test_new_metric_is_that_of_a_run_that_had_it(
    results: Path, model_folder: Path, data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {entry.row: entry for entry in open_entries(str(results))}
    installed(monkeypatch, Confidence)
    outcome = invoke("evaluate", "--results", results, "--metrics", "confidence")
    assert outcome.exit_code == 0, outcome.output
    assert "2 cells have confidence now, 0 had it before; no model was loaded." in outcome.output
    after = {entry.row: entry for entry in open_entries(str(results))}
    assert check_entries(list(after.values())) == []
    for row, entry in after.items():
        (added,) = entry.added
        assert (added.name, added.package, added.version) == ("confidence", "my-metrics", "1")
        assert before[row].metrics.items() <= entry.metrics.items()
        assert entry.identity.training == before[row].identity.training
    markdown = (results / "leaderboard.md").read_text(encoding="utf-8")
    assert "Confidence" in markdown

    # A run with the metric finds its cells finished, and one elsewhere computes the same numbers.
    again = run(model_folder, data_folder, results)
    assert "0 cells to run, 2 finished before" in again.output
    (kept,) = (results / "models").iterdir()
    assert kept.name.startswith("path-toy-data-tiny-llama-ga-seed-0-")
    assert run(model_folder, data_folder, tmp_path / "other").exit_code == 0
    fresh = {entry.row: entry for entry in open_entries(str(tmp_path / "other"))}
    names = [name for name in fresh["ga"].metrics if name.endswith("confidence")]
    assert len(names) == 4
    for row, entry in fresh.items():
        assert entry.key == after[row].key
        for name in names:
            assert after[row].metrics[name] == pytest.approx(entry.metrics[name], rel=1e-9)

    assert (
        "0 cells have confidence now, 2 had it"
        in invoke("evaluate", "--results", results, "--metrics", "confidence").output
    )
    installed(monkeypatch, Confidence, version="2")
    assert "2 cells have confidence now" in invoke("evaluate", "--results", results, "--metrics", "confidence").output
    assert [one.version for entry in open_entries(str(results)) for one in entry.added] == ["2", "2"]


def test_new_version_replaces_the_numbers_of_the_old_one(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Doubled(Confidence):
        def compute(self, predictions: Predictions) -> float:
            return 2 * super().compute(predictions)

    numbers = []
    for version, metric in (("1", Confidence), ("2", Doubled)):
        installed(monkeypatch, metric, version=version)
        assert invoke("evaluate", "--results", results, "--metrics", "confidence").exit_code == 0
        entries = {entry.key: entry for entry in open_entries(str(results))}
        runs = Store.existing(results).finished_cells()
        assert runs.keys() == entries.keys()
        numbers.append({entry.row: entry.metrics["test_forget_confidence"] for entry in entries.values()})
        for key, run_of_key in runs.items():
            assert run_of_key.data.metrics["test_forget_confidence"] == numbers[-1][entries[key].row]
    assert numbers[1] == {row: 2 * value for row, value in numbers[0].items()}


def test_built_in_metric_changes_no_key(results: Path) -> None:
    before = open_entries(str(results))
    keys = list(Store.existing(results).finished_cells())
    outcome = invoke("evaluate", "--results", results, "--metrics", "f1")
    assert "0 cells have f1 now, 2 had it before" in outcome.output
    assert open_entries(str(results)) == before

    # Results of a version that did not have it yet get it.
    for file in results.rglob("result.json"):
        stored = json.loads(file.read_text(encoding="utf-8"))
        stored["metrics"] = {name: value for name, value in stored["metrics"].items() if not name.endswith("_f1")}
        file.write_text(json.dumps(stored), encoding="utf-8")
    outcome = invoke("evaluate", "--results", results, "--metrics", "f1")
    assert "2 cells have f1 now, 0 had it before" in outcome.output
    assert [entry.metrics for entry in open_entries(str(results))] == [entry.metrics for entry in before]
    assert list(Store.existing(results).finished_cells()) == keys


def folders(results: Path) -> dict[str, Path]:
    runs = Store.existing(results).finished_cells().values()
    return {run.data.tags["row"]: results / run.data.tags.get("model.folder", "none") for run in runs}


def test_what_needs_the_model_loads_the_kept_one(
    results: Path, model_folder: Path, data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {entry.row: entry for entry in open_entries(str(results))}
    installed(monkeypatch, Exactly)
    for module in ("cell.base", "cell.trainer"):
        # Nothing is trained.
        monkeypatch.setattr(f"unlearnbench.{module}.train", None)
    outcome = invoke("evaluate", "--results", results, "--metrics", "exactly")
    assert outcome.exit_code == 0, outcome.output
    told = "2 cells need their models for exactly: exactly reads what the model writes, which was not stored. They are"
    assert outcome.output.index(told) < outcome.output.index("2 cells have exactly now, 0 had it before; 2 models were")
    after = {entry.row: entry for entry in open_entries(str(results))}
    monkeypatch.undo()
    for row, entry in after.items():
        (added,) = entry.added
        assert (added.name, added.version, added.by) == ("exactly", "1", "model")
        assert before[row].metrics.items() <= entry.metrics.items()
    assert check_entries(list(after.values())) == []

    # A run that had it from the start writes the same texts.
    monkeypatch.setenv("UNLEARNBENCH_CACHE", str(tmp_path / "cache"))
    installed(monkeypatch, Exactly)
    assert run(model_folder, data_folder, tmp_path / "other").exit_code == 0
    fresh = {entry.row: entry for entry in open_entries(str(tmp_path / "other"))}
    for row, entry in fresh.items():
        assert entry.key == after[row].key
        names = [name for name in entry.metrics if name.endswith("exactly")]
        assert len(names) == 4
        assert {name: after[row].metrics[name] for name in names} == {name: entry.metrics[name] for name in names}
    texts = [sorted(folder.rglob("test_retain.parquet")) for folder in (results, tmp_path / "other")]
    written = [sorted(tuple(pd.read_parquet(file)["written"]) for file in files) for files in texts]
    assert written[0] == written[1]

    # The texts are stored: the next metric needs no model.
    shutil.rmtree(results / "models")
    installed(monkeypatch, Exactly, version="2")
    again = invoke("evaluate", "--results", results, "--metrics", "exactly")
    assert "2 cells have exactly now, 0 had it before; no model was loaded." in again.output


def test_model_that_is_not_there_is_said_and_nothing_is_lost(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {entry.row: entry for entry in open_entries(str(results))}
    installed(monkeypatch, Exactly, Confidence)
    shutil.rmtree(folders(results)["ga"])
    outcome = invoke("evaluate", "--results", results, "--metrics", "exactly")
    assert outcome.exit_code == 1
    assert "1 cells have exactly now" not in outcome.output.splitlines()[0]
    assert "/ ga: exactly reads what the model writes, which was not stored, and the model can't be asked: its " in (
        outcome.output
    )
    after = {entry.row: entry for entry in open_entries(str(results))}
    assert after["ga"] == before["ga"]
    assert [one.name for one in after["base"].added] == ["exactly"]


def test_another_model_in_the_place_of_the_kept_one_is_refused(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {entry.row: entry for entry in open_entries(str(results))}
    installed(monkeypatch, Exactly)
    folder = folders(results)["ga"]
    network = AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        network.lm_head.weight.neg_()
    shutil.rmtree(folder)
    network.save_pretrained(folder)
    write_checksums(folder)
    outcome = invoke("evaluate", "--results", results, "--metrics", "exactly")
    assert outcome.exit_code == 1
    assert "otherwise than was recorded" in outcome.output
    assert {entry.row: entry for entry in open_entries(str(results))}["ga"] == before["ga"]


def test_numbers_of_tokens_of_an_earlier_version_come_from_the_model(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(monkeypatch, Confidence)
    for file in results.rglob("test_retain.parquet"):
        # As an earlier version has written it.
        pd.read_parquet(file).drop(columns="answer_tokens").to_parquet(file)
    outcome = invoke("evaluate", "--results", results, "--metrics", "confidence")
    assert outcome.exit_code == 0, outcome.output
    assert "reads the number of tokens of the answers, which was not stored. They are loaded" in outcome.output
    for file in results.rglob("test_retain.parquet"):
        frame = pd.read_parquet(file)
        key = file.parts[file.parts.index("artifacts") + 1]
        stored = json.loads((results / "artifacts" / key / "artifacts" / "result.json").read_text(encoding="utf-8"))
        expected = (frame["log_probability"] / frame["answer_tokens"]).mean()
        assert stored["metrics"]["test_retain_confidence"] == pytest.approx(expected)


def test_interrupted_addition_is_finished_by_the_same_command(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from unlearnbench.tracking.run import Record

    metric = Registered(Confidence, Origin("mine", "my-metrics", "1"))
    with monkeypatch.context() as killed:
        killed.setattr(Record, "tags", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            add_metrics(Store.existing(results), [metric])
    add_metrics(Store.existing(results), [metric])
    store = Store.existing(results)
    assert {entry.key for entry in open_entries(str(results))} == set(store.finished_cells())


def test_bad_input_gets_one_sentence(results: Path, tmp_path: Path) -> None:
    wrong = {
        ("--metrics", "acuracy"): "no metric is called 'acuracy': did you mean 'accuracy'?",
        ("model", "--metrics", "accuracy"): "leave out MODEL, --task, --name and --base",
        (): "name a model, --task and --name; or --metrics",
    }
    for options, expected in wrong.items():
        assert expected in sentence_of(invoke("evaluate", *options, "--results", results))
    nothing = invoke("evaluate", "--metrics", "accuracy", "--results", tmp_path / "nothing")
    assert "holds no results" in sentence_of(nothing)
