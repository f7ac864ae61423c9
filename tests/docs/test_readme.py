"""The numbers on the pages are those of the committed leaderboards."""

from __future__ import annotations

from pathlib import Path

import pytest

from unlearnbench.leaderboard.blocks import Line, build_blocks
from unlearnbench.leaderboard.columns import count
from unlearnbench.leaderboard.files import open_entries

ROOT = Path(__file__).parents[2]
ROWS = ("base", "ga", "rl", "ga-kl", "ga-gd", "npo-rt", "spul")
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
TABLES = {
    "README.md": ("smollm2-135m-sst2", REAL),
    "docs/quick.md": ("quick", QUICK),
}


def table(folder: str, headings: dict[tuple[str, str], str]) -> str:
    """A page's table, from the committed results."""
    blocks = {block.task: block for block in build_blocks(open_entries(str(ROOT / "leaderboards" / folder)))}
    lines = {(task, line.row): line for task, block in blocks.items() for line in block.lines}
    rows = [f"| | {' | '.join(headings.values())} | trained |", f"|---|{'---:|' * (len(headings) + 1)}"]
    present = [row for row in ROWS if ("sst2", row) in lines]
    for row in present:
        cells = [percent(lines[task, row], metric) for task, metric in headings]
        line = lines["sst2", row]
        rows.append(f"| {line.title} | {' | '.join(cells)} | {count(line.mean['trainable_parameters'])} |")
    return "\n".join(rows)


def percent(line: Line, metric: str) -> str:
    return f"{100 * line.mean[metric]:.1f} ± {100 * line.spread[metric]:.1f}"


@pytest.mark.parametrize("page", TABLES)
def test_a_pages_table_is_that_of_the_committed_leaderboard(page: str) -> None:
    assert table(*TABLES[page]) in (ROOT / page).read_text(encoding="utf-8")
