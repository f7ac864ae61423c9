"""The user's own data as one table: texts, answers, and a column that marks the rows to forget."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from unlearnbench.contract.source import DataSource
from unlearnbench.contract.task import Example, Splits, TaskOptions
from unlearnbench.data.checks import SHARED, text_key
from unlearnbench.data.own_task import OwnTask, check_columns, check_file, example_in, labels_among, read_table
from unlearnbench.data.sampling import split_by_text
from unlearnbench.errors import UserError
from unlearnbench.storage.cache import content_hash, file_hash

if TYPE_CHECKING:
    import pandas as pd

YES, NO = ("yes", "true", "1", "forget"), ("no", "false", "0", "retain", "")
SPLITS = ("train", "test")


class TableOptions(TaskOptions):
    """The meaning of the table's columns."""

    prompt: str = Field(default="prompt", description="column of the text that the model reads")
    answer: str = Field(default="answer", description="column of what it should answer")
    forget: str = Field(default="forget", description="column that says what is to be forgotten")
    forget_if: str = Field(
        default="",
        description="values of that column, separated by commas, whose rows are to be forgotten; "
        "if not given, it must hold yes and no, true and false, or 1 and 0",
    )
    split: str = Field(
        default="split",
        description="column that holds train or test; if the table has none, rows are drawn by split_seed",
    )
    test_share: float = Field(
        default=0.3, gt=0, lt=1, description="share of the rows that are drawn for the test splits"
    )
    test_forget: Literal["drawn", "training"] = Field(
        default="drawn",
        description="rows by which forgetting is tested if there is no column `split`: some that are drawn, and not "
        "trained on, or the very rows that are trained on",
    )
    retain: str = Field(
        default="", description="file of the rows to keep; then every row of the table itself is to be forgotten"
    )
    template: str = Field(
        default="",
        description="the prompt, with column names in braces, as in '{text} Sentiment:'; instead of `prompt`",
    )


@dataclass(frozen=True)
class _Row:
    example: Example
    forget: bool
    split: str


