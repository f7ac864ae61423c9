"""Benchmarks of lm-evaluation-harness for finished cells: weights, soft prompts, adapters and reference models."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

pytest.importorskip("lm_eval")

from lm_eval.evaluator import simple_evaluate
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from typer.testing import Result

from tests.cli.test_bad_input import sentence_of
from tests.conftest import ToyTask, gpt2_tokenizer, invoke
from tests.utility.harness import QUESTIONS, write_task
from unlearnbench.cell.kept_model import KeptModels
from unlearnbench.leaderboard.check import check_entries
from unlearnbench.leaderboard.entry import Entry
from unlearnbench.leaderboard.files import open_entries
from unlearnbench.plugins import registry
from unlearnbench.testing.rig import tiny_llama
from unlearnbench.tracking.store import Store
from unlearnbench.utility import add

pytestmark = pytest.mark.slow

EXACT = ["--set", "model.compute_dtype=float32", "--quiet"]


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    return write_task(tmp_path / "tasks")


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny-llama"
    tokenizer = gpt2_tokenizer()
    tiny_llama(len(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "toy-data"
    folder.mkdir()
    for name, examples in ToyTask().splits(None, 0).items():
        rows = [json.dumps({"prompt": one.prompt, "answer": one.answer}) for one in examples]
        (folder / f"{name}.jsonl").write_text("\n".join(rows), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def made(model_folder: Path, data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fine-tuned base model, weights and a soft prompt that were unlearned from it, and the model before."""
    root = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("UNLEARNBENCH_CACHE", str(root / "cache"))
        outcome = invoke(*run(model_folder, data_folder), "--keep-models", "--results", root / "results")
    assert outcome.exit_code == 0, outcome.output
    return root / "results"


def run(model_folder: Path, data_folder: Path) -> list[object]:
    given = ["run", "--tasks", f"path:{data_folder}", "--models", model_folder, "--methods", "ga,spul", "--trials", 0]
    fast = ["--set", "ga.epochs=1", "--set", "spul.epochs=1", "--set", "base.kind=full", "--set", "base.epochs=1"]
    return [*given, *fast, *EXACT, "--jobs", 1]


@pytest.fixture
def results(made: Path, tmp_path: Path) -> Path:
    """A copy on a machine without the base model in its cache, but with the one that was kept."""
    return Path(shutil.copytree(made, tmp_path / "results"))


def utility(results: Path, *options: object) -> Result:
    return invoke("evaluate", "--results", results, "--utility", "reviews", *options)


def by_row(results: Path) -> dict[str, Entry]:
    return {entry.row: entry for entry in open_entries(str(results))}


def plain(model: Any, tokenizer: Any) -> dict[str, list[int]]:
    """By metric, 1 for each question that plain transformers answers right: the likeliest choice, also by character."""
    right: dict[str, list[int]] = {"acc": [], "acc_norm": []}
    for question in QUESTIONS:
        scores = []
        for choice in question["choices"]:
            front = tokenizer.encode(f"{question['question']} :")
            answer = tokenizer.encode(f"{question['question']} : {choice}")[len(front) :]
            with torch.inference_mode():
                logits = model(input_ids=torch.tensor([front + answer])).logits[0, -len(answer) - 1 : -1]
            scores.append(float(logits.log_softmax(-1)[range(len(answer)), answer].sum()))
        lengths = [len(choice) for choice in question["choices"]]
        right["acc"].append(int(np.argmax(scores) == question["answer"]))
        right["acc_norm"].append(int(np.argmax(np.divide(scores, lengths)) == question["answer"]))
    return right


