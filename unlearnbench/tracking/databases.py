"""The SQLite databases of a results folder: created atomically, and shared by several processes."""

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
# A copy that is made while another process writes may be inconsistent.
COPY_ATTEMPTS = 5


def make_database(database: Path, tables: Callable[[str], None]) -> None:
    """Creates the database if it does not exist, and sets it up to be read while another process writes.

    Args:
        tables: creates the tables of the database at an SQLAlchemy URL; if it is killed, no database is left.

    Raises:
        UserError: there is a file of that name which is not a database.
    """
    if not database.exists():
        with tempfile.TemporaryDirectory(prefix=f".{database.name}-", dir=database.parent) as scratch:
            file = Path(scratch) / database.name
            tables(f"sqlite:///{file}")
            # A link, unlike a move, never replaces a database that another process has created meanwhile.
            with suppress(FileExistsError):
                os.link(file, database)
    try:
        with closing(sqlite3.connect(database, timeout=BUSY_SECONDS)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
    except sqlite3.DatabaseError as error:
        raise UserError(
            f"{database} is not an SQLite database ({error}): move it away, or name another folder."
        ) from None


def point_to_artifacts(database: Path, folder: str) -> None:
    """Updates the absolute artefact locations in the database for MLflow's own pages and clients.

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
    """Copies a database that can't be opened in its own folder; other processes may be writing to it.

    Args:
        folder: a writable folder for the copy.

    Raises:
        UserError: it can't be read, or was written to during every attempt.
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
    raise UserError(
        f"{database} can't be read completely: try again when no process writes to it, or make it writable."
    )


def check_optuna_storage(url: str) -> None:
    """Opens the database of tuning studies, so that errors are reported before anything is computed.

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
    """Creates MLflow's tables."""
    from mlflow import MlflowClient

    quiet_mlflow()
    MlflowClient(url)


def optuna_tables(url: str) -> None:
    """Creates Optuna's tables."""
    import optuna

    optuna.storages.RDBStorage(url)


def quiet_mlflow() -> None:
    """Silences MLflow's messages about its own work; call it after MLflow's import, which sets log levels."""
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    for name in ("alembic", "mlflow"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("mlflow.store.db.utils").addFilter(_is_not_a_traceback)


def _is_not_a_traceback(record: logging.LogRecord) -> bool:
    """MLflow logs tracebacks of database errors (a full disk) that it also raises."""
    return record.exc_info is None
