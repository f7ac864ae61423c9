"""The table over all tasks as Markdown and for the terminal, with its critical-difference picture."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from unlearnbench.leaderboard.markdown import escape, table
from unlearnbench.leaderboard.overall import Overall
from unlearnbench.leaderboard.percent import percent
from unlearnbench.leaderboard.scores import TRADE_OFF
from unlearnbench.leaderboard.standings import Standing
from unlearnbench.leaderboard.statistics import FEWEST_SEEDS, Interval
from unlearnbench.leaderboard.terminal import fitting

WIDTH = 48


def note(overall: Overall) -> str:
    """How to read the table."""
    if not overall.judged:
        seeds = f"{overall.seeds} seed{'' if overall.seeds == 1 else 's'}"
        return (
            f"With {seeds} (fewer than {FEWEST_SEEDS}) on a task nothing is claimed between methods, and every rank is "
            "possible."
        )
    return (
        "Trade-off by task, mean over seeds. Methods that share a letter can't be told apart by their mean over the "
        "tasks (Games-Howell, 5 %). Intervals: 95 %, over seeds and test examples; that of the mean rank holds every "
        "rank that the tests leave open. Tasks are these tasks, not a sample of all."
    )


def heads(overall: Overall) -> list[str]:
    """Titles of the columns."""
    return ["method", *overall.tasks, "mean trade-off ↑", "95 % interval", "mean rank", "95 % interval", "group"]


def cells(overall: Overall, standing: Standing) -> list[str]:
    """A method's texts, by column."""
    values = [overall.line(task, standing.name).mean[TRADE_OFF] for task in overall.tasks]
    low, high = standing.interval
    return [
        overall.titles[standing.name],
        *(percent(value) for value in values),
        percent(standing.score),
        f"{percent(low)} to {percent(high)}" if overall.judged else "-",
        f"{standing.rank:.2f}",
        ranks(standing.ranks),
        standing.groups if overall.judged else "-",
    ]


def ranks(interval: Interval) -> str:
    """An interval of mean ranks."""
    return f"{interval[0]:.1f} to {interval[1]:.1f}"


def overall_markdown(overall: Overall) -> str:
    """Table, note and picture."""
    alignment = f"l{'r' * (len(overall.tasks) + 4)}l"
    rows = [cells(overall, standing) for standing in overall.standings]
    parts = [f"## {escape(overall.title)}\n", *table(alignment, heads(overall), rows)]
    if overall.left_out:
        parts.append(f"\nNot run on every task: {escape(', '.join(overall.left_out))}.")
    return "\n".join([*parts, f"\n{note(overall)}\n", "```text", *picture(overall), "```", ""])


def picture(overall: Overall) -> list[str]:
    """Mean ranks with intervals on one axis, and a column for each group of methods that can't be told apart."""
    count = len(overall.standings)
    wide = max(len("mean rank"), *(len(overall.titles[one.name]) for one in overall.standings))
    letters = sorted({letter for one in overall.standings for letter in one.groups}) if overall.judged else []
    axis = [" "] * (WIDTH + 1)
    for rank in range(1, count + 1):
        axis[_place(rank, count)] = str(rank % 10)
    lines = [f"{'mean rank':<{wide}}  {''.join(axis)}"]
    for one in overall.standings:
        drawn = [" "] * (WIDTH + 1)
        low, high = (_place(end, count) for end in one.ranks)
        drawn[low : high + 1] = "─" * (high + 1 - low)
        drawn[low], drawn[high] = "├", "┤"
        drawn[_place(one.rank, count)] = "●"
        groups = " ".join(letter if letter in one.groups else _between(letter, one, overall) for letter in letters)
        lines.append(f"{overall.titles[one.name]:<{wide}}  {''.join(drawn)}  {groups}".rstrip())
    return lines


def _place(rank: float, count: int) -> int:
    return round((rank - 1) / max(count - 1, 1) * WIDTH)


def _between(letter: str, standing: Standing, overall: Overall) -> str:
    """A line through a method between two members of a group that it is not in."""
    members = [position for position, one in enumerate(overall.standings) if letter in one.groups]
    return "·" if members[0] < overall.standings.index(standing) < members[-1] else " "


def overall_terminal(overall: Overall, width: int) -> list[Table]:
    """The table as tables for a terminal of that width."""
    rows = [list(map(Text, cells(overall, standing))) for standing in overall.standings]
    return fitting(overall.title, note(overall), heads(overall), rows, width)
