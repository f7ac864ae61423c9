"""One model that can't be loaded does not stop the others."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.conftest import invoke
from unlearnbench.config import RunConfig
from unlearnbench.errors import ModelError
from unlearnbench.models.usable import usable_models
from unlearnbench.plugins import registry


def broken(model_folder: Path, name: str) -> Path:
    """A copy of the model without the file."""
    copy = model_folder.with_name("broken")
    shutil.copytree(model_folder, copy)
    (copy / name).unlink()
    return copy


def test_other_models_remain_and_the_reason_is_given(model_folder: Path) -> None:
    bad = broken(model_folder, "tokenizer.json")
    (bad / "tokenizer_config.json").unlink(missing_ok=True)
    config, reasons = usable_models(RunConfig(models=(str(bad), str(model_folder))), registry().models)
    assert config.models == (str(model_folder),)
    assert list(reasons) == [str(bad)]
    assert "has no tokenizer" in reasons[str(bad)]
    with pytest.raises(ModelError, match="has no tokenizer"):
        usable_models(RunConfig(models=(str(bad),)), registry().models)


@pytest.mark.slow
def test_run_continues_without_it_and_exits_with_1(model_folder: Path, data_folder: Path, tmp_path: Path) -> None:
    """The first lacks a file and is left out before the plan, the second lacks weights and fails when they are read."""
    from safetensors.torch import load_file, save_file

    bad, short = broken(model_folder, "model.safetensors"), model_folder.with_name("short")
    shutil.copytree(model_folder, short)
    weights = load_file(short / "model.safetensors")
    del weights["model.norm.weight"]
    save_file(weights, short / "model.safetensors", metadata={"format": "pt"})
    command = [
        "run", "--tasks", f"path:{data_folder}", "--models", f"{bad},{short},{model_folder}", "--methods", "ga",
        "--results", tmp_path / "results", "--trials", 1, "--jobs", 1, "--set", "base.kind=lora",
        "--set", "base.epochs=1",
    ]  # fmt: skip
    ran = invoke(*command)
    assert ran.exit_code == 1, ran.output
    output = " ".join(ran.output.split())
    assert f"left out: {bad}: model folder {bad} has no weights in safetensors" in output
    assert "failed: short / path:toy-data / seed 0 / vanilla and 2 more: the weights of short lack" in output
    assert "tiny-llama" in (tmp_path / "results" / "leaderboard.md").read_text(encoding="utf-8")
    again = invoke(*command)
    assert "3 cells to run, 3 finished before" in " ".join(again.output.split())
