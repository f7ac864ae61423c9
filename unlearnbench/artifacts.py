"""Files that runs have stored: read where they are, or fetched once from an MLflow server."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from unlearnbench.server import ATTEMPTS, ServerDownError, patiently

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass
class Artifacts:
    """Reads the artefacts of runs.

    Attributes:
        folder: where runs of this results folder keep theirs, unless a server does.
    """

    client: MlflowClient
    folder: Path
    _fetched: dict[tuple[str, str], Path] = field(default_factory=dict)

    def find(self, run_id: str, path: str) -> Path | None:
        """A file or folder that a run has stored, or None where it has none.

        Raises:
            ServerDownError: it is there, but the server does not give it.
        """
        # Runs record absolute places; a results folder that was moved still has its artefacts below it.
        here = self.folder / run_id / "artifacts" / path
        if here.exists():
            return here
        if (run_id, path) not in self._fetched:
            fetched = self._fetch(run_id, path)
            if fetched is None:
                return None
            self._fetched[run_id, path] = fetched
        return self._fetched[run_id, path]

    def _fetch(self, run_id: str, path: str) -> Path | None:
        from mlflow.exceptions import MlflowException

        # What a broken-off attempt leaves behind must not be taken for the file, so each has a folder of its own.
        scratch = tempfile.mkdtemp(prefix="unlearnbench-")
        weakref.finalize(self, shutil.rmtree, scratch, ignore_errors=True)
        for attempt in range(ATTEMPTS):
            target = Path(scratch) / str(attempt)
            target.mkdir()
            try:
                return Path(str(self.client.download_artifacts(run_id, path, str(target))))
            except (MlflowException, OSError):
                # MLflow raises the same for a file that is not there and for one that came only in part.
                if not self._stored(run_id, path):
                    return None
        raise ServerDownError(
            f"{path} of the MLflow run {run_id} can't be downloaded: try again once the server is well."
        )

    def _stored(self, run_id: str, path: str) -> bool:
        folder = str(PurePosixPath(path).parent)
        stored = patiently(self.client.list_artifacts, run_id, None if folder == "." else folder)
        return any(file.path == path for file in stored)
