"""Stores results as MLflow runs, in SQLite in the results folder or on a server.

There are three kinds of runs, distinguished by the tag ``unlearnbench.kind``: an *invocation* of the command line, its
*cells* (not nested in it, so that MLflow's pages list and compare them), and the *trials* nested in each cell. A cell
counts as finished if a cell run with its key has status FINISHED.
"""

from __future__ import annotations

import logging
import os
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from unlearnbench.console.safe_text import safe
from unlearnbench.errors import UserError, first_line
from unlearnbench.storage.lease import ClaimLostError
from unlearnbench.tracking.artifacts import Artifacts, FolderArtifacts, ServerArtifacts
from unlearnbench.tracking.databases import (
    BUSY_SECONDS,
    check_optuna_storage,
    copied_database,
    make_database,
    mlflow_tables,
    optuna_tables,
    point_to_artifacts,
    quiet_mlflow,
)
from unlearnbench.tracking.run import Record
from unlearnbench.tracking.server import ServerDownError, is_server, patiently

if TYPE_CHECKING:
    from mlflow.entities import Run

logger = logging.getLogger(__name__)
EXPERIMENT = "unlearnbench"
KIND, KEY = "unlearnbench.kind", "unlearnbench.key"
# Identifies what a cell trains, in its own run and in those of its trials.
TRAINING = "unlearnbench.training"
# A cell's file that holds all of its result (`leaderboard.entry.Entry`); tags and metrics are for MLflow's pages.
RESULT = "result.json"
# Metric that numbers finished runs, so that their order does not depend on clocks.
ORDER = "unlearnbench.order"
PRUNED, FAILURE = "unlearnbench.pruned", "unlearnbench.failure"
TRIAL = "unlearnbench.trial"
# Identifies a search, on cells whose tuned values other seeds use, too.
SEARCH = "unlearnbench.search"
TUNED_ON = "unlearnbench.tuned_on"
# A trial's forgetting curve, as JSON.
CURVE = "unlearnbench.curve"
# At which end of its range a tuned value is; the hyper-parameter's name follows.
EDGE = "edge."
# A trial that was done when the process that runs the cell came to it: another one had trained it.
DONE_BEFORE = "unlearnbench.done_before"
INVOCATION = "unlearnbench.invocation"
# Where a cell's weights are kept, below the results folder.
MODEL_FOLDER = "model.folder"
# Where a model that was made elsewhere was read from.
BROUGHT = "model.brought"
PAGE = 1000
# What a run makes in its results folder.
ARTIFACTS, MODELS, WORK = "artifacts", "models", "work"


@dataclass(frozen=True)
class Failure:
    """A failed cell, the reason, and the run that records it."""

    name: str
    reason: str
    run_id: str

    @classmethod
    def of(cls, run: Run) -> Failure:
        """The failure that a run records."""
        return cls(run.info.run_name, run.data.tags.get(FAILURE, "unknown reason"), run.info.run_id)


