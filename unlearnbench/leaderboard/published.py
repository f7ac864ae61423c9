"""The paper's own numbers (its tables 2 to 6), to stand beside ours."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from unlearnbench.leaderboard.blocks import Line
from unlearnbench.leaderboard.entry import SPLITS

if TYPE_CHECKING:
    import pandas as pd

SOURCE = "Bhaila, Van and Wu, Soft Prompting for Unlearning in Large Language Models"
# Rows of the paper's tables under the names used here.
ROWS = {
    "Vanilla": "vanilla",
    "QLoRA": "base",
    "GA": "ga",
    "RL": "rl",
    "GA+KL": "ga-kl",
    "GA+GD": "ga-gd",
    "NPO+RT": "npo-rt",
    "SPUL": "spul",
}


def paper_lines(task: str, model: str = "llama-2-7b") -> list[Line]:
    """The lines of table 2 (and 3 for ARC) for a task, as shares; empty for a task that is not in the paper."""
    results = _table("results.csv")
    found = results[(results["table"].isin([2, 6])) & (results["task"] == task) & (results["model"] == model)]
    transfer = _table("arc_transfer.csv")
    transfer = transfer[(transfer["unlearned_on"] == task) & (transfer["model"] == model)].set_index("method")
    lines = []
    for record in found.to_dict("records"):
        mean = {f"{split}_accuracy": record[f"{split}_acc"] / 100 for split in SPLITS}
        mean |= {f"{split}_f1": record[f"{split}_f1"] / 100 for split in SPLITS}
        method = str(record["method"])
        if method in transfer.index:
            mean["transfer_arc_accuracy"] = float(transfer.loc[method, "acc"]) / 100  # type: ignore[arg-type]
            mean["transfer_arc_f1"] = float(transfer.loc[method, "f1"]) / 100  # type: ignore[arg-type]
        lines.append(Line(ROWS[method], f"{method} (paper)", (), mean))
    return lines


def paper_table(number: int) -> list[dict[str, Any]]:
    """The records of one of the paper's tables, in percent."""
    results = _table("results.csv")
    records = results[results["table"] == number].to_dict("records")
    return [{str(name): value for name, value in record.items()} for record in records]


@cache
def _table(name: str) -> pd.DataFrame:
    import pandas as pd

    with (files("unlearnbench.leaderboard.paper") / name).open(encoding="utf-8") as file:
        return pd.read_csv(file)
