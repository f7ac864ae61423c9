"""A plugin's metric is shown wherever accuracies are, sorts tables, and knows which way it points."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from tests.leaderboard.entries import entry
from unlearnbench.leaderboard.blocks import build_blocks
from unlearnbench.leaderboard.columns import find_column
from unlearnbench.leaderboard.compare import compare_entries
from unlearnbench.leaderboard.compare_render import to_html as comparison_page
from unlearnbench.leaderboard.compare_render import to_markdown as comparison
from unlearnbench.leaderboard.entry import SPLITS, Entry, MetricFacts
from unlearnbench.leaderboard.measures import measured
from unlearnbench.leaderboard.page.page import to_html
from unlearnbench.leaderboard.render import to_markdown, to_terminal

SURPRISE = MetricFacts(title="Surprise", lower_is_better=True, is_share=False)


def with_surprise(made: Entry, forget: float, retain: float) -> Entry:
    values = {f"{split}_surprise": forget if "forget" in split else retain for split in SPLITS}
    return made.model_copy(
        update={"measures": {"surprise": SURPRISE}, "metrics": {**made.metrics, **values, "transfer_arc_surprise": 7.0}}
    )


def entries(shift: float = 0.0) -> list[Entry]:
    arc = {"arc": "rows"}
    return [
        with_surprise(entry("base", 0.9, 0.9, transfer=arc), 1.5, 1.25),
        with_surprise(entry("spul", 0.1, 0.8, transfer=arc), 30.5, 2.5 + shift),
        with_surprise(entry("ga", 0.2, 0.3, transfer=arc), 40.25, 11.75),
    ]


def test_the_aim_of_a_loss_is_small_for_what_is_kept_and_large_for_what_is_forgotten() -> None:
    aims = {one.number: one.lower_is_better for one in measured(entries(), ["arc"])}
    assert aims["test_retain_surprise"]
    assert aims["transfer_arc_surprise"]
    assert not aims["test_forget_surprise"]
    assert not aims["test_retain_f1"]
    assert aims["test_forget_accuracy"]


@pytest.mark.parametrize(("sort", "first"), [("test retain Surprise", "spul"), ("test_forget_surprise", "ga")])
def test_it_sorts_tables(sort: str, first: str) -> None:
    blocks = build_blocks(entries())
    (block,) = build_blocks(entries(), find_column(sort, blocks).metric)
    assert [line.row for line in block.lines][1] == first


def test_it_is_shown_in_terminal_markdown_page_and_comparison() -> None:
    blocks = build_blocks(entries())
    console = Console(width=100, record=True, file=io.StringIO(), color_system=None)
    for part in to_terminal(blocks[0], 100):
        console.print(part)
    for text in (console.export_text(), to_markdown(blocks), to_html(blocks, {})):
        assert "Surprise" in text
        assert re.search(r"\b11\.75\b", text)
        assert re.search(r"\b30\.5\b", text)
    assert "arc Surprise ↓" in to_markdown(blocks)
    compared = compare_entries(entries(), entries(shift=0.5))
    assert "2.5 → 3 (+0.5)" in comparison(compared)
    assert "2.5 → 3 (+0.5)" in comparison_page(compared)
    assert "30.5 → 30.5 (+0)" in comparison(compared)
    assert not any("surprise" in failure for failure in compared.failures)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_tables_fit_the_terminal_and_break_no_number(width: int) -> None:
    (block,) = build_blocks(
        [entry(row, 0.123, 0.456, seed) for seed in range(3) for row in ("base", "spul", "ga", "rl")]
    )
    console = Console(width=width, record=True, file=io.StringIO(), color_system=None)
    for part in to_terminal(block, width):
        console.print(part)
    text = console.export_text()
    assert all(len(line) <= width for line in text.splitlines())
    numbers = re.findall(r"[\d.]+ ± [\d.]+", text)
    assert numbers
    assert all(re.fullmatch(r"\d+\.\d\d ± \d+\.\d\d", number) for number in numbers)


def test_marks_are_explained_only_if_there_are_any() -> None:
    alone, seeded = (
        [entry(row, 0.1, 0.5, seed) for seed in seeds for row in ("base", "spul", "ga")] for seeds in ([0], [0, 1, 2])
    )
    captions = [to_terminal(build_blocks(found)[0], 200)[-1].caption for found in (alone, seeded)]
    assert "★" not in str(captions[0])
    assert "★" in str(captions[1])


@pytest.mark.parametrize("width", [60, 80, 100])
def test_heads_are_broken_between_words(width: int) -> None:
    (block,) = build_blocks([entry(row, 0.123, 0.456) for row in ("vanilla", "base", "spul")])
    console = Console(width=width, record=True, file=io.StringIO(), color_system=None)
    for part in to_terminal(block, width):
        console.print(part)
    text = console.export_text()
    assert all(len(line) <= width for line in text.splitlines())
    assert {"trade-off", "retain", "forget", "trained", "parameters"} <= set(text.split())


def test_its_title_breaks_no_table() -> None:
    """A leaderboard from elsewhere brings its metrics' titles along."""
    odd = MetricFacts(title="Surp|rise <img src=x>", lower_is_better=True)
    given = [one.model_copy(update={"measures": {"surprise": odd}}) for one in entries()]
    for text in (to_markdown(build_blocks(given)), comparison(compare_entries(given, given))):
        assert "Surp\\|rise &lt;img src=x>" in text
        assert "<img" not in text
        widths = {re.sub(r"\\\|", "", line).count("|") for line in text.splitlines() if "&lt;img" in line}
        assert widths <= {
            re.sub(r"\\\|", "", line).count("|") for line in text.splitlines() if line.startswith("| --- |")
        }
