"""Artefacts of runs: in the results folder, or on the MLflow server that the user named."""

from __future__ import annotations

import logging
import os
import re
import shutil
import tempfile
import weakref
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from unlearnbench.console.safe_text import safe
from unlearnbench.errors import UserError
from unlearnbench.tracking.server import ATTEMPTS, ServerDownError, patiently

if TYPE_CHECKING:
    from mlflow import MlflowClient

logger = logging.getLogger(__name__)
RUN_ID = re.compile(r"[0-9a-f]{32}")
# Clients of these stores sign requests or connect to the provider's hosts; they never send a password to a host that a
# run names.
OBJECT_STORES = ("s3", "gs", "wasbs", "abfss")


class Artifacts(Protocol):
    """Stores and finds the artefacts of runs."""

    def store(self, run_id: str, folder: Path) -> None:
        """Stores everything in `folder` for a run; storing it again changes nothing."""

    def find(self, run_id: str, path: str) -> Path | None:
        """A file or folder that a run has stored, or None if it has none."""


@dataclass(frozen=True)
class FolderArtifacts:
    """Artefacts in a folder.

    The locations that MLflow records are not used. They are absolute, and anybody may have written them: with a folder
    that was moved, copied or received from somebody else, they would lead to other places.

    Attributes:
        root: nothing outside it is read or written, not even through symbolic links.
        folder: a folder in `root`, which contains one folder per run.
    """

    root: Path
    folder: Path

    def store(self, run_id: str, folder: Path) -> None:
        place = self._place(run_id)
        if place is None:
            raise UserError(f"{self.folder / run_id} leads out of {self.root}: remove the link.")
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                target = place / file.relative_to(folder)
                target.parent.mkdir(parents=True, exist_ok=True)
                # A reader sees the complete file or none.
                scratch = target.with_name(f".{target.name}-{os.getpid()}")
                try:
                    shutil.copyfile(file, scratch)
                    scratch.replace(target)
                finally:
                    scratch.unlink(missing_ok=True)

    def find(self, run_id: str, path: str) -> Path | None:
        place = self._place(run_id)
        if place is None or not (place / path).exists():
            return None
        stored = (place / path).resolve()
        files = [stored, *(file.resolve() for file in stored.rglob("*"))] if stored.is_dir() else [stored]
        if not all(file.is_relative_to(self.root.resolve()) for file in files):
            logger.warning(safe(f"{place / path} leads out of {self.root} and is not read"))
            return None
        return stored

    def _place(self, run_id: str) -> Path | None:
        place = self.folder / run_id / "artifacts"
        inside = place.resolve().is_relative_to(self.root.resolve())
        return place if inside and RUN_ID.fullmatch(run_id) else None


@dataclass(frozen=True)
class ServerArtifacts:
    """Artefacts on an MLflow server, each fetched once."""

    client: MlflowClient
    uri: str
    _fetched: dict[tuple[str, str], Path] = field(default_factory=dict)
    _trusted: set[str] = field(default_factory=set)

    def store(self, run_id: str, folder: Path) -> None:
        self._check(run_id)
        patiently(self.client.log_artifacts, run_id, str(folder))

    def find(self, run_id: str, path: str) -> Path | None:
        """See `Artifacts.find`.

        Raises:
            ServerDownError: the artefact exists, but can't be downloaded.
            UserError: according to the server, the artefact is at a location that must not be accessed.
        """
        if (run_id, path) not in self._fetched:
            self._check(run_id)
            fetched = self._fetch(run_id, path)
            if fetched is None:
                return None
            self._fetched[run_id, path] = fetched
        return self._fetched[run_id, path]

    def _check(self, run_id: str) -> None:
        """Raises a UserError if MLflow would send artefacts, and the user's password, elsewhere than to the server."""
        if run_id in self._trusted:
            return
        place = str(patiently(self.client.get_run, run_id).info.artifact_uri)
        if not is_on_server(place, self.uri):
            stores = ", ".join(f"{scheme}://" for scheme in OBJECT_STORES)
            raise UserError(
                f"the MLflow server {self.uri} says that the artefacts of run {run_id} are at {place}: that is another "
                f"place; only the server itself (`mlflow server --serve-artifacts`) and {stores} are read."
            )
        self._trusted.add(run_id)

    def _fetch(self, run_id: str, path: str) -> Path | None:
        from mlflow.exceptions import MlflowException

        # Each attempt gets a folder of its own, so that what an interrupted one leaves is not mistaken for the file.
        scratch = tempfile.mkdtemp(prefix="unlearnbench-")
        weakref.finalize(self, shutil.rmtree, scratch, ignore_errors=True)
        for attempt in range(ATTEMPTS):
            target = Path(scratch) / str(attempt)
            target.mkdir()
            try:
                return Path(str(self.client.download_artifacts(run_id, path, str(target))))
            except (MlflowException, OSError):
                # MLflow raises the same error for a missing file and for an incomplete download.
                if not self._stored(run_id, path):
                    return None
        raise ServerDownError(
            f"{path} of the MLflow run {run_id} can't be downloaded: try again once the server works."
        )

    def _stored(self, run_id: str, path: str) -> bool:
        folder = str(PurePosixPath(path).parent)
        stored = patiently(self.client.list_artifacts, run_id, None if folder == "." else folder)
        return any(file.path == path for file in stored)


def is_on_server(place: str, server: str) -> bool:
    """Whether artefacts at `place` (an MLflow URI) come from `server` itself, or from an object store."""
    there, here = urlsplit(place), urlsplit(server)
    if there.scheme == "mlflow-artifacts":
        return not there.netloc or _host(there.netloc) == _host(here.netloc)
    if there.scheme in ("http", "https"):
        return there.scheme == here.scheme and _host(there.netloc) == _host(here.netloc)
    return there.scheme in OBJECT_STORES


def _host(netloc: str) -> str:
    return netloc.rpartition("@")[2].lower()