class Store:
    """Reads and writes one experiment of the MLflow store of a results folder.

    Attributes:
        experiment: name of the experiment.
        optuna_storage: URL of the database of tuning studies.
        artifacts: stores and finds the artefacts of runs.
    """

    def __init__(
        self,
        results: Path,
        tracking_uri: str | None = None,
        experiment: str = EXPERIMENT,
        optuna_storage: str | None = None,
    ) -> None:
        """Opens the store, and creates it if necessary.

        Args:
            optuna_storage: URL of the database of tuning studies, instead of one in the results folder.

        Raises:
            UserError: the folder can't be written, or the server does not respond.
        """
        from mlflow.exceptions import MlflowException

        self.experiment = experiment
        results = results.resolve()
        try:
            results.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=results):
                pass
        except OSError as error:
            raise UserError(
                f"results folder {results} can't be written ({error.strerror}): name another one with --results."
            ) from None
        for folder in (results / name for name in (ARTIFACTS, MODELS, WORK)):
            if folder.exists() and not folder.is_dir():
                raise UserError(f"{folder} is a file where results have a folder: move it, or name another --results.")
        if tracking_uri is None:
            make_database(results / "mlflow.db", mlflow_tables)
        if optuna_storage is None:
            make_database(results / "optuna.db", optuna_tables)
        else:
            check_optuna_storage(optuna_storage)
        self.optuna_storage = optuna_storage or f"sqlite:///{results / 'optuna.db'}?timeout={BUSY_SECONDS}"
        self._open(results, tracking_uri)
        if tracking_uri is None:
            point_to_artifacts(results / "mlflow.db", (results / ARTIFACTS).as_uri())
        found = self._experiment(experiment)
        if found is None:
            # A server decides where it keeps artefacts; any other store keeps them with the results. The location is
            # for MLflow's own pages and clients: `artifacts` does not depend on it.
            location = None if is_server(self.uri) else (self.results / ARTIFACTS).as_uri()
            # With this kind, MLflow shows its pages for training runs.
            tags = {"mlflow.experimentKind": "custom_model_development"}
            try:
                found = str(patiently(self.client.create_experiment, experiment, artifact_location=location, tags=tags))
            except MlflowException:
                # Another process may have created it meanwhile.
                found = self._experiment(experiment)
                if found is None:
                    raise
        self.experiment_id: str = found

    @classmethod
    def existing(cls, results: Path | None, tracking_uri: str | None = None, experiment: str = EXPERIMENT) -> Store:
        """Opens a store for reading, without creating anything.

        Args:
            results: None if only the store's URI is known. Artefacts are then read from the folder of an SQLite file,
                or from the location that the experiment records in any other database.

        Raises:
            UserError: there is no such store, or the server does not respond.
        """
        if tracking_uri is None and not (results and (results / "mlflow.db").is_file()):
            if results and (results / "leaderboard.json").is_file():
                raise UserError(
                    f"{results} is a leaderboard and holds no results of its own: `unlearnbench leaderboard merge "
                    f"{results} --html --output FOLDER` writes its tables and page."
                )
            raise UserError(
                f"results folder {results} holds no results: run `unlearnbench run --results {results}` first."
            )
        database = (tracking_uri or "").removeprefix("sqlite:///")
        if tracking_uri != database and database and not Path(database).is_file():
            raise UserError(f"the MLflow store {tracking_uri} does not exist: name one that a run has written.")
        store = cls.__new__(cls)
        store._open(results or Path(database).parent, tracking_uri)
        found = store._experiment(experiment)
        if found is None:
            raise UserError(f"the MLflow store {store.uri} holds no experiment {experiment!r}.")
        store.experiment_id = found
        if results is None and database == tracking_uri and not is_server(store.uri):
            place = urlsplit(store.client.get_experiment(found).artifact_location)
            if place.scheme == "file":
                store.artifacts = FolderArtifacts(Path(unquote(place.path)), Path(unquote(place.path)))
        return store

    def _open(self, results: Path, tracking_uri: str | None) -> None:
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        quiet_mlflow()
        self.results = results.resolve()
        database = self.results / "mlflow.db"
        if tracking_uri is None and not os.access(database.parent, os.W_OK):
            # SQLite can't even read a database in WAL mode if it can't write its folder.
            copy = tempfile.TemporaryDirectory(prefix="unlearnbench-")
            weakref.finalize(self, copy.cleanup)
            database = copied_database(database, Path(copy.name))
        self.uri = tracking_uri or f"sqlite:///{database}?timeout={BUSY_SECONDS}"
        try:
            self.client = MlflowClient(self.uri)
            self.artifacts: Artifacts = (
                ServerArtifacts(self.client, self.uri)
                if is_server(self.uri)
                else FolderArtifacts(self.results, self.results / "artifacts")
            )
            patiently(self.client.search_experiments, max_results=1)
        except ImportError as error:
            raise UserError(
                f"the MLflow store {self.uri} needs a database driver that is not installed ({error}): install it."
            ) from None
        except (MlflowException, SQLAlchemyError) as error:
            raise UserError(f"the MLflow store {self.uri} can't be opened: {first_line(error)}") from None

    def _experiment(self, name: str) -> str | None:
        found = patiently(self.client.get_experiment_by_name, name)
        return None if found is None else str(found.experiment_id)

    @contextmanager
    def record(
        self, kind: str, name: str, parent: str | None = None, tags: Mapping[str, str] | None = None
    ) -> Iterator[Record]:
        """A run that is FINISHED if the block succeeds, KILLED on Ctrl-C, and otherwise FAILED, with the reason."""
        from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

        all_tags = {KIND: kind, **(tags or {})} | ({MLFLOW_PARENT_RUN_ID: parent} if parent else {})
        run = patiently(self.client.create_run, self.experiment_id, tags=all_tags, run_name=name)
        record = Record(self.client, run.info.run_id, self.artifacts)
        try:
            yield record
        except KeyboardInterrupt:
            record.finish("KILLED")
            raise
        except ServerDownError:
            raise
        except Exception as error:
            # A UserError, or a lost claim, is not a failure of the cell. If the store itself is failing, the original
            # error is the one to report.
            with suppress(Exception):
                record.tags({FAILURE: safe(f"{type(error).__name__}: {error}")[:4000]})
                record.finish("KILLED" if isinstance(error, (UserError, ClaimLostError)) else "FAILED")
            raise
        if kind != "invocation":
            record.metrics({ORDER: self._finished_before() + 1})
        record.finish()

    def _finished_before(self) -> float:
        """The largest number of a finished run. Two that end at once may share it; then the clock decides."""
        order = [f"metrics.`{ORDER}` DESC"]
        runs: list[Run] = patiently(self.client.search_runs, [self.experiment_id], "", max_results=1, order_by=order)
        return float(runs[0].data.metrics.get(ORDER, 0)) if runs else 0.0

    def finished_cells(self) -> dict[str, Run]:
        """The newest finished run of each cell, by cell key; oldest first.

        Raises:
            UserError: the results are those of version 0.1, which did not record everything that determined them.
        """
        newest: dict[str, Run] = {}
        for run in self._finished("cell"):
            if TRAINING not in run.data.tags:
                raise UserError(
                    f"{self.uri} holds results of unlearnbench 0.1, which are not continued: run the same command with "
                    "another folder (--results); leaderboard.json of the old one can still be merged and compared."
                )
            if KEY not in run.data.tags:
                logger.warning(safe(f"MLflow run {run.info.run_id} is left out, as it does not say which cell it is"))
                continue
            newest.pop(run.data.tags[KEY], None)
            newest[run.data.tags[KEY]] = run
        return newest

    def _finished(self, kind: str) -> list[Run]:
        """Finished runs in the order in which they ended."""
        runs = self._search(f"tags.`{KIND}` = '{kind}' and attributes.status = 'FINISHED'")
        return sorted(runs, key=_order)

    def is_finished(self, key: str) -> bool:
        """Whether a cell has a result."""
        return self._newest(key, "FINISHED") is not None

    def failure(self, key: str) -> Failure | None:
        """A cell's newest failure."""
        run = self._newest(key, "FAILED")
        return None if run is None else Failure.of(run)

    def failed_cells(self) -> dict[str, Failure]:
        """The newest failure of each cell that has no result, by cell key."""
        finished = self.finished_cells()
        runs = reversed(self._search(f"tags.`{KIND}` = 'cell' and attributes.status = 'FAILED'"))
        failures = {run.data.tags[KEY]: Failure.of(run) for run in runs if KEY in run.data.tags}
        return {key: failure for key, failure in failures.items() if key not in finished}

    def tuned_seeds(self) -> dict[str, int]:
        """By search, the seed whose cell was the first to tune the values that all seeds use."""
        seeds: dict[str, int] = {}
        for run in self._finished("cell"):
            if SEARCH in run.data.tags:
                seeds.setdefault(run.data.tags[SEARCH], int(run.data.tags["seed"]))
        return seeds

    def tuned(self, search: str, seed: int) -> Run | None:
        """The newest cell of this seed that has tuned the values of this search."""
        query = (
            f"tags.`{KIND}` = 'cell' and attributes.status = 'FINISHED' "
            f"and tags.`{SEARCH}` = '{search}' and tags.seed = '{seed}'"
        )
        return self._first(query)

    def curves(self, training: str) -> dict[int, str]:
        """The forgetting curve of each finished trial of a training that has one, by number, as `search` records it."""
        query = f"tags.`{KIND}` = 'trial' and tags.`{TRAINING}` = '{training}' and attributes.status = 'FINISHED'"
        runs = sorted(self._search(query), key=_order)
        return {int(run.data.tags[TRIAL]): run.data.tags[CURVE] for run in runs if CURVE in run.data.tags}

    def close_interrupted(self, training: str) -> None:
        """Ends the runs that a killed process left RUNNING; no other process may be working on this training."""
        for kind in ("cell", "trial"):
            for run in self._search(
                f"tags.`{KIND}` = '{kind}' and tags.`{TRAINING}` = '{training}' and attributes.status = 'RUNNING'"
            ):
                patiently(self.client.set_terminated, run.info.run_id, "KILLED")

    def _newest(self, key: str, status: str) -> Run | None:
        """A cell's newest run of this status."""
        return self._first(f"tags.`{KIND}` = 'cell' and tags.`{KEY}` = '{key}' and attributes.status = '{status}'")

    def _first(self, query: str) -> Run | None:
        """The newest run that matches."""
        order = [f"metrics.`{ORDER}` DESC", "attributes.start_time DESC"]
        runs: list[Run] = patiently(self.client.search_runs, [self.experiment_id], query, max_results=1, order_by=order)
        return runs[0] if runs else None

    def _search(self, query: str) -> list[Run]:
        """All runs that match, newest first."""
        runs: list[Run] = []
        token = None
        while True:
            page = patiently(
                self.client.search_runs,
                [self.experiment_id],
                query,
                max_results=PAGE,
                order_by=["attributes.start_time DESC"],
                page_token=token,
            )
            runs += page
            token = page.token
            if not token:
                return runs


def _order(run: Run) -> tuple[float, int]:
    return run.data.metrics.get(ORDER, 0.0), run.info.start_time
