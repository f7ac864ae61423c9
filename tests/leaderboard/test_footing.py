"""Tables of equal footing, from trials with tested points to Markdown, JSON and page."""

from __future__ import annotations

import json
from statistics import fmean
from typing import Any

import numpy as np
import pytest

from tests.leaderboard.entries import entry
from unlearnbench.leaderboard.blocks import Block, build_blocks
from unlearnbench.leaderboard.check import wrong
from unlearnbench.leaderboard.columns import footing_columns
from unlearnbench.leaderboard.entry import AnsweredPointEntry, Entry, NeedsEntry, TrialEntry
from unlearnbench.leaderboard.files import from_json, to_csv, to_json
from unlearnbench.leaderboard.page.charts import charts
from unlearnbench.leaderboard.page.page import to_html
from unlearnbench.leaderboard.render import to_markdown

SEEDS = (0, 1, 2)
BASE = [entry("base", 0.9, 0.9, seed) for seed in SEEDS]
# Forget and retain accuracy of the base model on the tested examples.
KNOWN = (1.0, 1.0)


def evenly(share: float, size: int = 20) -> str:
    """Flags of which both halves hold that share."""
    half = "1" * round(share * size / 2) + "0" * (size // 2 - round(share * size / 2))
    return "".join(flag * 2 for flag in half)


def trial(rate: str, *points: tuple[float, float]) -> TrialEntry:
    tested = tuple(
        AnsweredPointEntry(step=step, forget=evenly(forget), retain=evenly(retain))
        for step, (forget, retain) in enumerate((KNOWN, *points))
    )
    return TrialEntry(
        number=0, values={"learning_rate": rate}, objective=0.5, forget_accuracy=0, retain_accuracy=0, pruned=None,
        tested=tested,
    )  # fmt: skip


def method(row: str, *points: tuple[float, float], seed: int = 0, **changes: Any) -> Entry:
    return entry(row, 0.5, 0.5, seed, trials=(trial("0.1", *points),), **changes)


def block_of(*entries: Entry) -> Block:
    (block,) = build_blocks([*BASE, *entries])
    return block


def means(block: Block, row: str) -> dict[str, float]:
    return dict(next(line for line in block.lines if line.row == row).mean)


def test_methods_are_compared_where_they_keep_the_same() -> None:
    block = block_of(
        method("spul", (0.8, 1.0), (0.4, 0.9), (0.0, 0.5)), method("ga", (0.1, 0.2)), method("rl", (0.6, 1.0))
    )
    spul, ga = means(block, "spul"), means(block, "ga")
    assert (spul["test_forget_at_95"], spul["retained_at_95"], spul["reached_at_95"]) == (0.8, 1.0, 1.0)
    assert (spul["test_forget_at_90"], spul["retained_at_90"]) == (0.4, 0.9)
    assert spul["front_area"] == pytest.approx(0.5 * 1.0 + 0.4 * 0.6 + 0.1 * 0.2)
    assert (ga["reached_at_95"], ga["reached_at_90"]) == (0, 0)
    assert ga["front_area"] == pytest.approx(0.2 * 0.9)
    line = next(line for line in block.lines if line.row == "ga")
    column = footing_columns(block)[0]
    assert (column.text(line), column.interval(line), column.by_seed(line)) == ("not reached", "", [])
    assert [column.text(line) for column in footing_columns(block)] == ["not reached", "", "not reached", "", "18.00"]
    markdown = to_markdown([block])
    assert "| equal footing | forget at 95 % ↓ | retained at 95 % | forget at 90 % ↓ |" in markdown
    assert "| GA | not reached |" in markdown
    assert "| Base |" not in markdown.partition("| equal footing |")[2]


def test_interval_is_that_of_an_accuracy_over_seeds_and_examples() -> None:
    block = block_of(
        *(method("spul", (forget, 1.0), seed=seed) for seed, forget in zip(SEEDS, (0.1, 0.4, 0.7), strict=True))
    )
    line = next(line for line in block.lines if line.row == "spul")
    assert line.mean["test_forget_at_95"] == pytest.approx(0.4)
    assert line.spread["test_forget_at_95"] == pytest.approx(np.std([0.1, 0.4, 0.7], ddof=1))
    low, high = line.intervals["test_forget_at_95"]
    assert 0 < low < 0.1 < 0.7 < high < 1
    assert not line.best & {"test_forget_at_95", "front_area"}, "without marks"


def test_a_level_that_some_seeds_do_not_reach_is_told() -> None:
    block = block_of(method("spul", (0.2, 1.0)), method("spul", (0.2, 0.5), seed=1), method("spul", (0.2, 1.0), seed=2))
    found = means(block, "spul")
    assert found["reached_at_95"] == pytest.approx(2 / 3)
    assert found["test_forget_at_95"] == pytest.approx(fmean([0.2, KNOWN[0], 0.2]))
    assert "(reached: 67 %)" in to_markdown([block])


def test_all_trials_count_if_each_seed_is_tuned_and_that_of_the_values_if_they_were_taken() -> None:
    trials = (trial("0.1", (0.5, 1.0)), trial("0.9", (0.0, 1.0)))
    own = entry("spul", 0.5, 0.5, trials=trials)
    taken = [entry("ga", 0.5, 0.5, trials=trials, tuned_on=0), method("ga", (0.3, 1.0), seed=1, tuned_on=0)]
    block = block_of(own, *taken)
    assert means(block, "spul")["test_forget_at_95"] == 0.0
    assert means(block, "ga")["test_forget_at_95"] == pytest.approx((0.5 + 0.3) / 2)


def test_with_another_target_the_point_nearest_to_it_is_taken() -> None:
    block = block_of(method("spul", (0.0, 1.0), (0.5, 1.0), target="chance"))
    found = means(block, "spul")
    assert found["test_forget_at_95"] == 0.5
    assert found["front_area"] == pytest.approx(1.0)


def test_file_and_page_hold_fronts() -> None:
    entries = [*BASE, method("spul", (0.8, 1.0), (0.4, 0.9)), method("ga", (0.1, 0.2))]
    (block,) = build_blocks(entries)
    text = to_json(entries, [block])
    assert from_json(text, "made") == entries
    claims = {claim["metric"]: claim for claim in json.loads(text)["tables"][0]["metrics"]}
    (spul,) = [row for row in claims["test_forget_at_95"]["rows"] if row["row"] == "spul"]
    assert spul["low"] < spul["mean"] == 0.8 < spul["high"]
    assert not claims["front_area"]["pairs"]
    page = to_html([block], {})
    assert "Equal footing" in page
    *_, drawn = [layer["data"]["values"] for layer in charts(block, with_paper=False)["fronts"]["layer"]]
    forget = {(one["row"], one["retain"]): one["forget"] for one in drawn}
    assert (forget["spul", 92], forget["spul", 90]) == (80, 40)
    assert "tested" not in to_csv(entries)


def test_nothing_is_claimed_of_results_without_tested_points() -> None:
    block = block_of(method("spul", (0.8, 1.0)), entry("spul", 0.5, 0.5, 1), entry("ga", 0.5, 0.5))
    assert "Equal footing" not in to_markdown([block])
    assert "fronts" not in charts(block, with_paper=False)


def test_points_of_other_examples_are_told() -> None:
    points = (AnsweredPointEntry(step=0, forget="11", retain="11"), AnsweredPointEntry(step=1, forget="1", retain="11"))
    odd = method("spul", (0.8, 1.0)).trials[0].model_copy(update={"tested": points})
    found = entry("spul", 0.5, 0.5, trials=(odd,))
    assert any(
        "tested has points of different numbers of examples: [(1, 2), (2, 2)]" in text for text in wrong([found])
    )
    assert "front_area" not in means(block_of(found), "spul")
    assert not any("tested" in text for text in wrong([method("spul", (0.8, 1.0))]))


@pytest.mark.parametrize("known", [{"train_forget_accuracy": 0.5}, {}])
def test_base_model_must_have_learned(known: dict[str, float]) -> None:
    base = entry("base", 0.9, 0.9)
    base = base.model_copy(update={"metrics": {**base.metrics, **known}})
    (block,) = build_blocks([base, method("spul", (0.8, 1.0))])
    assert ("front_area" in means(block, "spul")) == (not known)


def test_what_methods_need_stands_in_a_table() -> None:
    prompt = NeedsEntry(retain_rows=True, base_values="distributions", trains="soft prompt", query_tokens=30)
    weights = NeedsEntry(retain_rows=False, base_values="", trains="weights", query_tokens=0)
    block = block_of(entry("spul", 0.1, 0.8, needs=prompt), entry("ga", 0.5, 0.9, needs=weights), entry("rl", 0.5, 0.9))
    markdown = to_markdown([block])
    assert "| needs | retain rows | of the base model | trains | more tokens per query |" in markdown
    assert "| SPUL | yes | distributions | soft prompt | 30 |" in markdown
    assert "| GA | no | no | weights | 0 |" in markdown
    assert "| RL |" not in markdown.partition("| needs |")[2]
    assert "What a method needs" in to_html([block], {})
    assert "What a method needs" not in to_html([block_of(entry("ga", 0.5, 0.9))], {})


def test_charts_draw_the_target() -> None:
    def texts(block: Block) -> str:
        return json.dumps(charts(block, with_paper=False)["trade-off"])

    assert "target zero: 0 %" in texts(block_of(entry("ga", 0.5, 0.9)))
    assert "target chance: 50 %" in texts(block_of(entry("ga", 0.5, 0.9, target="chance")))
    retrained = [entry("retrain", 0.3, 0.9, seed) for seed in SEEDS]
    assert "target oracle: 30 %" in texts(block_of(*retrained, entry("ga", 0.5, 0.9, target="oracle")))
    assert "target oracle" not in texts(block_of(entry("ga", 0.5, 0.9, target="oracle"))), "it is not known"
