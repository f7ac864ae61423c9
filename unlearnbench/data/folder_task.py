"""The user's own data: a folder with four JSONL or Parquet files of prompt/answer rows."""

from __future__ import annotations

from pathlib import Path

from unlearnbench.cache import content_hash, file_hash
from unlearnbench.data.source import DataSource
from unlearnbench.errors import UserError, first_line
from unlearnbench.task import SPLIT_NAMES, Example, Splits, Task

PREFIX = "path:"
MAX_LABELS = 10


class FolderTask(Task):
    """``--tasks path:DIR``: DIR holds train_forget, train_retain, test_forget, test_retain (.jsonl or .parquet)."""

    name = PREFIX
    title = "Own data"
    description = "A folder with four JSONL or Parquet files of prompt/answer rows."

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.files = find_files(folder)
        self.title = folder.resolve().name
        self._splits = Splits(
            **{name: _read(path) for name, path in self.files.items()},
            provenance={"folder": str(folder), "files": self.identity()},
        )
        answers = {example.answer for _, examples in self._splits.items() for example in examples}
        self.labels = tuple(sorted(answers)) if len(answers) <= MAX_LABELS else ()

    def identity(self) -> str:
        """A hash over the bytes of the four files."""
        return content_hash({name: file_hash(path) for name, path in self.files.items()})

    def splits(self, source: DataSource, seed: int) -> Splits:
        return self._splits


def find_files(folder: Path) -> dict[str, Path]:
    """The file of each split, by its name.

    Raises:
        UserError: there is no such folder, or a file is not in it.
    """
    if folder.is_file():
        raise UserError(
            f"task folder {str(folder)!r} is a file: name the folder that holds the four files (archives are not "
            "read, unpack them first)."
        )
    if not folder.is_dir():
        raise UserError(f"task folder {str(folder)!r} does not exist: name a folder as --tasks path:DIR.")
    return {name: _file(folder, name) for name in SPLIT_NAMES}


def _file(folder: Path, name: str) -> Path:
    for suffix in (".jsonl", ".parquet"):
        path = folder / f"{name}{suffix}"
        if path.is_file():
            return path
    raise UserError(
        f"task folder {folder} has no {name}.jsonl or {name}.parquet: it needs the four files "
        f"{', '.join(SPLIT_NAMES)}, each with the columns prompt and answer."
    )


def _read(path: Path) -> tuple[Example, ...]:
    import pandas as pd

    try:
        frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_json(path, lines=True, dtype=False)
    except (ValueError, OSError, TypeError, AttributeError, RecursionError) as error:
        # Pandas has other errors for lines that are not objects, or not the same all along.
        raise UserError(f"{path} can't be read as {path.suffix[1:]}: {first_line(error)} Write it again.") from None
    for column in ("prompt", "answer"):
        if column not in frame.columns and len(frame):
            raise UserError(
                f"{path} has no column {column!r} (it has {', '.join(map(str, frame.columns))}): rename or add it."
            )
    rows = zip(frame.get("prompt", []), frame.get("answer", []), strict=True)
    return tuple(_example(path, index, prompt, answer) for index, (prompt, answer) in enumerate(rows))


def _example(path: Path, index: int, prompt: object, answer: object) -> Example:
    for column, value in (("prompt", prompt), ("answer", answer)):
        if not isinstance(value, str):
            raise UserError(f"{path}, row {index}: {column} is {value!r}, but must be text.")
    prompt, answer = str(prompt), str(answer)
    return Example(prompt.rstrip(" "), answer.strip(), text=prompt)
