"""The harness that changes modules to see whether tests notice."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.mutants.figures import Figures, name_of, page_lines
from benchmarks.mutants.rooms import modules, room, stages
from benchmarks.mutants.sample import DELETE, Mutant, mutants, sample
from benchmarks.mutants.trial import NOTICED, SURVIVED, TOO_LONG, Copy

ROOT = Path(__file__).parents[2]
MODULE = """from __future__ import annotations
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from math import tau as angle
LIMIT: int | 2 = 3
def double(number: int = 1) -> Literal[4]:
    seen = []
    seen.append(number)
    while number < 0:
        number += 1
    return number * 2
"""


@pytest.fixture
def module(tmp_path: Path) -> Path:
    (tmp_path / "double.py").write_text(MODULE)
    return tmp_path


def changed_lines(root: Path, mutant: Mutant) -> list[str]:
    before, after = MODULE.splitlines(), mutant.code(root).splitlines()
    return [new.strip() for old, new in zip(before, after, strict=True) if old != new]


def test_every_change_is_one_line_of_code_that_runs(module: Path) -> None:
    found = [(mutant, changed_lines(module, mutant)) for mutant in mutants(module, "double.py")]
    assert all(len(lines) == 1 for _, lines in found)
    texts = {lines[0] for _, lines in found}
    assert {"return number / 2", "return number * 3", "while number <= 0:", "while not number < 0:"} <= texts
    assert "LIMIT: int | 2 = 4" in texts
    assert not any(text.startswith("LIMIT: int | 3") or "Literal[5]" in text for text in texts), "an annotation"
    deleted = [mutant.line for mutant, lines in found if mutant.operator == DELETE and lines == ["pass"]]
    assert deleted == [8, 10]


def test_a_sample_has_each_line_once_and_is_the_same_for_the_same_seed(module: Path) -> None:
    drawn = sample(module, ["double.py"], 100, seed=3)
    assert drawn == sample(module, ["double.py"], 100, seed=3)
    assert [mutant.line for mutant in sorted(drawn, key=lambda one: one.line)] == [5, 6, 8, 9, 10, 11]


@pytest.mark.slow
def test_tests_notice_miss_or_never_end(module: Path) -> None:
    (module / "test_double.py").write_text(
        "from double import double\ndef test_it():\n    assert double(2) == 4\n    double(-1)\n"
    )
    by_line = {one.code(module).splitlines()[one.line - 1].strip(): one for one in mutants(module, "double.py")}
    copy = Copy(module)
    stage = [["test_double.py"]]
    assert copy.tests(stage[0], 60) == SURVIVED
    assert copy.judge(by_line["return number / 2"], stage, 60) == NOTICED
    assert copy.judge(by_line["LIMIT: int | 2 = 4"], stage, 60) == SURVIVED
    endless = next(one for one in mutants(module, "double.py") if one.operator == DELETE and one.line == 10)
    assert copy.judge(endless, stage, 5) == TOO_LONG
    assert (module / "double.py").read_text() == MODULE


def test_modules_of_the_checkout_have_rooms_and_tests() -> None:
    found = modules(ROOT)
    assert {"methods/npo_rt.py", "tasks/sst2.py", "unlearnbench/leaderboard/statistics.py"} <= set(found)
    for module in found:
        assert room(module)
        files = [part for stage in stages(ROOT, module) for part in stage if part.startswith("tests/")]
        assert files
        assert all((ROOT / file).exists() for file in files)


def test_the_table_leaves_out_what_changes_no_behaviour(tmp_path: Path) -> None:
    figures = Figures(tmp_path / "mutants.json", "abc")
    noticed, missed, equal = (Mutant("methods/ga.py", "core/AddNot", place, 1) for place in range(3))
    for mutant, outcome in ((noticed, NOTICED), (missed, SURVIVED), (equal, SURVIVED)):
        figures.record(mutant, "methods", "if a | b:", outcome)
    again = Figures.read(figures.file)
    again.equal[name_of(equal)] = "never reached"
    again.open[name_of(missed)] = "no test of b"
    lines = page_lines(again).splitlines()
    assert "| methods | 2 | 1 | 50 % |" in lines
    assert r"| `methods/ga.py AddNot 1` | `if a \| b:` | no test of b |" in lines
    assert not any("AddNot 2" in line for line in lines)