def models(results: Path, model_folder: Path) -> Mapping[str, PreTrainedModel]:
    """The cells' models as transformers and PEFT load them."""
    kept = {run.data.tags["row"]: run for run in Store.existing(results).finished_cells().values()}
    adapter = results / kept["spul"].data.tags["model.folder"]
    base = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))["base_model_name_or_path"]
    return {
        "vanilla": AutoModelForCausalLM.from_pretrained(model_folder),
        "base": AutoModelForCausalLM.from_pretrained(base),
        "ga": AutoModelForCausalLM.from_pretrained(results / kept["ga"].data.tags["model.folder"]),
        "spul": PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter).eval(),
    }


def test_every_row_answers_as_plain_transformers_and_peft_do(results: Path, tasks: Path, model_folder: Path) -> None:
    before = by_row(results)
    outcome = utility(results, "--utility-path", tasks)
    assert outcome.exit_code == 0, outcome.output
    assert "4 cells to ask reviews; 4 models to load, nothing is trained." in outcome.output
    assert "4 cells have reviews now, 0 had it before." in outcome.output
    after = by_row(results)
    assert check_entries(list(after.values())) == []
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    for row, model in models(results, model_folder).items():
        (found,) = after[row].utility
        expected = plain(model, tokenizer)
        assert found.values == {metric: "".join(map(str, right)) for metric, right in expected.items()}
        assert (found.name, found.version, found.size, found.seed, found.few_shots) == ("reviews", "2.0", 12, None, 0)
        assert after[row].key == before[row].key
        assert after[row].metrics == before[row].metrics
    assert len({found.values["acc"] for entry in after.values() for found in entry.utility}) > 1

    # What the harness says itself of a model on weights.
    network = models(results, model_folder)["ga"]
    theirs: Any = simple_evaluate(
        HFLM(pretrained=network, tokenizer=tokenizer, batch_size=1),
        tasks=["reviews"],
        task_manager=TaskManager(include_path=str(tasks), include_defaults=False),
        bootstrap_iters=0,
    )
    for metric, values in after["ga"].utility[0].values.items():
        assert theirs["results"]["reviews"][f"{metric},none"] == pytest.approx(np.mean([int(flag) for flag in values]))

    # The same in the tables, and every answer beside them.
    markdown = (results / "leaderboard.md").read_text(encoding="utf-8")
    (line,) = (line for line in markdown.splitlines() if line.startswith("| GA |") and line.count("(") == 4)
    share = 100 * after["ga"].utility[0].values["acc"].count("1") / 12
    assert line.startswith(f"| GA | {share:.2f} (")
    assert "reviews acc ↑ (12)" in markdown
    (file, *_) = sorted((results / "artifacts").rglob("reviews-*.parquet"))
    frame = pd.read_parquet(file)
    assert frame["prompt"].tolist() == [f"{question['question']} :" for question in QUESTIONS]
    assert invoke("leaderboard", "--results", results, "--html").exit_code == 0
    page = (results / "leaderboard.html").read_text(encoding="utf-8")
    assert "Utility, by lm-evaluation-harness" in page
    assert "utility reviews, asked later" in page


def test_answers_are_cached_by_the_state_of_a_model_and_resumed(
    results: Path, tasks: Path, monkeypatch: pytest.MonkeyPatch, data_folder: Path, model_folder: Path
) -> None:
    record, recorded = add._record, []

    def killed(store: Store, one: add.Asking, found: Any) -> None:
        if len(recorded) == 2:
            raise KeyboardInterrupt
        recorded.append(one.entry.row)
        record(store, one, found)

    with monkeypatch.context() as patched:
        patched.setattr(add, "_record", killed)
        stopped = utility(results, "--utility-path", tasks)
    assert stopped.exit_code == 130
    assert "interrupted; the same command continues where it stopped." in stopped.output
    resumed = utility(results, "--utility-path", tasks)
    # The third model had answered before its cell could be recorded.
    assert "2 cells to ask reviews; 1 models to load" in resumed.output
    assert "2 cells have reviews now, 2 had it before." in resumed.output
    again = utility(results, "--utility-path", tasks)
    assert "0 cells have reviews now, 4 had it before." in again.output

    # A run finds its cells finished.
    finished = invoke(*run(model_folder, data_folder), "--results", results)
    assert "0 cells to run" in finished.output
    assert all(entry.utility for entry in open_entries(str(results)))


