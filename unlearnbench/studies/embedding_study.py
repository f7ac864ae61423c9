"""The embedding study: pictures and numbers of finished cells with a soft prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from unlearnbench.cell.cell import Cell
from unlearnbench.cell.trainer import Trainer
from unlearnbench.contract.rows import BASE
from unlearnbench.errors import UserError
from unlearnbench.leaderboard.markdown import table
from unlearnbench.studies.embedding import embed, project, separability
from unlearnbench.studies.files import write_files
from unlearnbench.studies.plots import draw_embedding
from unlearnbench.studies.points import EMBEDDING
from unlearnbench.tracking.store import Store

ADAPTER = "prompt-adapter"
NOTE = (
    "Silhouette of forget against retain in the last layer at the position that predicts the answer; probe: balanced "
    "accuracy of a logistic regression that tells them apart, five-fold (0.5 is chance); label silhouette: of the "
    "labels among retain examples. All on training examples. The picture (t-SNE) distorts distances; the numbers do "
    "not come from it."
)


def only_prompted(cells: Sequence[Cell]) -> list[Cell]:
    """The cells whose method trains a soft prompt, and the base models."""
    return [
        cell
        for cell in cells
        if cell.row == BASE or (cell.choice is not None and cell.choice.build(cell.choice.defaults).soft_prompt())
    ]


def write_embedding(cells: Sequence[Cell], store: Store) -> list[Path]:
    """Embeds the training examples of every finished cell with a soft prompt, and writes numbers and picture."""
    runs = store.finished_cells()
    points: list[dict[str, Any]] = []
    numbers: list[dict[str, Any]] = []
    for cell in cells:
        if cell.choice is None or cell.key not in runs:
            continue
        adapter = store.artifacts.find(runs[cell.key].info.run_id, ADAPTER)
        if adapter is None:
            raise UserError(f"study embedding compares soft prompts, but {cell.row} trains the weights: name another.")
        trainer = Trainer(cell.scenario)
        with trainer.slot.lent(BASE) as model:
            made = [embed("base", trainer, model)]
        with trainer.slot.restored(cell.choice.build({}), adapter) as model:
            made.append(embed(cell.choice.method.title, trainer, model))
        for one in made:
            place = {"task": cell.scenario.data.task.name, "model": cell.scenario.model.spec.name}
            facts = {**place, "seed": cell.scenario.seed, "row": one.title}
            numbers.append({**facts, **asdict(separability(one))})
            points += [
                {
                    "panel": ", ".join(str(value) for value in facts.values()),
                    "x": float(x),
                    "y": float(y),
                    "set": "forget" if forget else "retain",
                    "label": label,
                }
                for (x, y), forget, label in zip(project(one), one.forget, one.labels, strict=True)
            ]
    return _write(store, points, numbers)


def _write(store: Store, points: Sequence[dict[str, Any]], numbers: Sequence[dict[str, Any]]) -> list[Path]:
    import pandas as pd

    if not numbers:
        raise UserError("no cell of study embedding has finished: see the reasons above.")
    frame = pd.DataFrame(numbers)
    titles = [str(column).replace("_", " ") for column in frame.columns]
    rows = [
        [f"{value:.3f}" if isinstance(value, float) else str(value) for value in record.values()]
        for record in frame.to_dict("records")
    ]
    lines = ["# Forget and retain examples in the model", "", *table("l" * len(titles), titles, rows), "", NOTE]
    return write_files(EMBEDDING, store, "\n".join(lines) + "\n", frame, draw_embedding(points))
