"""The files of a study."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from unlearnbench.tracking import Store

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd


def write_files(name: str, store: Store, table: str, frame: pd.DataFrame, picture: alt.TopLevelMixin) -> list[Path]:
    """Writes into the results folder, and keeps a copy in MLflow."""
    folder = store.results / "studies" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "table.md").write_text(table, encoding="utf-8")
    frame.to_csv(folder / "table.csv", index=False)
    picture.save(str(folder / "plot.png"), scale_factor=2)
    with store.record("study", name) as record:
        record.artifacts(folder)
    return sorted(folder.iterdir())
