"""The files of a study."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from unlearnbench.storage.whole import write_whole
from unlearnbench.tracking.store import Store

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd


def write_files(name: str, store: Store, table: str, frame: pd.DataFrame, picture: alt.TopLevelMixin) -> list[Path]:
    """Writes into the results folder, and keeps a copy in MLflow."""
    folder = store.results / "studies" / name
    folder.mkdir(parents=True, exist_ok=True)
    write_whole({folder / "table.md": table, folder / "table.csv": frame.to_csv(index=False)})
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        picture.save(str(Path(scratch) / "plot.png"), scale_factor=2)
        (Path(scratch) / "plot.png").replace(folder / "plot.png")
    with store.record("study", name) as record:
        record.artifacts(folder)
    return sorted(folder.iterdir())
