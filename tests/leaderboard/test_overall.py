"""The table over all tasks, in Markdown, JSON and the terminal."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from tests.leaderboard.entries import entry
from unlearnbench.leaderboard.blocks import build_blocks
from unlearnbench.leaderboard.entry import Entry
from unlearnbench.leaderboard.files import from_json, to_json
from unlearnbench.leaderboard.overall import overall
from unlearnbench.leaderboard.overall_render import overall_markdown, overall_terminal, picture
from unlearnbench.leaderboard.render import to_markdown


def results(seeds: int = 3, **changes: object) -> list[Entry]:
    """SPUL forgets well on two tasks, GA does not; RL ran on one of them."""
    rows = [("base", 0.9, 0.9), ("spul", 0.1, 0.85), ("ga", 0.8, 0.85)]
    return [
        entry(row, forget + 0.01 * seed, retain, seed=seed, size=100, task=task, block=task)
        for task in ("sst2", "yelp")
        for row, forget, retain in [*rows, *([("rl", 0.2, 0.7)] if task == "yelp" else [])]
        for seed in range(seeds)
    ]


def test_leaderboard_begins_with_the_answer() -> None:
    (table,) = overall(build_blocks(results()))
    markdown = to_markdown(build_blocks(results()))
    assert markdown.startswith("## All tasks / m\n")
    lines = markdown.splitlines()
    assert lines[2].startswith("| method | sst2 | yelp | mean trade-off ↑ | 95 % interval | mean rank |")
    assert lines[4].startswith("| SPUL | ")
    assert lines[4].endswith("| 1.00 | 1.0 to 1.0 | a |")
    assert lines[5].startswith("| GA | ")
    assert lines[5].endswith("| 2.00 | 2.0 to 2.0 | b |")
    assert "Not run on every task: RL." in markdown
    assert table.left_out == ("RL",)


def test_picture_has_ranks_intervals_and_groups() -> None:
    (table,) = overall(build_blocks(results()))
    axis, best, worst = picture(table)
    assert axis.split() == ["mean", "rank", "1", "2"]
    assert best.index("●") == axis.index("1")
    assert worst.index("●") == axis.index("2")
    assert best.endswith("a")
    assert worst.endswith("b")
    wide = picture(overall(build_blocks(results(seeds=1)))[0])
    assert all("├" in line or "●" in line for line in wide[1:])
    assert not any(line.endswith(("a", "b")) for line in wide)


def test_few_seeds_claim_nothing_over_tasks() -> None:
    markdown = overall_markdown(overall(build_blocks(results(seeds=1)))[0])
    assert "With 1 seed (fewer than 3) on a task nothing is claimed between methods" in markdown
    assert "| 1.00 | 1.0 to 2.0 | - |" in markdown


def test_terminal_tells_the_same() -> None:
    console = Console(width=160, record=True, file=io.StringIO())
    (table,) = overall(build_blocks(results()))
    for part in overall_terminal(table, 160):
        console.print(part)
    text = console.export_text()
    assert "All tasks / m" in text
    assert "1.0 to 1.0" in text


def test_one_task_has_no_table_over_tasks() -> None:
    only = [one for one in results() if one.task == "sst2"]
    assert overall(build_blocks(only)) == []
    assert "All tasks" not in to_markdown(build_blocks(only))


def test_json_holds_the_claims_and_reads_back() -> None:
    entries = results()
    text = to_json(entries, build_blocks(entries))
    loaded = json.loads(text)
    first, second = loaded["overall"][0]["standings"]
    assert (first["row"], first["rank"], first["groups"]) == ("spul", 1, "a")
    assert set(second["trade_off"]) == {"sst2", "yelp"}
    table = next(table for table in loaded["tables"] if table["task"] == "sst2")
    metric = next(metric for metric in table["metrics"] if metric["metric"] == "test_forget_accuracy")
    spul = next(row for row in metric["rows"] if row["row"] == "spul")
    assert spul["by_seed"] == pytest.approx({"0": 0.1, "1": 0.11, "2": 0.12})
    assert (spul["best"], spul["tied"]) == (True, False)
    assert spul["low"] < spul["mean"] < spul["high"]
    (pair,) = metric["pairs"]
    assert {pair["first"], pair["second"]} == {"spul", "ga"}
    assert pair["p_value"] < 0.05
    assert from_json(text, "x") == entries
