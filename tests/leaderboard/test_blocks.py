"""Tables from rows: order, best marks, means, the paper's numbers."""

from __future__ import annotations

import csv
from pathlib import Path
from statistics import fmean, stdev

import pytest

from unlearnbench.leaderboard.columns import columns, count, is_best
from unlearnbench.leaderboard.published import paper_lines
from unlearnbench.leaderboard.render import to_frame, to_markdown
from unlearnbench.leaderboard.rows import Row, build_blocks

SPLITS = ("train_forget", "train_retain", "test_forget", "test_retain")


def row(name: str, forget: float, retain: float, seed: str = "0", title: str = "", block: str = "b") -> Row:
    metrics = {
        f"{split}_{metric}": forget if "forget" in split else retain
        for split in SPLITS
        for metric in ("accuracy", "f1")
    }
    metrics |= {"test_forget_correct": forget, "test_forget_generic": 1 - forget}
    metrics |= {"test_forget_other_label": 0.0, "test_forget_anything_else": 0.0}
    metrics |= {"trainable_parameters": 1_192_192.0, "training_wall_seconds": 12.0, "peak_memory_bytes": 2.0**30}
    tags = {"task": "sst2", "model": "m", "row": name, "title": title or name.upper(), "seed": seed, "block": block}
    tags |= {f"size.{split}": "10" for split in SPLITS}
    return Row(tags, metrics, {})


ROWS = [
    row("spul", 0.1, 0.8),
    row("vanilla", 0.0, 0.3, seed="any"),
    row("ga", 0.5, 0.9),
    row("base", 0.9, 0.9),
]


def test_vanilla_and_base_come_first_and_do_not_compete() -> None:
    (block,) = build_blocks(ROWS)
    assert [line.row for line in block.lines] == ["vanilla", "base", "ga", "spul"]
    markdown = to_markdown([block])
    table = markdown.split("| test forget answered")[0].splitlines()
    lines = {line.split("|")[1].strip(): line for line in table if line.startswith("| ")}
    assert "**" not in lines["VANILLA"]
    assert "**" not in lines["BASE"]
    assert "**10.00**" in lines["SPUL"]
    assert "**90.00**" in lines["GA"]
    assert "**80.00**" not in lines["SPUL"]


def test_fate_of_the_forget_examples_is_shown() -> None:
    markdown = to_markdown(build_blocks(ROWS))
    assert "| SPUL | 10.00 | 90.00 | 0.00 | 0.00 |" in markdown


def test_trade_off_is_relative_to_the_base_of_the_same_seed() -> None:
    (block,) = build_blocks(ROWS)
    spul = next(line for line in block.lines if line.row == "spul")
    kept, forgotten = 0.8 / 0.9, 0.9
    assert spul.mean["trade_off"] == pytest.approx(2 * kept * forgotten / (kept + forgotten))
    assert "trade_off" not in next(line for line in block.lines if line.row == "vanilla").mean


def test_seeds_become_mean_and_standard_deviation() -> None:
    values = [0.1, 0.2, 0.6]
    rows = [row("ga", value, 0.9, seed=str(i)) for i, value in enumerate(values)]
    (block,) = build_blocks(rows)
    (line,) = block.lines
    assert line.mean["test_forget_accuracy"] == pytest.approx(fmean(values))
    assert line.spread["test_forget_accuracy"] == pytest.approx(stdev(values))
    column = next(c for c in columns(block) if c.metric == "test_forget_accuracy")
    assert column.text(line) == "30.00 ± 26.46"


def test_results_on_other_data_stand_in_a_table_of_their_own() -> None:
    blocks = build_blocks([*ROWS, row("ga", 0.4, 0.9, block="other")])
    assert len(blocks) == 2


def test_newest_row_counts_where_a_method_was_run_again() -> None:
    (block,) = build_blocks([*ROWS, row("spul", 0.3, 0.8)])
    spul = next(line for line in block.lines if line.row == "spul")
    assert spul.seeds == 1
    assert spul.mean["test_forget_accuracy"] == 0.3


def test_one_method_alone_is_not_marked_best() -> None:
    (block,) = build_blocks(ROWS[:2])
    assert not any(is_best(column, line, block.lines) for column in columns(block) for line in block.lines)


def test_frame_has_a_line_for_every_cell() -> None:
    frame = to_frame(build_blocks(ROWS))
    assert list(frame.row) == ["vanilla", "base", "ga", "spul"]
    assert list(frame.columns[:5]) == ["task", "model", "row", "title", "seed"]


def test_names_cannot_break_the_table() -> None:
    markdown = to_markdown(build_blocks([row("x", 0.1, 0.9, title="a|b<script>\nc")]))
    assert "a\\|b&lt;script> c" in markdown


@pytest.mark.parametrize(("value", "text"), [(604_416, "604K"), (1_192_192, "1.19M"), (6.74e9, "6.74B"), (12, "12")])
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
    markdown = to_markdown(build_blocks(ROWS), with_paper=True)
    assert "*SPUL (paper)*" in markdown
    assert "not comparable" in markdown


def test_packaged_numbers_are_complete() -> None:
    import unlearnbench.leaderboard.paper as package

    (folder,) = package.__path__
    with (Path(folder) / "results.csv").open(encoding="utf-8") as file:
        tables = [line["table"] for line in csv.DictReader(file)]
    assert tables.count("2") == 24