def test_subset_is_drawn_by_the_seed_and_stands_in_a_column_of_its_own(results: Path, tasks: Path) -> None:
    assert utility(results, "--utility-path", tasks).exit_code == 0
    drawn = utility(results, "--utility-path", tasks, "--utility-examples", 5, "--seed", 3)
    assert "4 cells have reviews (5 of 12 examples) now" in drawn.output
    other = utility(results, "--utility-path", tasks, "--utility-examples", 5, "--seed", 4)
    assert other.exit_code == 0
    entries = by_row(results)
    whole, third, fourth = entries["ga"].utility
    assert [len(found.values["acc"]) for found in (whole, third, fourth)] == [12, 5, 5]
    assert [found.seed for found in (whole, third, fourth)] == [None, 3, 4]
    assert len({found.asked for found in (whole, third, fourth)}) == 3
    frames = [pd.read_parquet(file) for file in sorted((results / "artifacts").rglob(f"reviews-{third.asked}.parquet"))]
    assert len(frames) == 4
    assert len({tuple(frame["example"]) for frame in frames}) == 1
    numbers = list(frames[0]["example"])
    for row, entry in entries.items():
        assert [entry.utility[0].values["acc"][number] for number in numbers] == list(entry.utility[1].values["acc"]), (
            row
        )
    markdown = (results / "leaderboard.md").read_text(encoding="utf-8")
    assert markdown.count("reviews acc ↑ (5 of 12)") == 2


def test_adapter_of_peft_answers_as_peft_does(
    tmp_path: Path, tasks: Path, model_folder: Path, data_folder: Path
) -> None:
    torch.manual_seed(0)
    config = LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=4, target_modules=["q_proj", "v_proj"])
    adapted = get_peft_model(AutoModelForCausalLM.from_pretrained(model_folder), config)
    with torch.no_grad():
        for weight in adapted.parameters():
            if weight.requires_grad:
                weight += torch.randn(weight.shape)
    adapted.save_pretrained(tmp_path / "lora")
    results = tmp_path / "brought"
    given = ["--task", f"path:{data_folder}", "--name", "mine", "--base", model_folder, "--results", results]
    assert invoke("evaluate", tmp_path / "lora", *given, *EXACT).exit_code == 0
    outcome = utility(results, "--utility-path", tasks)
    assert outcome.exit_code == 0, outcome.output
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    found = by_row(results)["mine"].utility[0].values
    assert found == {metric: "".join(map(str, right)) for metric, right in plain(adapted.eval(), tokenizer).items()}

    # Of an adapter that has changed nothing is told.
    shutil.rmtree(tmp_path / "lora")
    gone = utility(results, "--utility-path", tasks, "--utility-examples", 4)
    assert gone.exit_code == 1
    assert " / mine: its model is no longer in " in gone.output


def test_group_is_asked_as_one_and_its_subset_over_all_of_it(results: Path, tmp_path: Path) -> None:
    tasks = write_task(tmp_path / "tasks", "first")
    write_task(tasks, "second", doc_to_text="{{question}} and")
    (tasks / "both.yaml").write_text("group: both\ntask: [first, second]\nmetadata: {version: 1}\n", encoding="utf-8")
    common = ["--results", results, "--utility-path", tasks]
    assert invoke("evaluate", "--utility", "both,first,second", *common).exit_code == 0
    for entry in open_entries(str(results)):
        found = {one.name: one.values["acc"] for one in entry.utility}
        assert found["both"] == found["first"] + found["second"]
    drawn = invoke("evaluate", "--utility", "both", *common, "--utility-examples", 7)
    assert "both (7 of 24 examples)" in drawn.output

    # A tag stands for its tasks.
    write_task(tasks, "first", tag="all")
    write_task(tasks, "second", doc_to_text="{{question}} and", tag="all")
    tagged = invoke("evaluate", "--utility", "all", *common)
    assert "cells have first, second now" in tagged.output


