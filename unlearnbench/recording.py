"""What is recorded of a cell beside its metrics: tags, predictions, confusion, settings."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from unlearnbench.cache import content_hash
from unlearnbench.config import dump_experiment
from unlearnbench.evaluation import Evaluation
from unlearnbench.grid import Cell, Workplace
from unlearnbench.metrics import confusion_counts
from unlearnbench.record import Record
from unlearnbench.rows import VANILLA
from unlearnbench.tracking import KEY, SEARCH, TUNED_ON

if TYPE_CHECKING:
    import pandas as pd


def block_key(workplace: Workplace) -> str:
    """Cells with one block key may stand in one leaderboard table: same evaluation, same way to the base model."""
    config = workplace.config
    return content_hash([workplace.evaluation_identity, config.base.model_dump(mode="json"), config.split_seed])


def cell_tags(cell: Cell) -> dict[str, str]:
    """What the leaderboard needs to know of a cell beside its numbers."""
    workplace = cell.workplace
    tuned = {} if cell.tuned_on is None else {TUNED_ON: str(cell.tuned_on)}
    if cell.tuned_on is not None and cell.leader is None:
        tuned |= {SEARCH: cell.search}
    sizes = {f"size.{name}": str(len(examples)) for name, examples in workplace.data.splits.items()}
    return {
        KEY: cell.key,
        "model": workplace.model.spec.name,
        "model.revision": workplace.model.identity,
        "task": workplace.data.task.name,
        "row": cell.row,
        "title": cell.choice.method.title if cell.choice else cell.row.capitalize(),
        "plugin": f"{cell.choice.origin.package} {cell.choice.origin.version}" if cell.choice else "",
        "seed": str(workplace.seed) if cell.row != VANILLA else "any",
        "block": block_key(workplace),
        "data.fingerprint": workplace.data.fingerprint,
        "data.source": workplace.data.splits.provenance.get("data", ""),
        "trials": str(workplace.config.tuning.trials),
        **tuned,
        **sizes,
    }


def attach_predictions(record: Record, workplace: Workplace, evaluations: Mapping[str, Evaluation]) -> None:
    """Stores every prediction, the confusion counts, and the settings that run the cell again."""
    import pandas as pd

    examples = dict(workplace.data.splits.items()) | {data.task.name: data.examples for data in workplace.transfer}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "predictions"
        folder.mkdir()
        for name, evaluation in evaluations.items():
            frame = pd.DataFrame(
                {
                    "text": [example.text for example in examples[name]],
                    "group": [example.group for example in examples[name]],
                    "answer": evaluation.predictions.answers,
                    "predicted": evaluation.predictions.predicted,
                    "log_probability": evaluation.predictions.log_probabilities,
                }
            )
            if evaluation.predictions.written:
                frame["written"] = evaluation.predictions.written
            frame.to_parquet(folder / f"{name}.parquet")
        if workplace.data.task.labels:
            _confusion_frame(evaluations).to_csv(Path(scratch) / "confusion.csv", index=False)
        (Path(scratch) / "config.yaml").write_text(dump_experiment(workplace.config), encoding="utf-8")
        record.artifacts(Path(scratch))


def _confusion_frame(evaluations: Mapping[str, Evaluation]) -> pd.DataFrame:
    """Counts by split, right answer, and what was predicted."""
    import pandas as pd

    rows = [
        (split, answer, predicted, count)
        for split, evaluation in evaluations.items()
        for (answer, predicted), count in sorted(confusion_counts(evaluation.predictions).items())
    ]
    return pd.DataFrame(rows, columns=["split", "answer", "predicted", "count"])


def attach(record: Record, files: Mapping[str, str]) -> None:
    """Stores texts under their names."""
    with tempfile.TemporaryDirectory() as scratch:
        for name, text in files.items():
            (Path(scratch) / name).write_text(text, encoding="utf-8")
        record.artifacts(Path(scratch))
