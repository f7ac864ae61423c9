"""What every process would do anew and alike, done once before the first is forked."""

from __future__ import annotations

import functools
import gc
import importlib
import shutil
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

IMPORTED = (
    "unlearnbench.cli", "unlearnbench.grid.runner", "unlearnbench.grid.estimate", "unlearnbench.grid.display",
    "unlearnbench.leaderboard.write", "unlearnbench.leaderboard.stored",
    "mlflow", "optuna", "transformers", "datasets", "peft", "pandas", "scipy.stats", "matplotlib.pyplot",
    "mlflow.store.tracking.sqlalchemy_store", "mlflow.server.fastapi_app", "uvicorn",
)  # fmt: skip


@dataclass(frozen=True)
class Templates:
    """Databases with nothing but their tables, which take a process seconds to make."""

    mlflow: Path
    optuna: Path

    @classmethod
    def made(cls, folder: Path) -> Templates:
        """Makes them; not in the process that is to be forked."""
        from unlearnbench.tracking.databases import mlflow_tables, optuna_tables

        folder.mkdir()
        mlflow_tables(f"sqlite:///{folder / 'mlflow.db'}")
        optuna_tables(f"sqlite:///{folder / 'optuna.db'}")
        return cls(folder / "mlflow.db", folder / "optuna.db")

    def use(self) -> None:
        """Lets this process copy them where it would make tables, and store a few bytes where it would draw plots."""
        from unlearnbench.cell import search
        from unlearnbench.tracking import store

        search.draw_study = _no_plots  # type: ignore[attr-defined]
        store.mlflow_tables = functools.partial(_copy, self.mlflow)  # type: ignore[attr-defined]
        store.optuna_tables = functools.partial(_copy, self.optuna)  # type: ignore[attr-defined]


def _no_plots(storage: str, name: str, folder: Path) -> None:
    folder.mkdir(parents=True)
    for file in ("history.png", "slice.png"):
        # An empty file would be sent to a server in chunks, which the relay does not read.
        (folder / file).write_bytes(b"plot")


def _copy(template: Path, url: str) -> None:
    shutil.copyfile(template, url.removeprefix("sqlite:///"))


def warm_up(modules: Sequence[str] = IMPORTED) -> None:
    """Imports modules and looks up what does not depend on a run; opens no database and starts no thread."""
    for name in modules:
        # Some modules can only be imported by others.
        with suppress(Exception):
            importlib.import_module(name)


def remember() -> None:
    """Keeps what processes would compute alike, and what was imported out of the way of their garbage collectors."""
    import mlflow.store.db.utils as mlflow_tables
    from optuna.storages._rdb.storage import _VersionManager

    from unlearnbench.grid.estimate import matmul_rate
    from unlearnbench.plugins import registry

    registry()
    matmul_rate("cpu", "float32", 1)
    revision = mlflow_tables._get_latest_schema_revision()
    mlflow_tables._get_latest_schema_revision = lambda: revision
    manager = _VersionManager.__new__(_VersionManager)
    manager.url = ""
    version = manager.get_head_version()
    _VersionManager.get_head_version = lambda self: version
    gc.collect()
    gc.freeze()


def imported() -> list[str]:
    """The modules that this process has imported."""
    return sorted(name for name in sys.modules if name.partition(".")[0] != "__main__")
