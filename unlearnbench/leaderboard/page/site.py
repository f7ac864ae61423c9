"""Several leaderboards as one static site: an index of all results, and a page for each leaderboard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from unlearnbench.contract.rows import REFERENCE_ROWS
from unlearnbench.errors import UserError, first_line
from unlearnbench.leaderboard.blocks import Block, Line, build_blocks
from unlearnbench.leaderboard.columns import Column
from unlearnbench.leaderboard.entry import Entry
from unlearnbench.leaderboard.files import to_json
from unlearnbench.leaderboard.page.page import Board, render, resource, to_html, vega
from unlearnbench.leaderboard.page.view import CellView
from unlearnbench.leaderboard.percent import percent
from unlearnbench.leaderboard.reading import read_leaderboard
from unlearnbench.leaderboard.scores import TRADE_OFF
from unlearnbench.leaderboard.sets import transfer_tasks

FILE, VEGA = "leaderboard.json", "vega.js"
LONGEST_FIRST = 400
COLUMNS = [
    Column("trade-off ↑", TRADE_OFF, percent),
    Column("test retain ↑", "test_retain_accuracy", percent),
    Column("test forget ↓", "test_forget_accuracy", percent),
]


@dataclass(frozen=True)
class ReadBoard:
    """A leaderboard of the folder.

    Attributes:
        about: the text of its README; empty if there is none.
    """

    name: str
    entries: Sequence[Entry]
    about: str

    @property
    def first(self) -> str:
        """The first paragraph of its README that is not a heading."""
        paragraphs = [" ".join(part.split()) for part in self.about.split("\n\n")]
        return next((part for part in paragraphs if part and not part.startswith("#")), "")[:LONGEST_FIRST]

    @property
    def address(self) -> str:
        """Of its page, from the index."""
        return f"{quote(self.name)}/index.html"

    @property
    def results(self) -> int:
        """How many there are."""
        return len(self.entries)

    @property
    def date(self) -> str:
        """Day of the newest result."""
        return f"{max(entry.recorded for entry in self.entries):%Y-%m-%d}"

    @property
    def versions(self) -> str:
        """Of the package."""
        return ", ".join(
            f"unlearnbench {found}" for found in sorted({e.versions["unlearnbench"] for e in self.entries})
        )


@dataclass(frozen=True)
class ResultView:
    """A line of the index: a row of one table.

    Attributes:
        audits: transfer tasks and registered metrics that it was measured on, beside the task's own splits.
    """

    board: str
    address: str
    task: str
    model: str
    method: str
    cells: Sequence[CellView]
    seeds: int
    audits: Sequence[str]
    anchor: bool


def read_boards(folder: Path) -> tuple[list[ReadBoard], list[str]]:
    """The leaderboards in the folder's folders, by name, and why others were left out.

    Raises:
        UserError: there is none that can be shown.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder: name one that holds folders with a {FILE} each.")
    boards, problems = [], []
    for place in sorted(path.parent for path in folder.glob(f"*/{FILE}")):
        try:
            entries, lacking = read_leaderboard(str(place))
            if any("unlearnbench" not in entry.versions for entry in entries):
                raise UserError(f"{place}: {lacking[0]}")
            boards.append(ReadBoard(place.name, entries, _about(place)))
        except UserError as error:
            problems.append(str(error))
    if not boards:
        reason = f" ({problems[0]})" if problems else ""
        raise UserError(f"{folder} has no folder with a {FILE} that can be shown{reason}.")
    return boards, problems


def site_files(boards: Sequence[ReadBoard]) -> dict[str, str]:
    """The site's texts by their path."""
    blocks = {board.name: build_blocks(board.entries) for board in boards}
    files = {"index.html": _index(boards, blocks), VEGA: vega()}
    for board in boards:
        shown = Board(board.name, board.about, f"../{VEGA}")
        files[f"{board.name}/index.html"] = to_html(blocks[board.name], {}, board=shown)
        files[f"{board.name}/{FILE}"] = to_json(board.entries, blocks[board.name])
    return files


def _index(boards: Sequence[ReadBoard], blocks: Mapping[str, Sequence[Block]]) -> str:
    rows = [row for board in boards for row in _rows(board, blocks[board.name])]
    filters = {
        "task": sorted({row.task for row in rows}),
        "model": sorted({row.model for row in rows}),
        "method": sorted({row.method for row in rows}),
        "audit": sorted({audit for row in rows for audit in row.audits}),
    }
    words, numbers = ["method", "leaderboard", "task", "model"], [*(column.title for column in COLUMNS), "seeds"]
    titles = [*((word, True) for word in words), *((number, False) for number in numbers), ("audits", True)]
    return render(
        "index.html.j2",
        boards=boards,
        rows=rows,
        columns=titles,
        filters=filters,
        script=f"{resource('sort.js')}\n{resource('index.js')}",
    )


def _rows(board: ReadBoard, blocks: Sequence[Block]) -> list[ResultView]:
    return [
        ResultView(
            board.name,
            f"{board.address}#block-{number}",
            block.task,
            block.model,
            line.title,
            [_cell(column, line) for column in COLUMNS],
            len(line.entries),
            _audits(line),
            line.row in REFERENCE_ROWS,
        )
        for number, block in enumerate(blocks)
        for line in block.lines
    ]


def _cell(column: Column, line: Line) -> CellView:
    if column.metric not in line.mean:
        return CellView("", None)
    return CellView(percent(line.mean[column.metric]), line.mean[column.metric], column.interval(line))


def _audits(line: Line) -> list[str]:
    metrics = {metric.name for entry in line.entries for one in entry.identity.splits for metric in one.metrics}
    return sorted(metrics.union(*map(transfer_tasks, line.entries)))


def _about(place: Path) -> str:
    file = place / "README.md"
    try:
        return unwrapped(file.read_text(encoding="utf-8")) if file.is_file() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} can't be read: {first_line(error)}") from None


def unwrapped(markdown: str) -> str:
    """Markdown as plain text: a line for each paragraph and item, without marks of bold and code."""
    lines: list[str] = []
    for line in markdown.replace("**", "").replace("`", "").splitlines():
        continues = lines and lines[-1] and line.strip() and not line.startswith(("#", "-", "*", "|", "    "))
        if continues and not lines[-1].startswith(("#", "|", "    ")):
            lines[-1] += f" {line.strip()}"
        else:
            lines.append(line.rstrip())
    return "\n".join(lines).strip()
