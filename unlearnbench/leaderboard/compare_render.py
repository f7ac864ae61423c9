"""A comparison as Markdown, CSV, JSON or HTML."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from unlearnbench.leaderboard.compare import ComparedLine, Comparison, Difference
from unlearnbench.leaderboard.entry import SPLITS
from unlearnbench.leaderboard.files import harmless
from unlearnbench.leaderboard.markdown import escape, table
from unlearnbench.leaderboard.scores import TRADE_OFF
from unlearnbench.leaderboard.statistics import FEWEST_SEEDS

NOTE = (
    "Differences are B - A in percentage points of the means over seeds, with Student's 95 % interval, which knows "
    "chance between seeds and of test examples. Seeds are not paired. With fewer than "
    f"{FEWEST_SEEDS} seeds on either side there is no interval, and nothing is claimed. ✗: B is surely worse "
    "(one-sided, after Holm's correction for all differences judged). Metrics of plugins are shown and not judged."
)


def records(comparison: Comparison) -> list[dict[str, Any]]:
    """One record per row and metric."""
    return [
        {
            "task": line.task,
            "model": line.model,
            "row": line.row,
            "metric": difference.metric,
            "a": difference.means[0],
            "b": difference.means[1],
            "a_by_seed": " ".join(f"{value:.6g}" for value in difference.first),
            "b_by_seed": " ".join(f"{value:.6g}" for value in difference.second),
            "difference": difference.difference,
            "low": difference.interval[0] if difference.interval else None,
            "high": difference.interval[1] if difference.interval else None,
            "worse": difference.worse,
            "comparable": not line.reasons,
            "reasons": "; ".join(line.reasons),
            "notes": "; ".join(line.notes),
        }
        for line in comparison.lines
        for difference in line.differences
    ]


def to_json(comparison: Comparison) -> str:
    """Everything, as JSON."""
    return json.dumps(
        {
            "differences": records(comparison),
            "only_a": comparison.only_first,
            "only_b": comparison.only_second,
        },
        indent=1,
    )


def to_csv(comparison: Comparison) -> str:
    """One line per row and metric."""
    lines = records(comparison)
    text = io.StringIO()
    if lines:
        writer = csv.DictWriter(text, list(lines[0]))
        writer.writeheader()
        writer.writerows({k: harmless(v) if isinstance(v, str) else v for k, v in line.items()} for line in lines)
    return text.getvalue()


def to_markdown(comparison: Comparison) -> str:
    """A table for each task and model, then what only one side has."""
    parts = [NOTE]
    for heading, lines in tables(comparison):
        titles = list(dict.fromkeys(title(d) for line in lines for d in line.differences))
        rows = []
        for line in lines:
            by_title = {title(d): text(d) for d in line.differences}
            rows.append((line.title, *(by_title.get(name, "") for name in titles), verdict(line)))
        parts += ["", f"## {escape(heading)}", ""]
        parts += table(f"l{'r' * len(titles)}l", ("row", *titles, "comparable"), rows)
        parts += ["", *_every_seed(lines)]
    for side, names in (("A", comparison.only_first), ("B", comparison.only_second)):
        if names:
            parts += ["", f"Only in {side}: {escape(', '.join(names))}."]
    return "\n".join(parts) + "\n"


def _every_seed(lines: list[ComparedLine]) -> list[str]:
    """A table of every seed's value."""
    rows = [
        (line.title, title(one), seeds(one, one.first), seeds(one, one.second))
        for line in lines
        for one in line.differences
    ]
    return table("llll", ("every seed", "metric", "A", "B"), rows)


def seeds(difference: Difference, values: Sequence[float]) -> str:
    """Every seed's value."""
    return ", ".join(f"{scale(difference) * value:.{digits(difference)}}" for value in values)


def scale(difference: Difference) -> float:
    """Shares are shown in percent."""
    return 100.0 if difference.measured is None or difference.measured.facts.is_share else 1.0


def digits(difference: Difference) -> str:
    """How a value is written."""
    return "1f" if scale(difference) > 1 else "4g"


def to_html(comparison: Comparison) -> str:
    """The same as one page that needs nothing else."""
    from unlearnbench.leaderboard.page.page import render

    return render(
        "compare.html.j2",
        note=NOTE,
        tables=[
            (heading, list(dict.fromkeys(title(d) for line in lines for d in line.differences)), lines)
            for heading, lines in tables(comparison)
        ],
        title=title,
        text=text,
        seeds=seeds,
        verdict=verdict,
        only=[("A", comparison.only_first), ("B", comparison.only_second)],
    )


def tables(comparison: Comparison) -> list[tuple[str, list[ComparedLine]]]:
    """Lines by task and model."""
    found: dict[str, list[ComparedLine]] = {}
    for line in comparison.lines:
        found.setdefault(f"{line.task} / {line.model}", []).append(line)
    return list(found.items())


def verdict(line: ComparedLine) -> str:
    """Whether the row can be compared, and what else differs."""
    return "; ".join([*(line.reasons or ["yes"]), *line.notes])


def title(difference: Difference) -> str:
    """The metric as a column."""
    found = difference.measured
    if found is not None:
        return f"{found.rows.replace('_', ' ') if found.rows in SPLITS else found.rows} {found.facts.title}"
    if difference.metric == TRADE_OFF:
        return "trade-off"
    return difference.metric.removeprefix("transfer_").replace("_accuracy", "").replace("_", " ")


def text(difference: Difference) -> str:
    """From, to, and the difference with its interval."""
    sure = ""
    if difference.interval:
        low, high = difference.interval
        sure = f" [{100 * low:+.1f}, {100 * high:+.1f}]"
    mark = " ✗" if difference.worse else ""
    size, form = scale(difference), digits(difference)
    first, second = (f"{size * mean:.{form}}" for mean in difference.means)
    return f"{first} → {second} ({size * difference.difference:+.{form}}{sure}){mark}"
