"""Shared by the tasks that can read the splits published by the paper's authors."""

from __future__ import annotations

from typing import Literal

from unlearnbench.api import DataSource, HubDataset, UserError

# Made here with the run's split seed, or published by the paper's authors.
SplitChoice = Literal["seeded", "authors"]


def authors_identity(task: str, source: DataSource, dataset: HubDataset) -> str:
    """The identity of the authors' splits, which determines their rows.

    Raises:
        UserError: the data source does not have them.
    """
    try:
        return source.identity(dataset)
    except UserError as error:
        raise UserError(f"{error} Or use splits that are made here: --set {task}.split=seeded.") from None
