"""Tables for papers."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.leaderboard.entries import entry
from unlearnbench.leaderboard.blocks import build_blocks
from unlearnbench.leaderboard.entry import Entry
from unlearnbench.leaderboard.files import open_entries
from unlearnbench.leaderboard.latex import PREAMBLE, escape, to_latex

QUICK = Path(__file__).parents[2] / "leaderboards" / "quick"
SIZE = 100
ENTRIES = [
    entry(row, forget + seed / 100, retain, seed, size=SIZE, transfer={"arc": "t"})
    for row, forget, retain in (("base", 0.9, 0.9), ("ga", 0.5, 0.6), ("spul", 0.1, 0.8))
    for seed in range(3)
]
ODD = r"[50%_of] {A&B} $x^2$ #1 ~ \input{/etc/passwd} <a|b> é"


def test_every_special_character_is_escaped() -> None:
    escaped = escape(ODD)
    assert r"\input" not in escaped
    # Nothing is left that LaTeX would obey: what remains unescaped is letters, digits and the escapes' own braces.
    for character in "&%$#_":
        assert re.findall(rf"(?<!\\){re.escape(character)}", escaped) == []
    assert r"\textbackslash{}input\{/etc/passwd\}" in escaped
    assert escape("a\x1bb") == r"a\textbackslash{}x1bb"


def test_numbers_and_intervals_are_those_of_the_blocks() -> None:
    blocks = build_blocks(ENTRIES)
    text = to_latex(blocks)
    for block in blocks:
        table = text[text.index(rf"\caption{{{escape(block.task)}, {block.model}.") :]
        for line in block.lines:
            row = next(row for row in table.splitlines() if row.startswith(f"{escape(line.title)} &"))
            low, high = line.intervals["test_forget_accuracy"]
            assert f"[{100 * low:.1f}, {100 * high:.1f}]" in row
            mean = f"{100 * line.mean['test_forget_accuracy']:.1f}"
            assert (rf"\textbf{{{mean}}}" in row) == ("test_forget_accuracy" in line.best)


def also(task: str) -> list[Entry]:
    """The same results on another task."""
    return [one.model_copy(update={"identity": replace(one.identity, task=task)}) for one in ENTRIES]


def test_every_row_has_the_columns_of_its_table() -> None:
    text = to_latex(build_blocks([*ENTRIES, *also("yelp")]))
    assert "over all tasks" in text
    for table in text.split(r"\begin{table}")[1:]:
        (layout,) = re.findall(r"\\begin{tabular}{@{}(l+r+)@{}}", table)
        rows = [line for line in table.splitlines() if line.endswith(r"\\")]
        assert len(rows) >= 3
        assert {len(re.findall(r"(?<!\\)&", row)) + 1 for row in rows} == {len(layout)}
        assert table.count(r"\toprule") == table.count(r"\bottomrule") == 1


def test_methods_with_another_budget_stay_among_the_methods() -> None:
    entries = [entry("base", 1, 1), entry("ga", 0.5, 1), entry("rl", 0.5, 1), entry("spul", 0, 1, trial_budget=9)]
    text = to_latex(build_blocks(entries))
    anchors, methods = text.split(r"\midrule")[1:]
    assert "BASE" in anchors
    assert "SPUL (9 trials)" in methods


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="LaTeX is not installed; what it needs is checked above")
def test_latex_takes_it(tmp_path: Path) -> None:
    odd = [entry("base", 1, 1), entry("ga", 0.5, 1, title=ODD, task=ODD, model=ODD)]
    odd[0] = entry("base", 1, 1, task=ODD, model=ODD)
    for number, entries in enumerate([open_entries(str(QUICK)), odd]):
        body = to_latex(build_blocks(entries))
        assert PREAMBLE in body
        document = rf"\documentclass{{article}}\usepackage{{booktabs}}\begin{{document}}{body}\end{{document}}"
        (tmp_path / f"{number}.tex").write_text(document, encoding="utf-8")
        command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", f"{number}.tex"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
        assert done.returncode == 0, done.stdout[-2000:]
