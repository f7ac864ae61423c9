"""Models that were made elsewhere: evaluated as plain transformers and PEFT compute them, and marked as such."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from peft import LoraConfig, PeftModel, PrefixTuningConfig, PromptTuningConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

import unlearnbench
from tests.cli.test_bad_input import sentence_of
from tests.cli.test_unlearn import answers
from tests.conftest import invoke
from unlearnbench.leaderboard.blocks import Block, build_blocks
from unlearnbench.leaderboard.check import check_entries
from unlearnbench.leaderboard.files import open_entries

EXACT = ["--set", "model.compute_dtype=float32", "--quiet"]


@pytest.fixture
def elsewhere(model_folder: Path, tmp_path: Path) -> Path:
    """The user's model after somebody else's training, with its tokenizer."""
    folder = tmp_path / "elsewhere"
    model = AutoModelForCausalLM.from_pretrained(model_folder)
    noise = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.3 * weight.std() * torch.randn(weight.shape, generator=noise)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(model_folder).save_pretrained(folder)
    return folder


def adapter(model_folder: Path, folder: Path, config: Any) -> Path:
    """An adapter of plain PEFT that changes what the model predicts."""
    torch.manual_seed(0)
    adapted = get_peft_model(AutoModelForCausalLM.from_pretrained(model_folder), config)
    with torch.no_grad():
        for weight in adapted.parameters():
            if weight.requires_grad:
                weight += torch.randn(weight.shape)
    adapted.save_pretrained(folder)
    return folder


def evaluate(model: object, data: Path, results: Path, *options: object) -> Any:
    return invoke("evaluate", model, "--task", f"path:{data}", "--results", results, *EXACT, *options)


def samples_of(results: Path, row: str) -> pd.DataFrame:
    samples = unlearnbench.load_samples(results)
    return samples[samples["row"] == row]


def tables(results: Path) -> list[Block]:
    return build_blocks(open_entries(str(results)))


def check_answers(model: Any, model_folder: Path, recorded: pd.DataFrame) -> None:
    assert set(recorded["split"]) == {"train_forget", "train_retain", "test_forget", "test_retain"}
    right, log_probabilities = answers(model.eval(), AutoTokenizer.from_pretrained(model_folder), recorded)
    assert right == list(recorded["right"])
    assert log_probabilities == pytest.approx(list(recorded["log_probability"]), abs=2e-3)


@pytest.mark.slow
def test_checkpoint_stands_in_the_table_of_the_same_base_model(
    elsewhere: Path, model_folder: Path, data_folder: Path, tmp_path: Path
) -> None:
    results = tmp_path / "results"
    run = ["--models", model_folder, "--methods", "ga", "--trials", 0, "--set", "ga.epochs=1", "--results", results]
    assert invoke("run", "--tasks", f"path:{data_folder}", "--set", "base.kind=none", *run, *EXACT).exit_code == 0
    outcome = evaluate(elsewhere, data_folder, results, "--base", model_folder, "--name", "mine")
    assert outcome.exit_code == 0, outcome.output
    assert "cell 1/1" in outcome.output, "the base model has its result"
    assert "│ mine" in outcome.output
    check_answers(AutoModelForCausalLM.from_pretrained(elsewhere), model_folder, samples_of(results, "mine"))

    (block,) = tables(results)
    lines = {line.row: line for line in block.lines}
    assert set(lines) == {"base", "ga", "mine"}
    assert (lines["mine"].title, lines["mine"].competes) == ("mine (brought)", False)
    assert "trainable_parameters" not in lines["mine"].mean
    assert lines["mine"].mean["trials"] == 0
    assert "mine (brought) was made elsewhere and only evaluated here" in " ".join(block.notes)
    entries = open_entries(str(results))
    assert check_entries(entries) == []
    (entry,) = (entry for entry in entries if entry.row == "mine")
    assert (entry.identity.subject.kind, entry.config) == ("brought", None)
    assert open_entries(str(results / "leaderboard.json")) == entries
    assert "| mine (brought) |" in (results / "leaderboard.md").read_text(encoding="utf-8")
    assert invoke("leaderboard", "--results", results, "--html").exit_code == 0
    assert "mine (brought)" in (results / "leaderboard.html").read_text(encoding="utf-8")

    # Once evaluated, always; another model of that name is another result.
    assert "cell 1" not in evaluate(elsewhere, data_folder, results, "--base", model_folder, "--name", "mine").output
    again = evaluate(model_folder, data_folder, results, "--base", model_folder, "--name", "mine")
    assert "cell 1/1" in again.output
    assert len({entry.key for entry in open_entries(str(results)) if entry.row == "mine"}) == 2


@pytest.mark.slow
def test_checkpoint_without_a_base_model_stands_in_every_table_of_its_rows_and_claims_nothing(
    elsewhere: Path, data_folder: Path, tmp_path: Path, model_folder: Path
) -> None:
    results = tmp_path / "results"
    assert evaluate(elsewhere, data_folder, results, "--name", "alone").exit_code == 0
    (block,) = tables(results)
    assert [line.row for line in block.lines] == ["alone"]
    other = evaluate(model_folder, data_folder, results, "--base", model_folder, "--name", "itself")
    assert other.exit_code == 0, other.output
    (block,) = tables(results)
    lines = {line.row: line for line in block.lines}
    assert set(lines) == {"base", "itself", "alone"}
    assert "trade_off" not in lines["alone"].mean
    assert lines["alone"].entries[0].seed is None
    assert check_entries(open_entries(str(results))) == []


@pytest.mark.slow
def test_base_model_that_was_made_here_and_kept_has_its_own_table(data_folder: Path, tmp_path: Path) -> None:
    """What another tool makes of a kept base model is a row beside the methods that started from it."""
    results = tmp_path / "results"
    run = ["--methods", "spul", "--trials", 0, "--set", "spul.epochs=1", "--set", "base.epochs=1", "--keep-models"]
    run += ["--preset", "quick", "--results", results, "--quiet"]
    assert invoke("run", "--tasks", f"path:{data_folder}", *run).exit_code == 0
    (base,) = (results / "models").glob("*-base-seed-0-*")
    outcome = evaluate(base, data_folder, results, "--preset", "quick", "--base", base, "--name", "unchanged")
    assert outcome.exit_code == 0, outcome.output
    (block,) = tables(results)
    lines = {line.row: line for line in block.lines}
    assert set(lines) == {"vanilla", "base", "spul", "unchanged"}
    for metric in ("test_forget_accuracy", "test_retain_accuracy", "train_forget_accuracy"):
        assert lines["unchanged"].mean[metric] == lines["base"].mean[metric]


# PEFT writes the base model's name into a configuration, so each adapter gets one of its own.
ADAPTERS: dict[str, partial[Any]] = {
    "lora": partial(LoraConfig, task_type="CAUSAL_LM", r=4, lora_alpha=4, target_modules=["q_proj", "v_proj"]),
    "prompt": partial(PromptTuningConfig, task_type="CAUSAL_LM", num_virtual_tokens=5),
    "prefix": partial(PrefixTuningConfig, task_type="CAUSAL_LM", num_virtual_tokens=2),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["lora", "prompt"])
def test_adapter_is_evaluated_as_plain_peft_computes_it(
    kind: str, model_folder: Path, data_folder: Path, tmp_path: Path
) -> None:
    folder = adapter(model_folder, tmp_path / kind, ADAPTERS[kind]())
    results = tmp_path / "results"
    outcome = evaluate(folder, data_folder, results, "--name", kind)
    assert outcome.exit_code == 0, outcome.output
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(model_folder), folder)
    recorded = samples_of(results, kind)
    check_answers(model, model_folder, recorded)
    before = samples_of(results, "base")
    assert list(before["log_probability"]) != pytest.approx(list(recorded["log_probability"]), abs=0.1)
    (block,) = tables(results)
    assert {line.row for line in block.lines} == {"base", kind}, "the base model that the adapter names"


WRONG: dict[str, tuple[list[str], str]] = {
    "no such model": (["nothing", "--name", "mine"], "no model is called 'nothing'"),
    "no such base": (["{model}", "--name", "mine", "--base", "nothing"], "no model is called 'nothing'"),
    "a method's name": (["{model}", "--name", "spul"], "--name 'spul' is a row of its own in every leaderboard"),
    "a reference's name": (["{model}", "--name", "base"], "--name 'base' is a row of its own"),
    "an odd name": (["{model}", "--name", "../x"], "--name '../x' is not a name"),
    "no such task": (["{model}", "--name", "mine", "--task", "ssst2"], "did you mean 'sst2'?"),
    "adapter of a kind that changes no weights": (["{prefix}", "--name", "mine"], "is of kind PREFIX_TUNING"),
    "adapter without weights": (["{empty}", "--name", "mine"], "has no adapter_model.safetensors"),
    "adapter without a base": (["{baseless}", "--name", "mine"], "name it with --base"),
    "adapter of another model": (["{lora}", "--name", "mine", "--base", "tiny"], "does not fit tiny"),
    "prompt of another model": (["{prompt}", "--name", "mine", "--base", "tiny"], "name the model that it was trained"),
}


@pytest.fixture
def wrong(model_folder: Path, tmp_path: Path) -> dict[str, str]:
    """Adapters that can't be evaluated."""
    made = {name: adapter(model_folder, tmp_path / name, config()) for name, config in ADAPTERS.items()}
    for name, facts in (("empty", {"base_model_name_or_path": str(model_folder)}), ("baseless", {})):
        made[name] = tmp_path / name
        made[name].mkdir()
        text = json.dumps({"peft_type": "LORA", **facts})
        (made[name] / "adapter_config.json").write_text(text, encoding="utf-8")
    return {"{" + name + "}": str(folder) for name, folder in {**made, "model": model_folder}.items()}


@pytest.mark.slow
def test_bad_input_gets_one_sentence(wrong: dict[str, str], data_folder: Path, tmp_path: Path) -> None:
    for case, (options, expected) in WRONG.items():
        model, *rest = (wrong.get(option, option) for option in options)
        assert expected in sentence_of(evaluate(model, data_folder, tmp_path / "results", *rest)), case
