"""Leaderboards as files: JSON holds everything, CSV a line of numbers and facts for each entry."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from unlearnbench.console.safe_text import printable
from unlearnbench.errors import UserError, first_line
from unlearnbench.leaderboard.blocks import Block
from unlearnbench.leaderboard.claiming import overall_claims, table_claims
from unlearnbench.leaderboard.earlier import EarlierEntry, EarlierFile
from unlearnbench.leaderboard.entry import SCHEMA_VERSION, Entry, LeaderboardFile
from unlearnbench.leaderboard.overall import overall

if TYPE_CHECKING:
    import pandas as pd

    from unlearnbench.tracking.store import Store

# Too large for a cell of a table, or nested.
NOT_IN_CSV = {"config", "right", "log_probabilities", "trials", "identity", "measures", "added", "utility", "needs"}
NESTED = ("data", "hyperparameters", "edges", "metrics", "versions", "hardware")
DEEPEST = 20
LARGEST_BYTES = 1 << 30
# What makes a spreadsheet take a cell for a formula, and what marks a cell as text.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "'")
NUMBER = re.compile(r"[+-]?[\d.]+(e[+-]?\d+)?", re.IGNORECASE)
FIRST = ["task", "model", "row", "title", "seed", "preset", "trial_budget"]
# What a line says of its entry's identity, which it also holds as a whole, in JSON.
TOLD = ("task", "model", "row", "seed", "trial_budget", "tuned_on", "key")


def to_json(entries: Sequence[Entry], blocks: Sequence[Block] = ()) -> str:
    """The entries, and what their tables claim, as a leaderboard file."""
    file = LeaderboardFile(
        overall=overall_claims(overall(blocks)),
        tables=tuple(table_claims(block) for block in blocks),
        entries=tuple(entries),
    )
    return file.model_dump_json(indent=1) + "\n"


def from_json(text: str, name: str) -> list[Entry]:
    """The entries of a leaderboard file.

    Raises:
        UserError: it is not valid; the message names the first place where it is not.
    """
    try:
        loaded = json.loads(text)
    except RecursionError:
        raise UserError(f"{name} is nested too deeply to be a leaderboard.") from None
    except ValueError as error:
        raise UserError(f"{name} is not valid JSON: {first_line(error)}") from None
    _refuse_odd_text(loaded, name)
    version = loaded.get("schema_version") if isinstance(loaded, dict) else None
    if version not in (1, SCHEMA_VERSION):
        raise UserError(
            f"{name} has schema_version {version!r}, but this unlearnbench reads 1 and {SCHEMA_VERSION}: "
            "write it again with `unlearnbench leaderboard`, or use the unlearnbench that wrote it."
        )
    try:
        if version == 1:
            return [entry.upgraded() for entry in EarlierFile.model_validate(loaded).entries]
        return list(LeaderboardFile.model_validate(loaded).entries)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UserError(
            f"{name} does not fit the schema: {where} is {first['input']!r:.200}: {first['msg']}."
        ) from None


def _refuse_odd_text(loaded: Any, name: str) -> None:
    """Raises a UserError for text that a terminal would obey, and for nesting that no entry has."""
    waiting: list[tuple[tuple[str, ...], Any]] = [((), loaded)]
    while waiting:
        path, value = waiting.pop()
        where = ".".join(path) or "the file"
        if len(path) > DEEPEST:
            raise UserError(f"{name} is nested too deeply to be a leaderboard: {where}.")
        if isinstance(value, str) and printable(value, lines="config" in path) != value:
            raise UserError(f"{name} holds control characters: {where} is {value!r:.200}.")
        if isinstance(value, dict):
            # Keys are text, too.
            waiting += [((*path, "a key"), key) for key in value]
            waiting += [((*path, key), inner) for key, inner in value.items()]
        elif isinstance(value, list):
            waiting += [((*path, str(index)), inner) for index, inner in enumerate(value)]


def to_frame(entries: Sequence[Entry]) -> pd.DataFrame:
    """A line for each entry: facts, then metrics and hyper-parameters as ``metrics.*`` and ``hyperparameters.*``."""
    import pandas as pd

    frame = pd.json_normalize([_flat(entry) for entry in entries])
    if not entries:
        return frame
    for name in ("seed", "trial_budget", "tuned_on"):
        frame[name] = frame[name].astype("Int64")
    others = sorted(column for column in frame.columns if column not in FIRST)
    return frame[[*FIRST, *others]]


def to_csv(entries: Sequence[Entry]) -> str:
    """`to_frame` as CSV, without cells that a spreadsheet would run; `from_csv` reads them back as they were."""
    frame = to_frame(entries).rename(columns=harmless)
    return str(frame.map(lambda cell: harmless(cell) if isinstance(cell, str) else cell).to_csv(index=False))


def harmless(cell: str) -> str:
    """A cell that starts as a formula does gets an apostrophe in front, as does one that starts with an apostrophe."""
    return f"'{cell}" if cell.startswith(FORMULA) and not NUMBER.fullmatch(cell) else cell


def _as_written(cell: str) -> str:
    return cell[1:] if cell.startswith("'") else cell


def _flat(entry: Entry) -> dict[str, Any]:
    identity = json.dumps(entry.model_dump(mode="json", include={"identity"})["identity"])
    told = {name: getattr(entry, name) for name in TOLD}
    return {**told, **entry.model_dump(mode="json", exclude=NOT_IN_CSV), "identity": identity}


def from_csv(path: Path) -> list[Entry]:
    """The entries of a CSV leaderboard, without single predictions, trials and settings.

    Raises:
        UserError: a line is not an entry.
    """
    import pandas as pd

    try:
        records = pd.read_csv(path, dtype=str, keep_default_na=False).to_dict("records")
    except ValueError as error:
        raise UserError(f"{path} is not a CSV leaderboard: {first_line(error)}") from None
    entries = []
    for number, record in enumerate(records, start=2):
        _refuse_odd_text(record, f"{path}, line {number},")
        written = {_as_written(str(name)): _as_written(text) for name, text in record.items()}
        try:
            entries.append(_entry(written))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise UserError(f"{path}, line {number}, is no entry of a leaderboard: {where}: {first['msg']}.") from None
    return entries


def _entry(record: dict[str, str]) -> Entry:
    if "identity" not in record:
        return EarlierEntry.model_validate(_unflattened(record)).upgraded()
    flat = {column: text for column, text in record.items() if column not in TOLD}
    try:
        identity = json.loads(record["identity"])
    except ValueError:
        identity = None
    return Entry.model_validate({**_unflattened(flat), "identity": identity})


def _unflattened(record: dict[str, str]) -> dict[str, Any]:
    entry: dict[str, Any] = {name: {} for name in NESTED}
    entry["data"] = {"sizes": {}}
    for column, text in record.items():
        parent, dot, name = column.partition(".")
        if not dot:
            entry[column] = text if text or column in ("plugin", "preset", "model_revision") else None
            if column == "schema_version" and text.isdigit():
                entry[column] = int(text)
        elif name.startswith("sizes."):
            entry["data"]["sizes"][name.removeprefix("sizes.")] = text
        elif parent == "data" or text:
            entry.setdefault(parent, {})[name] = text
    return entry


def find_store(where: str) -> Store | None:
    """The store of a results folder or of an MLflow URI; None if `where` is neither.

    Raises:
        UserError: it can't be opened.
    """
    from unlearnbench.tracking.store import Store

    if "://" in where:
        return Store.existing(None, where)
    return Store.existing(Path(where)) if (Path(where) / "mlflow.db").is_file() else None


def open_entries(where: str) -> list[Entry]:
    """The entries of a results folder, a folder with leaderboard.json, a JSON or CSV file, or an MLflow store's URI.

    Raises:
        UserError: there is no such thing, or it can't be read.
    """
    from unlearnbench.leaderboard.stored import read_entries

    path = Path(where)
    store = find_store(where)
    if store is not None:
        return read_entries(store)
    if (path / "leaderboard.json").is_file():
        path /= "leaderboard.json"
    if not path.is_file():
        raise UserError(
            f"{where} is no results folder, no leaderboard.json or .csv file and no URI of an MLflow store: name one."
        )
    if path.stat().st_size > LARGEST_BYTES:
        raise UserError(f"{path} has {path.stat().st_size} bytes, too many for a leaderboard: name another file.")
    if path.suffix == ".csv":
        return from_csv(path)
    try:
        return from_json(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} can't be read: {first_line(error)}") from None
