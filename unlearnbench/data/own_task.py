"""Base class of tasks on the user's own files: a path, rows read on construction, and labels taken from the answers."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING

from unlearnbench.contract.task import Example, Task, TaskOptions
from unlearnbench.errors import UserError, first_line

if TYPE_CHECKING:
    import pandas as pd

PREFIX = "path:"
SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")
# The same in a sentence.
KINDS = f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
MAX_LABELS = 10


class OwnTask(Task):
    """A task on the user's own data, ``--tasks path:PATH``; tables show it as ``path:NAME``, with the path's name.

    Attributes:
        path: a folder or a file.
    """

    title = "Own data"
    description = "Own data."

    def __init__(self, path: Path, options: TaskOptions | None = None) -> None:
        super().__init__(options)
        self.path = path
        self.name = shown_name(path)
        self.title = self.name.removeprefix(PREFIX)

    @abstractmethod
    def identity(self) -> str:
        """A hash over the bytes of all files."""


def shown_name(path: Path) -> str:
    """The task's name in tables and behind ``--set``."""
    resolved = path.resolve()
    return PREFIX + (resolved.stem if resolved.is_file() else resolved.name)


def labels_among(answers: set[str]) -> tuple[str, ...]:
    """The answers, if they are few enough to be labels; otherwise none, since answers are free text."""
    return tuple(sorted(answers)) if len(answers) <= MAX_LABELS else ()


def check_file(path: Path) -> None:
    """Raises a UserError if a path is not that of a file that can be read as a table."""
    if not path.is_file() or path.suffix not in SUFFIXES:
        raise UserError(f"{path} is {'not a table' if path.is_file() else 'not a file'}: name a table ({KINDS}).")


def read_table(path: Path) -> pd.DataFrame:
    """A file's rows. Cells of CSV and TSV files are kept as text: "NA" is not a missing value.

    Raises:
        UserError: it can't be read.
    """
    import pandas as pd

    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path)
        if path.suffix == ".jsonl":
            return pd.read_json(path, lines=True, dtype=False)
        return pd.read_csv(
            path, sep=_separator(path), dtype=str, keep_default_na=False, encoding="utf-8-sig", index_col=False
        )
    except (ValueError, OSError, TypeError, AttributeError, RecursionError) as error:
        # Pandas raises other errors for lines that are not objects, or that differ from one another.
        raise UserError(f"{path} can't be read as {path.suffix[1:]}: {first_line(error)} Write it again.") from None


def _separator(path: Path) -> str:
    """A tab in TSV; in CSV a comma, or the semicolon that spreadsheets write in some countries."""
    if path.suffix == ".tsv":
        return "\t"
    with path.open(encoding="utf-8-sig") as file:
        head = file.readline()
    return ";" if head.count(";") > head.count(",") else ","


def check_columns(path: Path, frame: pd.DataFrame, columns: tuple[str, ...], remedy: str) -> None:
    """Raises a UserError if a table lacks a column."""
    for column in columns:
        if column not in frame.columns:
            raise UserError(
                f"{path} has no column {column!r} (it has {', '.join(map(str, frame.columns)) or 'none'}): {remedy}"
            )


def example_in(path: Path, row: int, prompt: object, answer: object, group: str = "") -> Example:
    """The example in a row with these cells.

    Raises:
        UserError: a cell is not text.
    """
    text = _text(path, row, "prompt", prompt)
    return Example(text.rstrip(" "), _text(path, row, "answer", answer).strip(), text, group)


def _text(path: Path, row: int, column: str, value: object) -> str:
    if not isinstance(value, str):
        raise UserError(f"{path}, row {row}: {column} is {value!r}, but must be text.")
    return value