class TableTask(OwnTask):
    """A file (.csv, .tsv, .jsonl or .parquet) with the columns prompt, answer and forget, or those that options name.

    Rows with the same prompt get the same side of the split, so that no text leaks.
    """

    description = "A table of prompts and answers with a column that says what is to be forgotten."
    Options = TableOptions

    def __init__(self, file: Path, options: TaskOptions | None = None) -> None:
        super().__init__(file, options)
        self._rows = self._read()
        self.labels = labels_among({row.example.answer for row in self._rows})

    def identity(self) -> str:
        return self._hash

    @property
    def published(self) -> bool:
        """Whether texts of both training and test are left alone, here because they are tested on purpose."""
        return self._tests_training_rows

    @property
    def _tests_training_rows(self) -> bool:
        return self._options.test_forget == "training" and not self._rows[0].split

    @property
    def _files(self) -> tuple[Path, ...]:
        retain = self._options.retain
        return (self.path, Path(retain).expanduser()) if retain else (self.path,)

    @cached_property
    def _hash(self) -> str:
        hashes = [file_hash(path) for path in self._files]
        return content_hash(hashes) if len(hashes) > 1 else hashes[0]

    def splits(self, source: DataSource, seed: int) -> Splits:
        """The splits according to a column, or drawn with `seed`."""
        split = self._named() if self._rows[0].split else self._drawn(seed)
        facts = {"file": ", ".join(map(str, self._files)), "file hash": self._hash, "rows": str(len(self._rows))}
        facts["split"] = f"column {self._options.split}" if self._rows[0].split else f"drawn with seed {seed}"
        if self._tests_training_rows:
            facts[SHARED] = f"{sum(row.forget for row in split[0])} (tested on purpose)"
        parts = {
            f"{side}_{kind}": tuple(row.example for row in rows if row.forget == (kind == "forget"))
            for side, rows in zip(SPLITS, split, strict=True)
            for kind in ("forget", "retain")
        }
        for name, examples in parts.items():
            if not examples:
                raise UserError(
                    f"{self.path}: the split {name} gets no row: add rows, or change "
                    f"--set {self.name}.{'split' if self._rows[0].split else 'test_share'}=..."
                )
        return Splits(**parts, provenance=facts)

    @property
    def _options(self) -> TableOptions:
        assert isinstance(self.options, TableOptions)
        return self.options

    def _named(self) -> tuple[list[_Row], list[_Row]]:
        train, test = ([row for row in self._rows if row.split == side] for side in SPLITS)
        return train, test

    def _drawn(self, seed: int) -> tuple[list[_Row], list[_Row]]:
        """Splits the rows to forget first, then those to retain, with the same test share."""
        train: list[_Row] = []
        test: list[_Row] = []
        sides: dict[str, list[_Row]] = {}
        whole = [row for row in self._rows if row.forget and self._tests_training_rows]
        for forget in (False,) if whole else (True, False):
            new = [row for row in self._rows if row.forget == forget and text_key(row.example) not in sides]
            old = [row for row in self._rows if row.forget == forget and text_key(row.example) in sides]
            count = round((1 - self._options.test_share) * len(new))
            halves = split_by_text(new, [row.example.text for row in new], count, seed)
            for side, rows in zip((train, test), halves, strict=True):
                side += rows
                sides |= {text_key(row.example): side for row in rows}
            for row in old:
                sides[text_key(row.example)].append(row)
        return [*whole, *train], [*whole, *test]

    def _read(self) -> list[_Row]:
        frame = read_table(self.path)
        if self._options.retain:
            rows = self._two_files(frame)
        else:
            rows = self._rows_of(self.path, frame, self._forget(self._column(self.path, frame, "forget")))
            forgotten = sum(row.forget for row in rows)
            if forgotten in (0, len(rows)):
                raise UserError(
                    f"{self.path}: {'no' if forgotten == 0 else 'every'} row is to be forgotten, by column "
                    f"{self._options.forget!r}: correct that column, or see --set {self.name}.forget_if=VALUE."
                )
        if rows and self._options.test_forget == "training" and not rows[0].split:
            self._check_apart(rows)
        return rows

    def _two_files(self, frame: pd.DataFrame) -> list[_Row]:
        """The rows of this file, which are to be forgotten, and those of the other one."""
        _, other = self._files
        check_file(other)
        kept = read_table(other)
        rows = self._rows_of(self.path, frame, [""] * len(frame)) + self._rows_of(other, kept, [None] * len(kept))
        if len({bool(row.split) for row in rows}) > 1:
            raise UserError(
                f"only one of {self.path} and {other} has a column {self._options.split!r}: add it to the other, or "
                "remove it."
            )
        return rows

    def _check_apart(self, rows: Sequence[_Row]) -> None:
        """Raises a UserError for a text that is to be forgotten and to be kept: no row of it could be held out."""
        forgotten = {text_key(row.example) for row in rows if row.forget}
        both = [row.example.text for row in rows if not row.forget and text_key(row.example) in forgotten]
        if both:
            raise UserError(
                f"{self.path}: {len(both)} prompts are both to be forgotten and to be kept, the first of them "
                f"{both[0][:80]!r}: leave each on one side."
            )

    def _rows_of(self, path: Path, frame: pd.DataFrame, forget: Sequence[str | None]) -> list[_Row]:
        """A file's rows.

        Args:
            forget: for each row why it is to be forgotten, or None if it is not.
        """
        if not len(frame):
            raise UserError(f"{path} has no rows.")
        template = self._options.template
        prompts = _filled(path, frame, template) if template else self._column(path, frame, "prompt")
        answers = self._column(path, frame, "answer")
        splits = self._splits(path, frame)
        rows = []
        for index, (prompt, answer, group, split) in enumerate(zip(prompts, answers, forget, splits, strict=True)):
            example = example_in(path, index, prompt, answer, group or "")
            rows.append(_Row(example, group is not None, split))
        return rows

    def _column(self, path: Path, frame: pd.DataFrame, option: str) -> Sequence[Any]:
        column = getattr(self._options, option)
        check_columns(
            path, frame, (column,), f"rename or add it, or name another with --set {self.name}.{option}=COLUMN."
        )
        return list(frame[column])

    def _forget(self, cells: Sequence[Any]) -> list[str | None]:
        """For each row the value that marks it as to be forgotten ("" for a plain yes), or None if it is retained."""
        wanted = {value.strip() for value in self._options.forget_if.split(",") if value.strip()}
        if wanted:
            texts = [str(cell).strip() for cell in cells]
            unknown = sorted(wanted - set(texts))
            if unknown:
                raise UserError(
                    f"{self.path}: no row has {unknown[0]!r} in column {self._options.forget!r}, which "
                    f"{self.name}.forget_if names."
                )
            return [text if text in wanted else None for text in texts]
        groups: list[str | None] = []
        for index, cell in enumerate(cells):
            text = str(cell).strip().lower()
            if text not in (*YES, *NO):
                raise UserError(
                    f"{self.path}, row {index}: {self._options.forget} is {cell!r}, but must be yes or no, unless "
                    f"--set {self.name}.forget_if=VALUE says which values mean that a row is to be forgotten."
                )
            groups.append("" if text in YES else None)
        return groups

    def _splits(self, path: Path, frame: pd.DataFrame) -> list[str]:
        column = self._options.split
        if column not in frame.columns:
            if "split" in self._options.model_fields_set:
                self._column(path, frame, "split")
            return [""] * len(frame)
        cells = [str(cell).strip().lower() for cell in frame[column]]
        for index, cell in enumerate(cells):
            if cell not in SPLITS:
                raise UserError(f"{path}, row {index}: {column} is {cell!r}, but must be train or test.")
        return cells


def _filled(path: Path, frame: pd.DataFrame, template: str) -> list[str]:
    """The template for each row, with its values in place of the columns in braces."""
    names = re.findall(r"\{(\w+)\}", template)
    check_columns(path, frame, tuple(names), "the template names it.")
    if not names:
        raise UserError(f"the template {template!r} names no column: write one in braces, as in '{{text}} Sentiment:'.")

    columns = {name: [str(cell) for cell in frame[name]] for name in names}
    return [
        re.sub(r"\{(\w+)\}", lambda match, row=row: columns[match[1]][row], template)  # type: ignore[misc]
        for row in range(len(frame))
    ]
