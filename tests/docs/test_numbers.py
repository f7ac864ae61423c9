"""The numbers on the pages are those of the committed files, or of the function that says them."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from statistics import fmean

import numpy as np
import pandas as pd
import pytest

from unlearnbench.config import ModelConfig
from unlearnbench.leaderboard.agreement import agreements
from unlearnbench.leaderboard.blocks import Block, Line, build_blocks
from unlearnbench.leaderboard.columns import count
from unlearnbench.leaderboard.files import open_entries
from unlearnbench.leaderboard.published import paper_lines, paper_table
from unlearnbench.leaderboard.statistics import _median_unbiased
from unlearnbench.models.memory import GIB, ModelSize, peak_bytes
from unlearnbench.models.ranges import FOUND

ROOT = Path(__file__).parents[2]
ROWS = ("base", "ga", "rl", "ga-kl", "ga-gd", "npo-rt", "spul")
REAL_BOARD, QUICK_BOARD = "smollm2-135m-sst2", "quick"
REAL = {
    ("sst2", "test_retain_accuracy"): "test retain ↑",
    ("sst2", "test_forget_accuracy"): "test forget ↓",
    ("sst2", "train_retain_accuracy"): "train retain ↑",
    ("sst2", "train_forget_accuracy"): "train forget ↓",
    ("sst2", "trade_off"): "trade-off ↑",
}
QUICK = {
    ("sst2", "test_retain_accuracy"): "SST-2 retain ↑",
    ("sst2", "test_forget_accuracy"): "SST-2 forget ↓",
    ("wmdp-sciq", "test_retain_accuracy"): "WMDP+SciQ retain ↑",
    ("wmdp-sciq", "test_forget_accuracy"): "WMDP+SciQ forget ↓",
    ("wmdp-sciq", "transfer_arc_accuracy"): "ARC (transfer) ↑",
    ("yelp", "test_retain_accuracy"): "Yelp retain ↑",
    ("yelp", "test_forget_accuracy"): "Yelp forget ↓",
}
TABLES = {"README.md": (REAL_BOARD, REAL), "docs/quick.md": (QUICK_BOARD, QUICK)}
TASKS = ("sst2", "wmdp-sciq", "yelp")


@cache
def blocks(folder: str) -> dict[str, Block]:
    """The tables of a committed leaderboard by task."""
    return {block.task: block for block in build_blocks(open_entries(str(ROOT / "leaderboards" / folder)))}


def lines(folder: str) -> dict[tuple[str, str], Line]:
    """By task and row."""
    return {(task, line.row): line for task, block in blocks(folder).items() for line in block.lines}


def says(page: str, *sentences: str) -> None:
    """Fails unless the page has the sentences, wherever its lines break."""
    text = " ".join((ROOT / page).read_text(encoding="utf-8").split())
    for sentence in sentences:
        assert sentence in text, f"{page} does not say: {sentence}"


def minus(number: str) -> str:
    """As pages print it."""
    return number.replace("-", "\N{MINUS SIGN}")


def table(folder: str, headings: dict[tuple[str, str], str]) -> str:
    """A page's table, from the committed results."""
    found = lines(folder)
    rows = [f"| | {' | '.join(headings.values())} | trained |", f"|---|{'---:|' * (len(headings) + 1)}"]
    for row in [row for row in ROWS if ("sst2", row) in found]:
        cells = [with_spread(found[task, row], metric) for task, metric in headings]
        line = found["sst2", row]
        rows.append(f"| {line.title} | {' | '.join(cells)} | {count(line.mean['trainable_parameters'])} |")
    return "\n".join(rows)


def with_spread(line: Line, metric: str) -> str:
    return f"{100 * line.mean[metric]:.1f} ± {100 * line.spread[metric]:.1f}"


def percent(line: Line, metric: str = "test_forget_accuracy", digits: int = 0) -> str:
    return f"{100 * line.mean[metric]:.{digits}f}"


@pytest.mark.parametrize("page", TABLES)
def test_a_pages_table_is_that_of_the_committed_leaderboard(page: str) -> None:
    assert table(*TABLES[page]) in (ROOT / page).read_text(encoding="utf-8")


def test_what_the_readme_says_of_the_real_leaderboard() -> None:
    block, row = blocks(REAL_BOARD)["sst2"], {line.row: line for line in blocks(REAL_BOARD)["sst2"].lines}
    tau = {
        found.metric: f"{found.correlation:.2f}; {found.interval[0]:.2f} to {found.interval[1]:.2f}"
        for found in agreements(block, paper_lines("sst2"))
    }
    (trade_off, trade_off_interval), (forget, forget_interval) = (
        tau[metric].split("; ") for metric in ("trade_off", "test_forget_accuracy")
    )
    single = row["ga"].by_seed("trade_off").values()
    eight = "test_forget_leak_at_8"
    says(
        "README.md",
        f"Kendall's tau {trade_off} by trade-off (95 % interval {trade_off_interval}), {forget} by forget accuracy "
        f"({forget_interval})",
        f"answers {with_spread(row['retrain'], 'test_forget_accuracy')} % of the test forget reviews (base model "
        f"{with_spread(row['base'], 'test_forget_accuracy')} %)",
        f"at least one is right for {percent(row['spul'], eight)} % of the test forget reviews (greedy: "
        f"{percent(row['spul'])} %), from NPO+RT for {percent(row['npo-rt'], eight)} %",
        f"GA's trade-off lies anywhere from {100 * min(single):.0f} to {100 * max(single):.0f}",
    )
    assert all("trade_off" in line.best | line.ties for line in block.lines if line.competes)
    methods = [line for line in block.lines if line.competes]
    assert min(methods, key=lambda line: line.mean["test_forget_accuracy"]).row == "npo-rt"


