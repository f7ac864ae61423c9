"""Strangers' packages, really installed with pip into a fresh environment, run beside the built-ins.

They are those of `examples/`, and what `unlearnbench new` writes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.conftest import gpt2_tokenizer, tiny_llama
from unlearnbench.cli import app
from unlearnbench.errors import UserError

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an environment that sees our packages, and has the strangers' installed."""
    home = tmp_path_factory.mktemp("home")
    venv.create(home / "environment", with_pip=True, symlinks=True)
    library = home / "environment" / "lib" / f"python{sysconfig.get_python_version()}" / "site-packages"
    # addsitedir also runs this environment's own .pth files, through which an editable install is found.
    here = sysconfig.get_paths()["purelib"]
    (library / "here.pth").write_text(f"import site; site.addsitedir({here!r})\n", encoding="utf-8")
    for kind, name in (("method", "half-ascent"), ("task", "drinks")):
        outcome = CliRunner().invoke(app, ["new", kind, name, "--in", str(home)])
        assert outcome.exit_code == 0, outcome.output
    packages = [home / "unlearnbench-half-ascent", home / "unlearnbench-drinks"]
    copies = [copied(package, home) for package in sorted(EXAMPLES.iterdir()) if (package / "pyproject.toml").is_file()]
    assert len(copies) == 3
    command = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run(
        [home / "environment" / "bin" / "python", *command, *packages, *copies], check=True, capture_output=True
    )
    tokenizer = gpt2_tokenizer()
    tiny_llama(len(tokenizer)).save_pretrained(home / "tiny-llama")
    tokenizer.save_pretrained(home / "tiny-llama")
    return home


def copied(package: Path, home: Path) -> Path:
    """A copy, since a build leaves folders beside the sources."""
    import shutil

    return Path(shutil.copytree(package, home / package.name, ignore=shutil.ignore_patterns("*.egg-info", "build")))


def python(home: Path, *arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [home / "environment" / "bin" / "python", *map(str, arguments)]
    environment = {**os.environ, "UNLEARNBENCH_CACHE": str(home / "cache"), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd or home, env=environment)


@pytest.mark.slow
def test_they_are_listed_with_their_origin(home: Path) -> None:
    listed = {}
    for kind in ("methods", "tasks"):
        outcome = python(home, "-m", "unlearnbench", "list", kind, "--json")
        listed |= {entry["name"]: (entry["origin"], entry["version"]) for entry in json.loads(outcome.stdout)}
    assert listed["half-ascent"] == ("unlearnbench-half-ascent", "0.1.0")
    assert listed["drinks"] == ("unlearnbench-drinks", "0.1.0")
    assert listed["simnpo"] == ("unlearnbench-simnpo", "0.1.0")
    assert listed["rmu"] == ("unlearnbench-rmu", "0.1.0")
    assert listed["authors"] == ("unlearnbench-authors", "0.1.0")
    assert listed["ga"][0] == "unlearnbench"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["half-ascent", "drinks", "simnpo", "rmu", "authors"])
def test_they_pass_the_checks_and_their_own_tests(home: Path, name: str) -> None:
    checked = python(home, "-m", "unlearnbench", "check", name)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "0 failed" in checked.stdout
    tested = python(home, "-m", "pytest", "-q", "-p", "no:cacheprovider", ".", cwd=home / f"unlearnbench-{name}")
    assert tested.returncode == 0, tested.stdout
    assert "passed" in tested.stdout


@pytest.mark.slow
def test_they_run_beside_the_built_in_ones(home: Path) -> None:
    outcome = python(
        home, "-m", "unlearnbench", "run", "--tasks", "authors,drinks", "--methods", "ga-gd,half-ascent,simnpo,rmu",
        "--models", home / "tiny-llama", "--preset", "small", "--trials", 0, "--results", home / "results",
        "--set", "base.kind=lora", "--set", "base.epochs=1", "--set", "half-ascent.weight=0.25",
        "--set", "authors.authors=6", "--set", "authors.forgotten=2", "--set", "authors.base_epochs=1", "--quiet",
    )  # fmt: skip
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    entries = json.loads((home / "results" / "leaderboard.json").read_text(encoding="utf-8"))["entries"]
    rows = {(entry["identity"]["task"], entry["identity"]["row"]) for entry in entries}
    wanted = ("vanilla", "base", "ga-gd", "half-ascent", "simnpo", "rmu")
    assert rows == {(task, row) for task in ("authors", "drinks") for row in wanted}
    for entry in entries:
        assert 0 <= entry["metrics"]["test_forget_rouge_l"] <= 1
        assert 0 < entry["metrics"]["test_forget_probability"] < 1
        if entry["identity"]["row"] == "half-ascent":
            assert entry["hyperparameters"]["weight"] == "0.25"
            assert entry["plugin"] == "unlearnbench-half-ascent 0.1.0"


def test_current_interpreter_does_not_see_them() -> None:
    outcome = subprocess.run(
        [sys.executable, "-m", "unlearnbench", "list", "methods", "--json"], capture_output=True, text=True, check=True
    )
    assert "half-ascent" not in outcome.stdout


@pytest.mark.parametrize("name", ["Half", "a_b", "-a", "a--b", "a/../b", "", "é", "a b"])
def test_names_that_would_not_work_are_refused(name: str, tmp_path: Path) -> None:
    outcome = CliRunner().invoke(app, ["new", "method", "--in", str(tmp_path), "--", name])
    assert isinstance(outcome.exception, UserError)
    assert "can't be the name of a method" in str(outcome.exception)
    assert not list(tmp_path.iterdir())


def test_existing_folder_is_left_alone(tmp_path: Path) -> None:
    assert CliRunner().invoke(app, ["new", "task", "x", "--in", str(tmp_path)]).exit_code == 0
    again = CliRunner().invoke(app, ["new", "task", "x", "--in", str(tmp_path)])
    assert "exists already" in str(again.exception)
