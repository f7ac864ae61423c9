"""Every single answer behind a leaderboard, as a table."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from os import PathLike
from typing import TYPE_CHECKING

from unlearnbench.errors import UserError
from unlearnbench.leaderboard.entry import SPLITS, Entry
from unlearnbench.leaderboard.files import find_store
from unlearnbench.leaderboard.reading import read_leaderboard
from unlearnbench.leaderboard.sets import evaluated
from unlearnbench.leaderboard.stored import PREDICTIONS, entries_by_run, read_predictions

if TYPE_CHECKING:
    import pandas as pd

    from unlearnbench.tracking.store import Store

PLACE = {"task": "str", "model": "str", "row": "str", "seed": "Int64", "split": "str", "example": "int64"}
COLUMNS = {**PLACE, **PREDICTIONS, "right": "bool", "key": "str"}


def load_samples(path: str | PathLike[str]) -> pd.DataFrame:
    """Loads every single answer of a results folder or leaderboard, one line each.

    Args:
        path: a results folder, a leaderboard (a folder with `leaderboard.json`, or the file), or an MLflow URI.

    Returns:
        A data frame with the columns

        - `task`, `model`, `row` (a method, or `vanilla` or `base`), `seed` (missing for `vanilla`);
        - `split`: a split, such as `test_forget`, or a transfer task;
        - `example`: the example's number in its split, from 0; the same example for every row and seed of a task that
          was evaluated on the same data;
        - `text`, `group`: what identifies the example, and whom or what it is about;
        - `answer`, `predicted`: the right answer, and what the model answers;
        - `log_probability`: of the right answer, in nats, summed over its tokens;
        - `right`: whether each token of the right answer is the most probable one;
        - `key`: of the result, which tells apart the settings that a method was run with.

        A leaderboard holds no text and no probability: `text`, `group`, `answer`, `predicted` and `log_probability` are
        missing there, and so are the training splits. The same holds for results whose predictions can't be read.

    Raises:
        UserError: there is no such thing, it can't be read, or it holds no single answers.
    """
    return samples_of(path, None)


def samples_of(path: str | PathLike[str], keys: Collection[str] | None) -> pd.DataFrame:
    """As `load_samples`, of the results with these keys alone, or of all."""
    import pandas as pd

    store = find_store(str(path))
    if store is None:
        entries, _ = read_leaderboard(str(path))
        wanted = [entry for entry in entries if keys is None or entry.key in keys]
        frames = [frame for entry in wanted for frame in _flagged(entry, evaluated(entry))]
    else:
        frames = []
        for run_id, entry in entries_by_run(store).items():
            if keys is not None and entry.key not in keys:
                continue
            splits = {name: read_predictions(store, run_id, name) for name in evaluated(entry)}
            frames += [_stored(entry, name, found) for name, found in splits.items() if found is not None]
            frames += _flagged(entry, [name for name, found in splits.items() if found is None])
    if not frames:
        raise UserError(f"{path} holds no single answers: name a results folder or a leaderboard.json.")
    return pd.concat(frames, ignore_index=True)


def answers_to_tests(store: Store) -> pd.DataFrame | None:
    """The stored answers to test splits and transfer tasks, as `load_samples` gives them; None if there are none."""
    import pandas as pd

    frames = [
        _stored(entry, name, found)
        for run_id, entry in entries_by_run(store).items()
        for name in evaluated(entry)
        if name not in SPLITS[:2] and (found := read_predictions(store, run_id, name)) is not None
    ]
    return pd.concat(frames, ignore_index=True) if frames else None


def _stored(entry: Entry, split: str, predictions: pd.DataFrame) -> pd.DataFrame:
    return _frame(entry, split, predictions.assign(right=predictions["answer"] == predictions["predicted"]))


def _flagged(entry: Entry, splits: list[str]) -> Iterator[pd.DataFrame]:
    """What the entry itself says of the single answers of these splits."""
    import pandas as pd

    for split in splits:
        if entry.right.get(split):
            yield _frame(entry, split, pd.DataFrame({"right": [flag == "1" for flag in entry.right[split]]}))


def _frame(entry: Entry, split: str, answers: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    place = {"task": entry.task, "model": entry.model, "row": entry.row, "split": split, "key": entry.key}
    named = answers.assign(**place, example=range(len(answers)))
    named["seed"] = pd.NA if entry.seed is None else entry.seed
    return named.reindex(columns=list(COLUMNS)).astype(COLUMNS)
