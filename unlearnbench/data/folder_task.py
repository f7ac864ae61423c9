"""The user's own data, already split: a folder with four files of prompt/answer rows."""

from __future__ import annotations

from pathlib import Path

from unlearnbench.contract.source import DataSource
from unlearnbench.contract.task import SPLIT_NAMES, Example, Splits, TaskOptions
from unlearnbench.data.own_task import KINDS, SUFFIXES, OwnTask, check_columns, example_in, labels_among, read_table
from unlearnbench.errors import UserError
from unlearnbench.storage.cache import content_hash, file_hash

COLUMNS = ("prompt", "answer")


class FolderTask(OwnTask):
    """A folder with train_forget, train_retain, test_forget and test_retain (.csv, .tsv, .jsonl or .parquet)."""

    description = "A folder with four files of prompt/answer rows."

    def __init__(self, folder: Path, options: TaskOptions | None = None) -> None:
        super().__init__(folder, options)
        self.files = find_files(folder)
        self._splits = Splits(
            **{name: _read(path) for name, path in self.files.items()},
            provenance={"folder": str(folder), "files": self.identity()},
        )
        self.labels = labels_among({example.answer for _, examples in self._splits.items() for example in examples})

    def identity(self) -> str:
        return content_hash({name: file_hash(path) for name, path in self.files.items()})

    def splits(self, source: DataSource, seed: int) -> Splits:
        return self._splits


def find_files(folder: Path) -> dict[str, Path]:
    """The file of each split, by the split's name.

    Raises:
        UserError: a file is missing from the folder.
    """
    return {name: _file(folder, name) for name in SPLIT_NAMES}


def _file(folder: Path, name: str) -> Path:
    for suffix in SUFFIXES:
        path = folder / f"{name}{suffix}"
        if path.is_file():
            return path
    if not folder.is_dir():
        raise UserError(f"task folder {folder} does not exist: name a folder as --tasks path:DIR.")
    tables = sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES)
    listed = ", ".join(path.name for path in tables[:8]) or "no such files"
    table = next(
        (f" A single table is a task, too: path:{path}." for path in tables if path.stem not in SPLIT_NAMES), ""
    )
    raise UserError(
        f"task folder {folder} has no {name}{KINDS} (it has {listed}): it needs the four files "
        f"{', '.join(SPLIT_NAMES)}, each with the columns prompt and answer.{table}"
    )


def _read(path: Path) -> tuple[Example, ...]:
    frame = read_table(path)
    if not len(frame):
        raise UserError(f"{path} has no rows: each of the four splits needs at least one.")
    check_columns(path, frame, COLUMNS, "rename or add it.")
    rows = zip(frame["prompt"], frame["answer"], strict=True)
    return tuple(example_in(path, index, prompt, answer) for index, (prompt, answer) in enumerate(rows))
