"""The five journeys are run as their pages print them, on small data and the tiny model.

What is changed: `SMALL` is added to runs (the pages' own are minutes on real models), and packages are installed into a
folder of the test instead of the environment. The workflow of compare-in-ci.md needs a server; its commands are run.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import invoke
from tests.docs.test_commands import ROOT, commands
from unlearnbench.models.builtin import register_models

pytestmark = pytest.mark.slow

DOCS = ROOT / "docs"
SMALL = "--max-train 12 --max-test 8 --trials 1 --set base.epochs=1 --set tuning.curve_points=0 --jobs 1 --quiet"


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of a language, as printed."""
    return re.findall(rf"```{language}[^\n]*\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)


def shortened(line: str) -> list[str]:
    words = shlex.split(line)[1:]
    return [*words, *shlex.split(SMALL)] if words[0] == "run" else words


def run(page: str) -> dict[str, str]:
    """Runs the page's commands here, and returns what each put out."""
    outputs = {}
    for line in commands(DOCS / page):
        done = invoke(*shortened(line))
        assert done.exit_code == 0, f"{line}: {done.output} {done.exception!r}"
        outputs[line] = done.output
    return outputs


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the model of the package as somebody's own."""
    tiny = next(spec.location for spec in register_models() if spec.name == "tiny")
    shutil.copytree(tiny, tmp_path / "my-model")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_own_texts(place: Path) -> None:
    exec(compile(blocks("own-texts.md", "python")[0], "orders.py", "exec"), {})
    settings = yaml.safe_load(blocks("own-texts.md", "yaml")[0])
    # The model that the page takes by default has 135 million weights.
    (place / "orders.yaml").write_text(yaml.safe_dump({**settings, "preset": "quick"}), encoding="utf-8")
    outputs = run("own-texts.md")
    assert "Ada" in next(text for line, text in outputs.items() if " show " in line)
    table = (place / "results" / "leaderboard.md").read_text(encoding="utf-8")
    assert all(title in table for title in ("path:orders / tiny", "| SPUL", "| GA+GD", "| NPO+RT"))


def test_own_model(place: Path) -> None:
    (output,) = run("own-model.md").values()
    assert "4 cells to run" in output
    assert "sst2 / my-model" in (place / "results" / "leaderboard.md").read_text(encoding="utf-8")


def test_own_metric(place: Path) -> None:
    (printed,) = blocks("own-metric.md", "python")
    environment = {**os.environ, "PYTHONPATH": str(place / "site"), "COLUMNS": "200"}

    def call(*words: str) -> str:
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{words}: {done.stdout} {done.stderr}"
        return done.stdout

    program = [sys.executable, "-m", "unlearnbench"]
    new, check, listing, *rest = commands(DOCS / "own-metric.md")
    call(*program, *shortened(new))
    (place / "unlearnbench-first-letter" / "first_letter.py").write_text(printed, encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    call(*pip, "--target", "site", "./unlearnbench-first-letter")
    assert "0 failed" in call(*program, *shortened(check))
    listed = call(*program, *shortened(listing))
    assert all(name in listed for name in ("accuracy", "f1", "first_letter"))
    outputs = [call(*program, *shortened(line)) for line in rest]
    assert len(outputs) == 2
    assert "test retain First letter ↑" in outputs[1]
    assert "First letter" in (place / "results" / "leaderboard.html").read_text(encoding="utf-8")


def test_compare_in_ci(place: Path) -> None:
    """The second run is the first one again, so that nothing is worse; without a method it fails."""
    first, compare = commands(DOCS / "compare-in-ci.md")[:2]
    runs = [shortened(first), shortened(first.replace("results candidate", "results baseline"))]
    for words in runs:
        assert invoke(*words).exit_code == 0
    same = invoke(*shortened(compare))
    assert same.exit_code == 0, same.output
    fewer = first.replace("spul,ga-gd", "ga-gd").replace("results candidate", "results fewer")
    assert invoke(*shortened(fewer)).exit_code == 0
    missing = invoke(*shortened(compare.replace("candidate", "fewer")))
    assert missing.exit_code == 1
    assert "spul is missing in B" in missing.output
    (workflow,) = blocks("compare-in-ci.md", "yaml")
    steps = [step.get("run", "") for step in yaml.safe_load(workflow)["jobs"]["compare"]["steps"]]
    assert any("--fail-if-worse" in step for step in steps)


def test_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    (output,) = run("why.md").values()
    assert "What costs it most" in output


@pytest.mark.parametrize("page", ["own-texts.md", "own-model.md", "own-metric.md", "compare-in-ci.md", "why.md"])
def test_a_journey_is_one_screen(page: str) -> None:
    assert len((DOCS / page).read_text(encoding="utf-8").splitlines()) <= 50
