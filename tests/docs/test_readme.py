"""The numbers on the first page are those of the committed leaderboard."""

from __future__ import annotations

from pathlib import Path

from unlearnbench.leaderboard.blocks import Line, build_blocks
from unlearnbench.leaderboard.columns import count
from unlearnbench.leaderboard.files import open_entries

ROOT = Path(__file__).parents[2]
HEADINGS = {
    ("sst2", "test_retain_accuracy"): "SST-2 retain ↑",
    ("sst2", "test_forget_accuracy"): "SST-2 forget ↓",
    ("wmdp-sciq", "test_retain_accuracy"): "WMDP+SciQ retain ↑",
    ("wmdp-sciq", "test_forget_accuracy"): "WMDP+SciQ forget ↓",
    ("wmdp-sciq", "transfer_arc_accuracy"): "ARC (transfer) ↑",
    ("yelp", "test_retain_accuracy"): "Yelp retain ↑",
    ("yelp", "test_forget_accuracy"): "Yelp forget ↓",
}
ROWS = ("base", "ga", "rl", "ga-kl", "ga-gd", "npo-rt", "spul")


def table() -> str:
    """The README's table, from the committed results."""
    blocks = {block.task: block for block in build_blocks(open_entries(str(ROOT / "leaderboards" / "quick")))}
    lines = {(task, line.row): line for task, block in blocks.items() for line in block.lines}
    rows = [f"| | {' | '.join(HEADINGS.values())} | trained |", f"|---|{'---:|' * (len(HEADINGS) + 1)}"]
    for row in ROWS:
        cells = [percent(lines[task, row], metric) for task, metric in HEADINGS]
        line = lines["sst2", row]
        rows.append(f"| {line.title} | {' | '.join(cells)} | {count(line.mean['trainable_parameters'])} |")
    return "\n".join(rows)


def percent(line: Line, metric: str) -> str:
    return f"{100 * line.mean[metric]:.1f} ± {100 * line.spread[metric]:.1f}"


def test_table_is_that_of_the_committed_leaderboard() -> None:
    assert table() in (ROOT / "README.md").read_text(encoding="utf-8")
