"""Tables from rows: order, best marks, means, the paper's numbers."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from statistics import fmean, stdev

import pytest
from rich.console import Console

from tests.leaderboard.entries import ENTRIES, entry
from unlearnbench.errors import UserError
from unlearnbench.leaderboard.blocks import build_blocks
from unlearnbench.leaderboard.columns import columns, count, find_column
from unlearnbench.leaderboard.entry import Entry
from unlearnbench.leaderboard.page.page import to_html
from unlearnbench.leaderboard.published import paper_lines
from unlearnbench.leaderboard.render import to_markdown, to_terminal

SEEDED = [
    entry(row, forget, retain, seed=seed, **size)
    for size in [{"size": 100}]
    for seed in range(3)
    for row, forget, retain in (
        ("base", 0.9, 0.9),
        ("spul", 0.1 + 0.01 * seed, 0.8),
        ("rl", 0.12 + 0.02 * seed, 0.8 + 0.01 * seed),
        ("ga", 0.7 + 0.02 * seed, 0.85 + 0.01 * seed),
    )
]


def test_vanilla_and_base_come_first_and_do_not_compete() -> None:
    (block,) = build_blocks(ENTRIES)
    assert [line.row for line in block.lines] == ["vanilla", "base", "spul", "ga"]


def terminal(entries: list[Entry], width: int = 200) -> str:
    console = Console(width=width, record=True, file=io.StringIO(), color_system=None)
    for block in build_blocks(entries):
        for part in to_terminal(block, width):
            console.print(part)
    return console.export_text()


@pytest.mark.slow
def test_three_outputs_mark_the_best_and_its_ties_alike() -> None:
    """SPUL forgets best, RL can't be told apart from it, GA can; anchors are never marked."""
    blocks = build_blocks(SEEDED)
    table = to_markdown(blocks).split("Mean ± standard")[0].splitlines()
    lines = {line.split("|")[1].strip(): line for line in table if line.startswith("| ")}
    assert "**11.00 ± 1.00 ★**" in lines["SPUL"]
    assert "14.00 ± 2.00 ≈" in lines["RL"]
    assert "72.00 ± 2.00 |" in lines["GA"]
    assert not {"★", "≈", "**"} & set(lines["BASE"].replace("**", "★"))
    shown = terminal(SEEDED)
    html = to_html(blocks, {})
    assert "11.00 ± 1.00 ★" in shown
    assert "14.00 ± 2.00 ≈" in shown
    assert not {"72.00 ± 2.00 ≈", "72.00 ± 2.00 ★"} & {shown[at : at + 14] for at in range(len(shown))}
    assert "72.00 ± 2.00<small" in html
    assert 'class="best" title="95 % interval:' in html
    assert '11.00 ± 1.00 <abbr title="the best method">★</abbr>' in html
    assert '14.00 ± 2.00 <abbr title="not shown to differ from the best method">≈</abbr>' in html


@pytest.mark.slow
def test_every_seeds_value_stands_beside_the_mean() -> None:
    blocks = build_blocks(SEEDED)
    assert "| 10.00 | 11.00 | 12.00 |" in to_markdown(blocks)
    assert "10.00 11.00 12.00" in terminal(SEEDED)
    assert '<small class="seeds" title="every seed">10.00 11.00 12.00</small>' in to_html(blocks, {})


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [1, 2])
def test_few_seeds_mark_nothing(seeds: int) -> None:
    entries = [one for one in SEEDED if one.seed is not None and one.seed < seeds]
    markdown = to_markdown(build_blocks(entries)).split("\n\n", 3)[3]
    assert not {"★", "≈"} & set(markdown)
    said = "One seed: examples only" if seeds == 1 else "with fewer than 3 nothing is claimed between methods"
    assert said in markdown
    assert said in " ".join(terminal(entries).split())
    assert said in to_html(build_blocks(entries), {})
    assert "95 % interval" in markdown


def test_the_best_has_enough_seeds() -> None:
    """One lucky seed is not marked as the best method, and nothing is said against it."""
    (block,) = build_blocks([*SEEDED, entry("npo-rt", 0.0, 0.9, size=100)])
    lines = {line.row: line for line in block.lines}
    assert "test_forget_accuracy" in lines["spul"].best
    assert "test_forget_accuracy" in lines["npo-rt"].ties


def test_the_bold_row_is_judged_although_its_predictions_are_unknown() -> None:
    entries = [one.model_copy(update={"right": {}}) if one.row == "spul" else one for one in SEEDED]
    lines = {line.row: line for line in build_blocks(entries)[0].lines}
    assert "test_forget_accuracy" in lines["spul"].best
    assert "test_forget_accuracy" in lines["rl"].ties
    assert "test_forget_accuracy" not in lines["ga"].ties