def test_models_that_are_gone_are_said_and_the_others_asked(results: Path, tasks: Path) -> None:
    shutil.rmtree(results / by_tag(results, "ga"))
    outcome = utility(results, "--utility-path", tasks)
    assert outcome.exit_code == 1
    assert (
        " / ga: its weights were not kept: the same `unlearnbench run` with --keep-models and --force" in outcome.output
    )
    assert "3 cells have reviews now" in outcome.output
    assert {row for row, entry in by_row(results).items() if entry.utility} == {"vanilla", "base", "spul"}


def test_of_two_copies_of_a_base_model_the_one_counts_that_the_prompt_names(results: Path, tmp_path: Path) -> None:
    """Made again, a base model has the same identity and may round otherwise."""
    store = Store.existing(results)
    run = next(run for run in store.finished_cells().values() if run.data.tags["row"] == "spul")
    (first,) = [facts.parent for facts in (results / "models").glob("*/base.json")]
    adapter = store.artifacts.find(run.info.run_id, "prompt-adapter")
    assert adapter is not None
    settings = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    for name in ("a-copy", "z-copy"):
        shutil.copytree(first, results / "models" / name)
        named = settings | {"base_model_name_or_path": f"/moved/since/models/{name}"}
        (adapter / "adapter_config.json").write_text(json.dumps(named), encoding="utf-8")
        found = KeptModels(store, registry()).find(run, by_row(results)["spul"])
        assert found.weights.path == str(results / "models" / name)


def by_tag(results: Path, row: str) -> str:
    runs = Store.existing(results).finished_cells().values()
    return next(run.data.tags["model.folder"] for run in runs if run.data.tags["row"] == row)


def test_bad_input_gets_one_sentence(
    results: Path, tasks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_task(tasks, "perplexity", output_type="loglikelihood_rolling", doc_to_target="{{question}}",
               metric_list=[{"metric": "word_perplexity"}])  # fmt: skip
    write_task(tasks, "lost", dataset_kwargs={"data_files": {"test": "/nowhere/rows.jsonl"}})
    wrong = {
        ("reviws",): "lm-eval has no task 'reviws': did you mean 'reviews'",
        ("perplexity",): "lm-eval task perplexity has no metric that is a mean of shares over examples",
        ("lost",): "lm-eval task lost can't be loaded",
        ("hellaswag",): "the Hugging Face hub can't be asked (HF_HUB_OFFLINE is set)",
        ("",): "'' names nothing: give one or more names",
        ("reviews", "--metrics", "f1"): "--metrics and --utility are two things",
        ("reviews", "--name", "mine"): "--utility is for cells that have finished",
        ("reviews", "--utility-examples", 0): "Invalid value for '--utility-examples'",
    }
    for (name, *options), expected in wrong.items():
        common = ["--results", results, "--utility-path", tasks]
        assert expected in sentence_of(invoke("evaluate", "--utility", name, *common, *options)), name
    missing = invoke("evaluate", "--utility", "reviews", "--utility-path", tmp_path / "none", "--results", results)
    assert "is not a folder: name one with lm-eval tasks" in sentence_of(missing)
    alone = invoke("evaluate", "--utility-examples", 3, "--results", results)
    assert "belong to --utility" in sentence_of(alone)
    nothing = invoke("evaluate", "--utility", "reviews", "--results", tmp_path / "nothing")
    assert "holds no results" in sentence_of(nothing)
    monkeypatch.setattr("unlearnbench.cli.evaluate.find_spec", lambda name: None)
    assert 'pip install -e ".[lm-eval]"' in sentence_of(utility(results, "--utility-path", tasks))
