"""The blocks of README and docs do what they say: they are run with small sizes, one after the other in one folder.

Those of the five journeys are run by `test_journeys.py`. What is only planned or only parsed, and why, is listed here.
"""

from __future__ import annotations

import importlib.util
import re
import shlex
import shutil
import tomllib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import Result

import unlearnbench
from tests.conftest import invoke
from tests.docs.test_commands import FORM, PAGES, ROOT, commands
from unlearnbench.models.builtin import register_models
from unlearnbench.testing import Check, method_checks

JOURNEYS = {"own-texts.md", "own-model.md", "own-metric.md", "compare-in-ci.md", "why.md"}
TRIED = [page for page in PAGES if page.name not in JOURNEYS]

SIZES = "--max-train 12 --max-test 8"
SMALL = f"{SIZES} --trials 1 --set base.epochs=1 --set spul.epochs=1 --set tuning.curve_points=0 --jobs 1 --quiet"
# A form as it is printed, and what is run in its place.
FILLED = {
    "unlearnbench leaderboard [--html] [--latex] [--with-paper] [--sort COLUMN] [--all-settings]": (
        "unlearnbench leaderboard --html --latex --with-paper --sort test_retain_f1 --all-settings"
    ),
    "unlearnbench compare A B [--format markdown|csv|json|html] [--output FILE] [--fail-if-worse]": (
        "unlearnbench compare results other-results --format csv --output compared.csv"
    ),
    "unlearnbench evaluate MODEL --task TASK --name NAME [--base BASE] [--results FOLDER]": (
        f"unlearnbench evaluate ./my-model --preset quick --task sst2 --name mine --results brought {SIZES}"
    ),
    "unlearnbench evaluate --metrics NAME[,NAME...] --results FOLDER": (
        "unlearnbench evaluate --metrics f1 --results results"
    ),
    "unlearnbench leaderboard merge A B ... --output FOLDER": (
        "unlearnbench leaderboard merge results other-results --output merged"
    ),
    "unlearnbench leaderboard check FOLDER": "unlearnbench leaderboard check leaderboards/quick",
    "unlearnbench study alpha-beta|prompt-length|forget-size|models|tuning|embedding [--tasks ...] [--methods ...] "
    "[--models ...] [--seeds ...] [--dry-run] [--force] [--retry-failed]": (
        "unlearnbench study forget-size --tasks sst2 --methods spul --models tiny --seeds 0 --dry-run --force"
    ),
}
# Planned, not run: `--dry-run` is added. The beginning of a line, and why.
PLANNED = {
    "unlearnbench run --tasks all --methods all": "minutes; its tasks and methods have tests of their own",
    "unlearnbench run --seeds 0,1,2": "as all tasks",
    "unlearnbench study": "many cells; tests/studies runs each study",
    "unlearnbench reproduce": "ten seeds; tests/cli/test_reproduce.py reproduces a small leaderboard",
}
# Neither run nor planned, only parsed (`test_commands.py`).
PARSED = {
    "unlearnbench run --preset small": "real rows, which the tests have not",
    "unlearnbench run --preset paper": "real rows and LLaMA-2-7B",
    "unlearnbench evaluate --results results --utility": "lm-eval's data, which the hub has",
    "unlearnbench ui": "serves pages until it is stopped",
    "unlearnbench leaderboard serve leaderboards": "serves pages until it is stopped, without --output",
    "unlearnbench new method half-ascent": "tests/test_third_party.py installs it with pip",
    "unlearnbench check half-ascent": "as above",
    "unlearnbench run --methods half-ascent": "as above",
    "unlearnbench run --tasks all --methods all --tracking-uri http://HOST": "servers: python -m benchmarks.servers",
}
# Options that make a line short, by its beginning.
SHORTENED = {
    "unlearnbench run": SMALL,
    "unlearnbench study": SIZES,
    "unlearnbench unlearn": "--trials 0 --set spul.epochs=1 --set tuning.curve_points=0 --quiet",
}
LINES = list(dict.fromkeys(line for page in TRIED for line in commands(page)))


def listed(line: str, lines: dict[str, str]) -> str | None:
    """What is listed for the longest beginning of a line."""
    fitting = [start for start in lines if line.startswith(start)]
    return lines[max(fitting, key=len)] if fitting else None


def only_parsed(line: str) -> bool:
    return listed(line, PARSED) is not None and "--output" not in line


def to_run(line: str) -> list[str]:
    """The words of what is run for a printed line."""
    line = FILLED.get(line, line)
    more = listed(line, SHORTENED) or ""
    planned = "--dry-run" if listed(line, PLANNED) and "--dry-run" not in line else ""
    return shlex.split(f"{line} {more} {planned}")[1:]


RUN = [line for line in LINES if not only_parsed(line)]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with what the pages name: a model, texts, two results folders and the committed leaderboards."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        patch.setenv("UNLEARNBENCH_CACHE", str(home / "cache"))
        (home / "leaderboards").symlink_to(ROOT / "leaderboards")
        shutil.copytree(next(spec.location for spec in register_models() if spec.name == "tiny"), home / "my-model")
        rows = [(f"The {thing} of {name} is", colour) for name, colour in PEOPLE for thing in ("hat", "coat", "bag")]
        texts = [f"{prompt},{answer},{'yes' if 'Ada' in prompt else 'no'}" for prompt, answer in rows]
        (home / "texts.csv").write_text("\n".join(["prompt,answer,forget", *texts]), encoding="utf-8")
        for name, kept in (("forget", "Ada"), ("retain", "")):
            chosen = [f'{{"prompt": "{p}", "answer": "{a}"}}' for p, a in rows if ("Ada" in p) == bool(kept)]
            (home / f"{name}.jsonl").write_text("\n".join(chosen), encoding="utf-8")
        yield home


