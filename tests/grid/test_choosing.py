"""What a wrong name is answered with, and what has been imported by then."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import invoke
from unlearnbench.config import build_config
from unlearnbench.errors import UserError
from unlearnbench.grid.choosing import check_names, choose_methods, with_own_names
from unlearnbench.plugins import registry

WRONG = [
    (["run", "--tasks", "ssst2"], "no task is called 'ssst2'"),
    (["run", "--tasks", "arc"], "is a transfer task"),
    (["run", "--tasks", "path:/nowhere/at/all"], "'/nowhere/at/all' does not exist"),
    (["run", "--methods", "spull"], "no method is called 'spull'"),
    (["run", "--methods", "ga,retain"], "'retain' is not a method but the reference row Retrain: leave it out"),
    (["run", "--methods", "base"], "'base' is not a method but the reference row Base"),
    (["run", "--models", "tinny"], "no model is called 'tinny'"),
    (["run", "--data-root", "/nowhere/at/all"], "data root '/nowhere/at/all' is not a folder"),
    (["run", "--set", "spul.alpah=1"], "did you mean 'alpha'?"),
    (["run", "--set", "ga.batch_size=-2"], "ga.batch_size is -2"),
    (["run", "--set", "yelp.clusters=0"], "yelp.clusters"),
    (["run", "--set", "base.rank=0"], "base.rank"),
    (["run", "--set", "tuning.keep=best", "--set", "tuning.curve_points=0"], "there is nothing to choose from"),
    (["run", "--seeds", "-1"], "--seeds is '-1'"),
    (["run", "--ray-address", "host:6379"], "--ray-address is host:6379"),
    (["run", "--gpus-per-cell", "0.5"], "--gpus-per-cell is 0.5"),
    (["study", "alpha-beta", "--methods", "spull"], "no method is called 'spull'"),
    (["data", "show", "ssst2"], "no task is called 'ssst2'"),
]
PROGRAM = """
import json, sys
from unlearnbench.cli import app
from unlearnbench.errors import UserError
answers = []
for arguments in json.loads(sys.argv[1]):
    try: app(arguments, standalone_mode=False)
    except UserError as error: answers.append(str(error))
    else: answers.append("accepted")
heavy = {"torch", "transformers", "datasets", "mlflow", "optuna", "sklearn", "pandas", "ray"} & set(sys.modules)
print(json.dumps([answers, sorted(heavy)]))
"""


def test_wrong_names_are_refused_before_anything_heavy_is_imported(tmp_path: Path) -> None:
    commands = json.dumps([arguments for arguments, _ in WRONG])
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, commands], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    answers, heavy = json.loads(done.stdout.splitlines()[-1])
    assert not heavy
    for (arguments, expected), answer in zip(WRONG, answers, strict=True):
        assert expected in answer, arguments
    assert not list(tmp_path.iterdir())


def test_an_executor_that_is_not_installed_is_refused_before_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unlearnbench.processes.ray.find_spec", lambda name: None)
    refused = invoke("run", "--executor", "ray", "--dry-run")
    assert "needs Ray, which is not installed" in str(refused.exception)
    assert "Plan" not in refused.output


def test_own_data_need_no_data_root(data_folder: Path) -> None:
    settings = {"tasks": [f"path:{data_folder}"], "data_root": "/nowhere", "preset": "quick"}
    check_names(build_config({}, settings), registry())
    with pytest.raises(UserError, match="data root"):
        check_names(build_config({}, {**settings, "tasks": ["sst2", f"path:{data_folder}"]}), registry())


def test_version_is_one_line() -> None:
    import torch
    import transformers

    shown = invoke("--version")
    assert shown.exit_code == 0
    (line,) = shown.output.splitlines()
    python = ".".join(map(str, sys.version_info[:3]))
    expected = f"Python {python}, torch {torch.__version__}, transformers {transformers.__version__}"
    assert line.startswith("unlearnbench ")
    assert line.endswith(expected)


def test_methods_are_found_by_the_names_that_another_tool_has() -> None:
    given = {"methods": ["GradAscent", "ga", "npo", "spul"], "set": {"GradAscent": {"epochs": 2, "batch_size": 4}}}
    config, said = with_own_names(
        build_config({**given, "preset": "paper"}, {"set": {"ga": {"epochs": 3}}}), registry()
    )
    assert said == ["GradAscent is called ga here.", "npo is called npo-rt here."]
    assert [method.item.name for method in choose_methods(config, registry())] == ["ga", "npo-rt", "spul"]
    assert config.set["ga"] == {**config.set["ga"], "epochs": 3, "batch_size": 4}, "its own name counts more"
    assert "GradAscent" not in config.set
    check_names(config, registry())


def test_nothing_is_said_of_own_names() -> None:
    config = build_config({"methods": ["ga"], "set": {"ga": {"epochs": 2}, "methods": {"batch_size": 4}}}, {})
    assert with_own_names(config, registry()) == (config, [])


def test_command_says_which_method_is_meant() -> None:
    said = invoke("run", "--methods", "GradDiff", "--tasks", "ssst2")
    assert "GradDiff is called ga-gd here." in said.output