def test_outcomes_of_the_forget_examples_are_shown() -> None:
    markdown = to_markdown(build_blocks(ENTRIES))
    assert "| SPUL | 10.00 | 90.00 | 0.00 | 0.00 |" in markdown


def test_trade_off_is_relative_to_the_base_of_the_same_seed() -> None:
    (block,) = build_blocks(ENTRIES)
    spul = next(line for line in block.lines if line.row == "spul")
    kept, forgotten = 0.8 / 0.9, 0.9
    assert spul.mean["trade_off"] == pytest.approx(2 * kept * forgotten / (kept + forgotten))
    assert "trade_off" not in next(line for line in block.lines if line.row == "vanilla").mean


def test_seeds_become_mean_and_standard_deviation() -> None:
    values = [0.1, 0.2, 0.6]
    rows = [entry("ga", value, 0.9, seed=i) for i, value in enumerate(values)]
    (block,) = build_blocks(rows)
    (line,) = block.lines
    assert line.mean["test_forget_accuracy"] == pytest.approx(fmean(values))
    assert line.spread["test_forget_accuracy"] == pytest.approx(stdev(values))
    column = next(c for c in columns(block) if c.metric == "test_forget_accuracy")
    assert column.text(line) == "30.00 ± 26.46"


def test_results_on_other_data_stand_in_a_table_of_their_own() -> None:
    blocks = build_blocks([*ENTRIES, entry("ga", 0.4, 0.9, block="other")])
    assert len(blocks) == 2


def test_newest_row_counts_where_a_method_was_run_again() -> None:
    (block,) = build_blocks([*ENTRIES, entry("spul", 0.3, 0.8)])
    spul = next(line for line in block.lines if line.row == "spul")
    assert len(spul.entries) == 1
    assert spul.mean["test_forget_accuracy"] == 0.3


def test_one_method_alone_is_not_marked_best() -> None:
    (block,) = build_blocks([ENTRIES[0], ENTRIES[3]])
    assert not any(line.best or line.ties for line in block.lines)


def test_names_cannot_break_the_table() -> None:
    markdown = to_markdown(build_blocks([entry("x", 0.1, 0.9, title="a|b<script>\nc")]))
    assert "a\\|b&lt;script> c" in markdown


def test_constants_have_no_spread() -> None:
    (block,) = build_blocks([entry("ga", 0.5, 0.9, seed=seed) for seed in (0, 1)])
    texts = {column.metric: column.text(block.lines[0]) for column in columns(block)}
    assert texts["trainable_parameters"] == "1.19M"
    assert texts["test_forget_accuracy"] == "50.00 ± 0.00"


def test_any_column_can_order_the_methods() -> None:
    entries = [entry("base", 0.9, 0.9), entry("ga", 0.5, 0.9), entry("spul", 0.1, 0.8), entry("rl", 0.3, 1.0)]
    (by_trade_off,) = build_blocks(entries)
    assert [line.row for line in by_trade_off.lines] == ["base", "spul", "rl", "ga"]
    for name, order in (("test retain acc", ["rl", "ga", "spul"]), ("test_forget_accuracy", ["spul", "rl", "ga"])):
        (block,) = build_blocks(entries, find_column(name, [by_trade_off]).metric)
        assert [line.row for line in block.lines][1:] == order
    with pytest.raises(UserError, match="'test retian acc' is no column: did you mean"):
        find_column("test retian acc", [by_trade_off])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (604_416, "604K"),
        (1_192_192, "1.19M"),
        (6.74e9, "6.74B"),
        (12, "12"),
        (999_499, "999K"),
        (999_950, "1M"),
        (999_600_000, "1B"),
    ],
)
def test_counts_read_as_in_the_paper(value: float, text: str) -> None:
    assert count(value) == text


def test_paper_rows_are_table_two() -> None:
    lines = {line.row: line for line in paper_lines("sst2")}
    assert list(lines) == ["vanilla", "base", "ga", "rl", "ga-kl", "ga-gd", "npo-rt", "spul"]
    assert lines["spul"].mean["test_forget_accuracy"] == pytest.approx(0.1607)
    arc = {line.row: line for line in paper_lines("wmdp-sciq")}
    assert arc["npo-rt"].mean["transfer_arc_accuracy"] == pytest.approx(0.2918)
    assert paper_lines("toy") == []


def test_paper_rows_are_shown_beside_and_called_not_comparable() -> None:
    markdown = to_markdown(build_blocks(ENTRIES), with_paper=True)
    assert "*SPUL (paper)*" in markdown
    assert "not comparable" in markdown


def test_packaged_numbers_are_complete() -> None:
    import unlearnbench.leaderboard.paper as package

    (folder,) = package.__path__
    with (Path(folder) / "results.csv").open(encoding="utf-8") as file:
        tables = [line["table"] for line in csv.DictReader(file)]
    assert tables.count("2") == 24
