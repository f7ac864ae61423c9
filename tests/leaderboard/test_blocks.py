"""Tables from rows: order, best marks, means, the paper's numbers."""

from __future__ import annotations

import csv
from pathlib import Path
from statistics import fmean, stdev

import pytest

from tests.leaderboard.entries import ENTRIES, entry
from unlearnbench.errors import UserError
from unlearnbench.leaderboard.blocks import build_blocks
from unlearnbench.leaderboard.columns import columns, count, find_column, is_best
from unlearnbench.leaderboard.published import paper_lines
from unlearnbench.leaderboard.render import to_markdown


def test_vanilla_and_base_come_first_and_do_not_compete() -> None:
    (block,) = build_blocks(ENTRIES)
    assert [line.row for line in block.lines] == ["vanilla", "base", "spul", "ga"]
    markdown = to_markdown([block])
    table = markdown.split("| 95 % interval")[0].splitlines()
    lines = {line.split("|")[1].strip(): line for line in table if line.startswith("| ")}
    assert "**" not in lines["VANILLA"]
    assert "**" not in lines["BASE"]
    assert "**10.00**" in lines["SPUL"]
    assert "**90.00**" in lines["GA"]
    assert "**80.00**" not in lines["SPUL"]


def test_fate_of_the_forget_examples_is_shown() -> None:
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
    assert not any(is_best(column, line, block.lines) for column in columns(block) for line in block.lines)


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


def test_ties_are_marked_and_clear_differences_are_not() -> None:
    """SPUL forgets 90 of 100, RL 88 of 100 (may be chance), GA 10 (is not)."""

    def of(row: str, right: str) -> object:
        share = right.count("1") / len(right)
        sizes = {"train_forget": 10, "train_retain": 10, "test_forget": 100, "test_retain": 10}
        made = entry(row, share, 0.9)
        changed = {"right": {"test_forget": right, "test_retain": made.right["test_retain"]}}
        return made.model_copy(update={**changed, "data": made.data.model_copy(update={"sizes": sizes})})

    entries = [of("spul", "1" * 10 + "0" * 90), of("rl", "0" * 88 + "1" * 12), of("ga", "1" * 90 + "0" * 10)]
    (block,) = build_blocks(entries)  # type: ignore[arg-type]
    ties = {line.row: "test_forget_accuracy" in line.ties for line in block.lines}
    assert ties == {"spul": False, "rl": True, "ga": False}
    assert "12.00 ≈" in to_markdown([block])


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