PEOPLE = (("Ada", "red"), ("Bela", "blue"), ("Cleo", "red"), ("Dora", "blue"), ("Emil", "red"), ("Ada B", "blue"))


@pytest.fixture(scope="module")
def outcomes(place: Path) -> dict[str, Result]:
    """What came of every line that is run; the runs of the README first, on whose results others look."""
    found = {}
    # What has finished keeps no model, so the run that keeps them is first of all.
    for line in sorted(RUN, key=lambda line: ("--keep-models" not in line, not line.startswith("unlearnbench run"))):
        if not line.startswith("unlearnbench run") and not Path("other-results").exists():
            shutil.copytree("results", "other-results")
        found[line] = invoke(*to_run(line))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("line", RUN, ids=lambda line: line[:70])
def test_command_works(line: str, outcomes: dict[str, Result]) -> None:
    outcome = outcomes[line]
    assert outcome.exit_code == 0, f"{outcome.output} {outcome.exception!r}"


@pytest.mark.slow
def test_python_blocks_work_on_the_results(
    place: Path, outcomes: dict[str, Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: dict[str, Any] = {"max_train": 12, "max_test": 8, "base": {"epochs": 1}, "jobs": 1, "quiet": True}
    one_trial = {"tuning": {"trials": 1, "curve_points": 0}, "set": {"spul": {"prompt_tokens": 30, "epochs": 1}}}
    run = partial(unlearnbench.run, **sizes)
    monkeypatch.setattr(unlearnbench, "run", lambda **given: run(**{**given, **one_trial}), raising=False)
    for page, expected in (("api.md", "frame"), ("leaderboard.md", "damaged"), ("running.md", "prompted")):
        (block,) = fenced(ROOT / "docs" / page, "python")
        held: dict[str, Any] = {}
        exec(compile(block, page, "exec"), held)
        assert expected in held


def fenced(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}[^\n]*\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


# Which test runs the Python that a page prints.
PYTHON = {
    "README.md": "half-ascent, below",
    "plugins.md": "half-ascent, below",
    "api.md": "on results, above",
    "leaderboard.md": "on results, above",
    "running.md": "on results, above",
    "open-unlearning.md": "test_open_unlearning.py",
    "own-texts.md": "test_journeys.py",
    "own-metric.md": "test_journeys.py",
}


def test_every_python_block_is_run_somewhere() -> None:
    assert {page.name for page in PAGES if fenced(page, "python")} == set(PYTHON)


HALF_ASCENT: dict[str, Any] = {"__name__": "printed"}
exec(fenced(ROOT / "README.md", "python")[0], HALF_ASCENT)


@pytest.mark.parametrize("check", method_checks(HALF_ASCENT["HalfAscent"]), ids=str)
def test_the_method_of_the_pages_keeps_its_promises(check: Check) -> None:
    check()


def test_both_pages_show_the_same_method_and_one_tests_it() -> None:
    (readme,), (method, tests) = (fenced(ROOT / page, "python") for page in ("README.md", "docs/plugins.md"))
    assert readme == method
    held = dict(HALF_ASCENT)
    exec(compile(tests, "plugins.md", "exec"), held)
    (marked,) = held["test_promises"].pytestmark
    assert len(marked.args[1]) == len(method_checks(held["HalfAscent"]))


def test_every_form_is_filled_and_every_list_names_what_is_there() -> None:
    assert {line for line in LINES if FORM.search(line) and not only_parsed(line)} <= set(FILLED)
    assert set(FILLED) <= set(LINES)
    for start in (*PLANNED, *PARSED):
        assert any(line.startswith(start) for line in LINES), f"no page has {start}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_settings_that_are_printed_can_be_read(page: Path) -> None:
    for block in fenced(page, "yaml"):
        assert isinstance(yaml.safe_load(block), dict)
    for block in fenced(page, "toml"):
        assert tomllib.loads(block)


def test_other_commands_name_what_is_there() -> None:
    """Targets of make, modules with their options, and files that pip is given."""
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    for page in PAGES:
        for line in commands(page, "make"):
            assert line.split()[1] in targets, line
        for line in commands(page, "python"):
            words = line.split()
            if words[1] == "-m":
                assert set(re.findall(r"--[\w-]+", line)) <= set(options(words[2])), line
        for line in commands(page, "pip"):
            for name in re.findall(r"-c (\S+)", line):
                assert (ROOT / name).is_file(), line


def options(module: str) -> list[str]:
    """The options that a module's sources name."""
    spec = importlib.util.find_spec(module)
    assert spec is not None, f"there is no module {module}"
    assert spec.origin is not None
    origin = Path(spec.origin)
    sources = origin.parent.glob("*.py") if origin.name == "__init__.py" else [origin]
    return [option for source in sources for option in re.findall(r"--[\w-]+", source.read_text(encoding="utf-8"))]
