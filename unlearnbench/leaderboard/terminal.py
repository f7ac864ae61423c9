"""Tables that fit on a terminal: too many columns become several tables below each other, never broken numbers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

# Of a column: padding on both sides and a line.
AROUND = 3


def fitting(title: str, caption: str, heads: Sequence[str], rows: Sequence[Sequence[Text]], width: int) -> list[Table]:
    """The rows as tables that are no wider than `width`; each begins with the first column.

    Args:
        heads: of the columns; they are broken between words.
    """
    widths = [
        AROUND + max([cell_len(word) for word in head.split()] + [cell_len(line.plain) for line in _lines(rows, index)])
        for index, head in enumerate(heads)
    ]
    starts, used = [1], widths[0] + 1
    for index in range(1, len(heads)):
        if index > starts[-1] and used + widths[index] > width:
            starts.append(index)
            used = widths[0] + 1
        used += widths[index]
    parts = list(pairwise([*starts, len(heads)]))
    tables = []
    for number, (start, end) in enumerate(parts):
        table = Table(
            title=Text(title) if number == 0 else None,
            title_justify="left",
            caption=Text(caption) if number == len(parts) - 1 and caption else None,
            caption_justify="left",
        )
        table.add_column(heads[0], overflow="fold", width=widths[0] - AROUND)
        for index in range(start, end):
            table.add_column(heads[index], justify="right", overflow="fold", width=widths[index] - AROUND)
        for row in rows:
            table.add_row(row[0], *row[start:end])
        tables.append(table)
    return tables


def _lines(rows: Sequence[Sequence[Text]], index: int) -> list[Text]:
    return [line for row in rows for line in row[index].split("\n")]
