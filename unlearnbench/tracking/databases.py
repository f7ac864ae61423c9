"""The SQLite databases of a results folder: made whole or not at all, and shared by several processes."""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from unlearnbench.errors import UserError, first_line

# How long a process waits for another one's write.
BUSY_SECONDS = 60
# A copy that is made while another process writes may be of no use.
COPY_ATTEMPTS = 5


def make_database(database: Path, tables: Callable[[str], None]) -> None:
    """Makes the database where there is none, and lets readers in while another process writes.

    Args:
        tables: makes the tables of the database at an SQLAlchemy URL; one that is killed meanwhile leaves no database.

    Raises:
        UserError: there is a file of that name which is something else.
    """
    if not database.exists():
        with tempfile.TemporaryDirectory(prefix=f".{database.name}-", dir=database.parent) as scratch:
            made = Path(scratch) / database.name
            tables(f"sqlite:///{made}")
            # A link, unlike a move, never replaces what another process has put there meanwhile.
            with suppress(FileExistsError):
                os.link(made, database)
    try:
        with closing(sqlite3.connect(database, timeout=BUSY_SECONDS)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
    except sqlite3.DatabaseError as error:
        raise UserError(f"{database} is no SQLite database ({error}): move it away, or name another folder.") from None


def point_to_artifacts(database: Path, folder: str) -> None:
    """Tells MLflow's own pages and clients where artefacts are now, since they record absolute places.

    Args:
        database: the MLflow database of a results folder, which may have been moved, copied, or made by somebody else.
        folder: as a URI.
    """
    place = "? || '/' || run_uuid || '/artifacts'"
    with closing(sqlite3.connect(database, timeout=BUSY_SECONDS)) as connection, connection:
        elsewhere = (
            "SELECT EXISTS (SELECT 1 FROM experiments WHERE artifact_location IS NOT ?) "
            f"OR EXISTS (SELECT 1 FROM runs WHERE artifact_uri IS NOT {place})"
        )
        if connection.execute(elsewhere, (folder, folder)).fetchone()[0]:
            connection.execute("UPDATE experiments SET artifact_location = ?", (folder,))
            connection.execute(f"UPDATE runs SET artifact_uri = {place}", (folder,))


def copied_database(database: Path, folder: Path) -> Path:
    """A copy of a database that others may be writing to, from where it can't be opened, in a folder that can.

    Raises:
        UserError: it can't be read, or was written to each time that it was copied.
    """
    for _ in range(COPY_ATTEMPTS):
        try:
            for file in (database, database.with_name(f"{database.name}-wal")):
                if file.exists():
                    shutil.copyfile(file, folder / file.name)
            with closing(sqlite3.connect(folder / database.name)) as connection:
                if connection.execute("PRAGMA quick_check").fetchone() == ("ok",):
                    return folder / database.name
        except sqlite3.DatabaseError:
            continue
        except OSError as error:
            raise UserError(f"{database} can't be read: {first_line(error)}") from None
    raise UserError(f"{database} can't be read whole: try again when no process writes to it, or make it writable.")


def check_optuna_storage(url: str) -> None:
    """Opens the database of tuning studies, so that trouble with it is told before anything is computed.

    Raises:
        UserError: it can't be opened; the message does not show the password.
    """
    import optuna
    from sqlalchemy.exc import SQLAlchemyError

    try:
        optuna.storages.get_storage(url)
    except ImportError as error:
        cause = error.__cause__ or error.__context__ or error
        missing = first_line(cause).rstrip(".")
        raise UserError(
            f"the Optuna storage {url} needs a database driver that is not installed ({missing}): "
            "install it, or leave --optuna-storage out."
        ) from None
    except (SQLAlchemyError, ValueError) as error:
        raise UserError(f"the Optuna storage {url} can't be opened: {first_line(error)}") from None


def mlflow_tables(url: str) -> None:
    """MLflow's tables."""
    from mlflow import MlflowClient

    quiet_mlflow()
    MlflowClient(url)


def optuna_tables(url: str) -> None:
    """Optuna's tables."""
    import optuna

    optuna.storages.RDBStorage(url)


def quiet_mlflow() -> None:
    """Leaves out what MLflow tells about its own work; to be called after its import, which sets levels of its own."""
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    for name in ("alembic", "mlflow"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("mlflow.store.db.utils").addFilter(_is_not_a_traceback)


def _is_not_a_traceback(record: logging.LogRecord) -> bool:
    """MLflow logs tracebacks of database errors (a full disk) that it raises as well."""
    return record.exc_info is None