def test_what_the_real_leaderboards_own_page_says() -> None:
    row = {line.row: line for line in blocks(REAL_BOARD)["sst2"].lines}
    learned = [row["base"].mean[f"train_{half}_accuracy"] for half in ("forget", "retain")]
    single = row["npo-rt"].by_seed("test_forget_accuracy").values()
    says(
        f"leaderboards/{REAL_BOARD}/README.md",
        f"it answers {100 * fmean(learned):.1f} % of its training rows",
        f"(NPO+RT's test forget accuracy: {100 * min(single):.0f} to {100 * max(single):.0f} %)",
    )


def drops(row: str, metric: str, tasks: tuple[str, ...] = TASKS) -> list[float]:
    """By how many points a row's single seeds lie below the base models of the same seeds."""
    found = lines(QUICK_BOARD)
    return [
        100 * (found[task, "base"].by_seed(metric)[seed] - value)
        for task in tasks
        for seed, value in found[task, row].by_seed(metric).items()
    ]


def test_what_is_said_of_preset_quick() -> None:
    found = lines(QUICK_BOARD)
    paper = {line.row: line for line in paper_lines("sst2")}

    def published(row: str) -> str:
        return f"({percent(paper[row], 'test_retain_accuracy', 1)} / {percent(paper[row], digits=1)})"

    forget, retain = "test_forget_accuracy", "test_retain_accuracy"
    labels = drops("spul", forget, ("sst2", "wmdp-sciq"))
    cluster, ga = drops("spul", forget, ("yelp",)), drops("ga", retain)
    scatter = [100 * found[task, "ga"].spread[metric] for task in TASKS for metric in (forget, retain)]
    share = found["sst2", "spul"].mean["trainable_parameters"] / found["sst2", "base"].mean["total_parameters"]
    arc = {row: percent(found["wmdp-sciq", row], "transfer_arc_accuracy") for row in ("spul", "npo-rt")}
    score = {row: percent(found["yelp", row], "trade_off") for row in ("spul", "npo-rt")}
    says(
        "docs/quick.md",
        f"In the paper NPO+RT {published('npo-rt')} and GA+GD {published('ga-gd')} forget more than SPUL "
        f"{published('spul')}",
        f"SPUL keeps {arc['spul']} % and NPO+RT {arc['npo-rt']} %",
        f"NPO+RT wins (trade-off {score['npo-rt']} against SPUL's {score['spul']})",
        f"(standard deviations of {min(scatter):.0f} to {max(scatter):.0f} points)",
        f"by {min(labels):.0f} to {max(labels):.0f} points on `sst2` and `wmdp-sciq` and by {min(cluster):.0f} to "
        f"{max(cluster):.0f} on `yelp`",
        f"test-retain falls by at most {max(drops('spul', retain)):.1f}, with {100 * share:.1g} % of the weights'",
        f"NPO+RT lowers test-forget by {min(drops('npo-rt', forget)):.0f} points or more on every task, and "
        f"test-retain by up to {max(drops('npo-rt', retain)):.0f}. GA loses {min(ga):.0f} to {max(ga):.0f} points of",
    )
    for task in ("sst2", "wmdp-sciq"):
        assert all("trade_off" in found[task, row].best | found[task, row].ties for row in ("spul", "npo-rt"))


def test_what_the_protocol_says_of_the_built_in_tasks() -> None:
    found = lines(QUICK_BOARD)
    for task in TASKS:
        gap = blocks(QUICK_BOARD)[task].yardstick.gap
        assert gap is not None
        assert gap[0] < 0 < gap[1], "it can't be told apart"
        over = ", ".join(percent(found[task, row], "over_forgetting") for row in ("spul", "npo-rt"))
        low, high = (minus(f"{100 * end:.1f}") for end in gap)
        retrained = found[task, "retrain"]
        says(
            "docs/protocol.md",
            f"| `{task}` | {percent(found[task, 'base'], digits=1)} | {percent(retrained, digits=1)} | {low} to {high} "
            f"| {percent(retrained, 'trade_off', 1)} | {over} |",
        )


