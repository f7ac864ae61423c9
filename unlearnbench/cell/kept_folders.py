"""Where models that the user keeps lie (`--keep-models`): under names by which a person finds them."""

from __future__ import annotations

import re
from pathlib import Path

from unlearnbench.cell.cell import Cell, Scenario
from unlearnbench.contract.rows import BASE
from unlearnbench.tracking.store import MODELS

ODD = re.compile(r"[^A-Za-z0-9._]+")
LONGEST_PART = 60
DIGITS = 8


def kept_folder(cell: Cell) -> Path:
    """Where a cell's unlearned model lies, from the results folder: ``models/sst2-tiny-spul-seed-0-1a2b3c4d``.

    The last part tells apart what was trained with other settings. It does not depend on how a model is evaluated.
    """
    return Path(MODELS) / _name(cell.scenario, cell.row, cell.training)


def kept_base(scenario: Scenario, key: str) -> Path:
    """Where the base model of soft prompts lies, from the results folder.

    Args:
        key: of its weights.
    """
    return Path(MODELS) / _name(scenario, BASE, key)


def _name(scenario: Scenario, row: str, key: str) -> str:
    parts = (scenario.data.task.name, scenario.model.spec.name, row, f"seed-{scenario.seed}", key[:DIGITS])
    return "-".join(ODD.sub("-", part).strip("-.")[-LONGEST_PART:] for part in parts)
