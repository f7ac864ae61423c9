"""What came back of a leaderboard, as Markdown and for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from unlearnbench.leaderboard.markdown import escape, table
from unlearnbench.leaderboard.percent import percent
from unlearnbench.leaderboard.reproduction import Changed, Number, ReproducedRow, Reproduction

NOTE = (
    "Means over the same seeds, in percent. Exactly: every seed's value, and every single prediction behind it, is the "
    "same. Intervals: 95 %, of the mean of then; F1, kinds of answers and training splits have none. If machine or "
    "versions differ, trainings round otherwise, and a rerun is as chancy as other seeds are: about one mean in six "
    "then lies outside of such an interval though nothing is wrong."
)
HEADS = ("row", "metric", "then", "now", "95 % interval", "came back")


def to_markdown(found: Reproduction) -> str:
    """Every number."""
    parts = ["# Run again\n", f"{NOTE}\n", *(f"- {escape(text)}" for text in statements(found))]
    rows = [(row.name, *cells(number)) for row in found.rows for number in row.numbers]
    return "\n".join([*parts, "", *table("llrrrl", HEADS, rows), ""])


def to_terminal(found: Reproduction) -> Table:
    """Every number that did not come back exactly, and how many did."""
    table = Table(title="Run again", title_justify="left", caption=Text(NOTE), caption_justify="left")
    for position, head in enumerate(HEADS):
        table.add_column(head, justify="right" if 2 <= position <= 4 else "left", overflow="fold")
    for row in found.rows:
        exact = row.counts["exactly"]
        name = Text(row.name)
        if exact:
            every = "all" if row.is_exact else "the other" if exact < len(row.numbers) else "the"
            table.add_row(name, f"{every} {exact} numbers, {_seeds(row)}", "", "", "", Text("exactly", style="green"))
            name = Text("")
        for number in row.numbers:
            if number.verdict != "exactly":
                style = "bold red" if number.verdict == "outside its interval" else ""
                *texts, verdict = cells(number)
                table.add_row(name, *map(Text, texts), Text(verdict, style=style))
                name = Text("")
    return table


def statements(found: Reproduction) -> list[str]:
    """The outcome in sentences: how much came back, what did not, and what differs from then."""
    numbers = [number for row in found.rows for number in row.numbers]
    exact = sum(number.verdict == "exactly" for number in numbers)
    within = sum(number.verdict == "within its interval" for number in numbers)
    outside = sum(number.verdict == "outside its interval" for number in numbers)
    rest = len(numbers) - exact - within - outside
    told = [
        f"{exact} of {len(numbers)} numbers came back exactly, {within} within their intervals, {outside} outside of "
        f"them; {rest} that have no interval did not come back exactly."
    ]
    for row in found.rows:
        if row.missing:
            seeds = ", ".join("any" if seed is None else str(seed) for seed in row.missing)
            told.append(f"{row.name}: no result now (seed {seeds}).")
        if row.changed:
            told.append(f"{row.name} is not the same computation: {_listed(row.changed)}.")
        if row.values:
            told.append(f"{row.name} was trained with other values: {_listed(row.values)}.")
    told.append(f"Versions that differ: {_listed(found.software)}." if found.software else "No version differs.")
    if found.machine:
        told.append(f"Other machine: {_listed(found.machine)}.")
    else:
        told.append("Processor, device and threads are those of then.")
    return told


def cells(number: Number) -> tuple[str, str, str, str, str]:
    """A number's texts: metric, then, now, interval, how it came back."""
    then, now = number.means
    sure = "" if number.interval is None else " to ".join(map(percent, number.interval))
    title = number.metric.removeprefix("transfer_").replace("_", " ")
    return title, percent(then), percent(now), sure, number.verdict


def _seeds(row: ReproducedRow) -> str:
    return "seed any" if row.seeds == (None,) else f"{len(row.seeds)} seed{'' if len(row.seeds) == 1 else 's'}"


def _listed(changes: Sequence[Changed]) -> str:
    return "; ".join(f"{name} {then}, now {now}" for name, then, now in changes)