def test_what_the_protocol_says_of_the_tuned_seed() -> None:
    """A best trial is lucky: the same values trained with other seeds do worse on average."""
    luck = []
    for task, block in blocks(QUICK_BOARD).items():
        for line in block.lines:
            if line.competes:
                (tuned,) = {entry.tuned_on for entry in line.entries}
                scores = line.by_seed("trade_off")
                others = fmean(score for seed, score in scores.items() if seed != tuned)
                luck.append((100 * (scores[tuned] - others), task, line.row))
    higher = [gain for gain, *_ in luck if gain > 0]
    says(
        "docs/protocol.md",
        f"the tuned seed lies above the mean of the other nine in {len(higher)} of {len(luck)} cases, by "
        f"{np.median([gain for gain, *_ in luck]):.0f} points in the median",
    )


def test_what_the_plugins_page_says_of_its_method() -> None:
    (block,) = build_blocks(open_entries(str(ROOT / "docs" / "benchmark" / "half-ascent.csv")))
    row = {line.row: percent(line, digits=1) for line in block.lines}
    says(
        "docs/plugins.md",
        f"half ascent leaves {row['half-ascent']} % of the test forget examples answered, GA+GD {row['ga-gd']} %, of "
        f"the base model's {row['base']} %",
    )


def test_what_the_studies_page_says() -> None:
    shown = pd.read_csv(ROOT / "docs" / "studies" / "embedding.csv")
    numbers = ["silhouette", "probe", "label_silhouette"]
    for title, row in (("Base", "base"), ("SPUL", "SPUL")):
        (values,) = shown.loc[shown["row"] == row, numbers].to_numpy()
        says("docs/studies.md", f"| {title} | {' | '.join(minus(f'{value:.3f}') for value in values)} |")
    by_share = {record["forget_fraction"]: record["test_forget_acc"] for record in paper_table(5)}
    says(
        "docs/studies.md",
        f"with 25 % of the examples {by_share[0.25]:.1f} % of the test forget examples are still answered rightly, "
        f"with all of them {by_share[1.0]:.1f} %",
    )


def test_engine_page_has_the_committed_measurement() -> None:
    page = (ROOT / "docs" / "engine.md").read_text(encoding="utf-8")
    shown = (ROOT / "docs" / "benchmark" / "engine.md").read_text(encoding="utf-8").splitlines()
    assert [line for line in shown if line.startswith("|") and line not in page] == []
    steps = re.findall(r"\| ([\d.]+) \| ([\d.]+) \| \*\*([\d.]+)\*\*", page)
    measured = json.loads((ROOT / "docs" / "benchmark" / "engine.json").read_text(encoding="utf-8"))["measured"]
    known = {tuple(f"{step[name]:.2f}" for name in ("ours", "published", "ratio")) for step in found(measured)}
    assert len(steps) > 20
    assert [step for step in steps if step not in known] == []


def found(measured: object) -> list[dict[str, float]]:
    """All comparisons of a measurement, however deep they lie."""
    if isinstance(measured, dict) and {"ours", "published", "ratio"} <= measured.keys():
        return [measured]
    inner = measured.values() if isinstance(measured, dict) else measured if isinstance(measured, list) else []
    return [one for part in inner for one in found(part)]


# Billions of weights, layers, width, width of the feed-forward block.
SHAPES = {
    "OPT-1.3B": ModelSize(1_315_758_080, 24, 2048, 8192),
    "LLaMA-2-7B": ModelSize(6_738_415_616, 32, 4096, 11008),
    "LLaMA-2-13B": ModelSize(13_015_864_320, 40, 5120, 13824),
}


def test_memory_that_the_engine_page_estimates() -> None:
    for name, size in SHAPES.items():
        needed = []
        for optimiser in ("adamw", "adamw-8bit"):
            settings = ModelConfig(dtype="bfloat16", gradient_checkpointing=True, optimiser=optimiser)
            needed.append(round(peak_bytes(size, settings, "bfloat16", 8192, True, False) / GIB))
        says("docs/engine.md", f"| {name} | {needed[0]} GiB | {needed[1]} GiB |")


def calibrated(**wanted: object) -> list[float]:
    rows = json.loads((ROOT / "docs" / "benchmark" / "calibration.json").read_text(encoding="utf-8"))
    return [row["percent"] for row in rows if all(row[name] == value for name, value in wanted.items())]


def test_what_the_leaderboard_page_says_of_its_statistics() -> None:
    says(
        "docs/leaderboard.md",
        f"(by {_median_unbiased(2):.2f} for three seeds, {_median_unbiased(9):.2f} for ten)",
        f"only below 63 % (0.37³ = {100 * 0.37**3:.0f} %)",
        "if seeds scatter by 10 points, it holds the truth half of the time or less",
    )
    assert max(calibrated(what="coverage", metric="retain", spread="0.1", seeds=1)) < 50.5


def test_ranges_that_the_methods_page_tells() -> None:
    (weights, larger), (prompts, larger_prompts) = FOUND["weights"], FOUND["soft prompt"]

    def ends(found: object) -> str:
        return " to ".join(re.sub(r"e-0", "e-", f"{getattr(found, end):.0e}") for end in ("low", "high"))

    says(
        "docs/methods.md",
        f"the tiny model (weights: {ends(weights)}; soft prompts: {ends(prompts)}) and of SmolLM2-135M ({ends(larger)};"
        f" {ends(larger_prompts)})",
    )
