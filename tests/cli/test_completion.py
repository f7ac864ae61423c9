"""Names that the shell completes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from unlearnbench.cli import completion
from unlearnbench.plugins import registry


def completed(line: str) -> list[str]:
    """What bash gets for a command line whose last word is being typed; fails if a library is loaded for that."""
    program = (
        "import atexit, os, sys\n"
        "def check():\n"
        "    heavy = {'torch', 'transformers', 'mlflow', 'optuna', 'datasets', 'pandas'} & set(sys.modules)\n"
        "    if heavy: print('imported', heavy); sys.stdout.flush(); os._exit(1)\n"
        "atexit.register(check)\n"
        "from unlearnbench.cli import app\n"
        "app(prog_name='unlearnbench')\n"
    )
    words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)}
    environment = {**os.environ, **words, "_UNLEARNBENCH_COMPLETE": "complete_bash"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("unlearnbench run --methods sp", ["spul"]),
        ("unlearnbench run --methods spul,ga-", ["spul,ga-gd", "spul,ga-kl"]),
        ("unlearnbench run --tasks wm", ["wmdp-sciq"]),
        ("unlearnbench run --models t", ["tiny"]),
        ("unlearnbench run --preset q", ["quick"]),
        ("unlearnbench study alpha", ["alpha-beta"]),
        ("unlearnbench data show y", ["yelp"]),
        ("unlearnbench check npo", ["npo-rt"]),
        ("unlearnbench reproduce leaderboards/quick --row rl", ["rl"]),
    ],
)
def test_names_are_completed(line: str, expected: list[str]) -> None:
    assert completed(line) == expected


def test_a_name_is_offered_once_and_all_only_alone() -> None:
    assert "all" in dict(completion.tasks(""))
    assert "sst2,all" not in dict(completion.tasks("sst2,"))
    assert "spul,spul" not in dict(completion.methods("spul,"))
    # Shells that show descriptions get them.
    assert all(text for _, text in completion.methods("") + completion.models("") + completion.tasks(""))


def test_metrics_can_be_checked_as_methods_and_tasks_can() -> None:
    known = registry()
    checked = dict(completion.plugins(""))
    for items in (known.methods, known.tasks, known.metrics):
        assert {name: checked[name] for name in items} == {name: one.item.description for name, one in items.items()}
