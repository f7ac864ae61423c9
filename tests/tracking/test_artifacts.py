"""Artefacts of runs: the places from which they are read, and failed downloads."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from mlflow import MlflowClient

from unlearnbench.errors import UserError
from unlearnbench.tracking import artifacts
from unlearnbench.tracking.artifacts import ServerArtifacts, is_on_server
from unlearnbench.tracking.server import ATTEMPTS, ServerDownError
from unlearnbench.tracking.store import Store

pytestmark = pytest.mark.slow


@pytest.fixture
def stored(tmp_path: Path) -> tuple[Store, str]:
    """A store with one run that has a file."""
    folder = tmp_path / "files"
    (folder / "predictions").mkdir(parents=True)
    (folder / "predictions" / "a.txt").write_text("kept", encoding="utf-8")
    store = Store(tmp_path / "results")
    with store.record("cell", "one") as record:
        record.artifacts(folder)
    return store, record.run_id


@pytest.fixture
def fetched(stored: tuple[Store, str], monkeypatch: pytest.MonkeyPatch) -> tuple[Store, str]:
    """The same store, but its files must be downloaded, as from a server."""
    store, run_id = stored
    store.artifacts = ServerArtifacts(store.client, "http://127.0.0.1:9")
    monkeypatch.setattr(artifacts, "is_on_server", lambda place, server: True)
    return store, run_id


def test_file_is_found_after_the_results_folder_has_moved(stored: tuple[Store, str], tmp_path: Path) -> None:
    _, run_id = stored
    shutil.move(tmp_path / "results", tmp_path / "moved")
    found = Store.existing(tmp_path / "moved").artifacts.find(run_id, "predictions/a.txt")
    assert found is not None
    assert found.is_relative_to(tmp_path / "moved")
    assert found.read_text(encoding="utf-8") == "kept"


def test_artefact_that_a_run_has_not_stored_is_none(stored: tuple[Store, str]) -> None:
    store, run_id = stored
    assert store.artifacts.find(run_id, "predictions/b.txt") is None
    assert store.artifacts.find(run_id, "nothing.txt") is None


def test_partial_download_is_retried_and_then_cached(
    fetched: tuple[Store, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, run_id = fetched
    asked: list[int] = []

    def break_off_at_first(run_id: str, path: str, target: str) -> str:
        asked.append(1)
        file = Path(target) / "a.txt"
        file.write_text("kept"[: 2 * len(asked)], encoding="utf-8")
        if len(asked) == 1:
            raise OSError("broken off")
        return str(file)

    monkeypatch.setattr(store.client, "download_artifacts", break_off_at_first)
    found = store.artifacts.find(run_id, "predictions/a.txt")
    assert found is not None
    assert found.read_text(encoding="utf-8") == "kept"
    assert store.artifacts.find(run_id, "predictions/a.txt") == found
    assert len(asked) == 2


def test_failed_download_is_not_a_missing_file(fetched: tuple[Store, str], monkeypatch: pytest.MonkeyPatch) -> None:
    store, run_id = fetched
    asked: list[int] = []

    def fail(*_: object) -> None:
        asked.append(1)
        raise OSError("broken off")

    monkeypatch.setattr(store.client, "download_artifacts", fail)
    with pytest.raises(ServerDownError, match=r"predictions/a\.txt of the MLflow run .* can't be downloaded"):
        store.artifacts.find(run_id, "predictions/a.txt")
    assert len(asked) == ATTEMPTS


def rewrite(results: Path, location: str) -> None:
    """Records other locations of artefacts, as a stranger might."""
    with closing(sqlite3.connect(results / "mlflow.db")) as connection, connection:
        connection.execute("UPDATE experiments SET artifact_location = ?", (location,))
        connection.execute("UPDATE runs SET artifact_uri = ? || '/' || run_uuid || '/artifacts'", (location,))


@pytest.fixture
def listener() -> Iterator[tuple[str, list[str | None]]]:
    """Somebody else's server, and the credentials that it has received with each request."""
    received: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            received.append(self.headers.get("Authorization"))
            self.send_error(404)

        do_PUT = do_POST = do_GET  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/api/2.0/mlflow-artifacts/artifacts", received
        server.shutdown()


def test_no_password_is_sent_to_the_server_that_a_folder_names(
    stored: tuple[Store, str],
    listener: tuple[str, list[str | None]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "me")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "secret")
    place, received = listener
    rewrite(tmp_path / "results", place)
    _, run_id = stored
    # That MLflow by itself does send it is what makes this test one.
    with pytest.raises(Exception):  # noqa: B017, PT011 (MLflow's errors differ)
        MlflowClient(f"sqlite:///{tmp_path / 'results' / 'mlflow.db'}").download_artifacts(run_id, "b.txt")
    assert any(received)
    received.clear()
    for path in ("predictions/a.txt", "predictions/b.txt", "b.txt"):
        Store.existing(tmp_path / "results").artifacts.find(run_id, path)
        Store(tmp_path / "results").artifacts.find(run_id, path)
    assert received == []


def test_artefacts_outside_the_folder_are_not_read(stored: tuple[Store, str], tmp_path: Path) -> None:
    _, run_id = stored
    own = tmp_path / "own" / run_id / "artifacts"
    own.mkdir(parents=True)
    (own / "config.yaml").write_text("mine", encoding="utf-8")
    rewrite(tmp_path / "results", (tmp_path / "own").as_uri())
    found = Store.existing(tmp_path / "results").artifacts
    assert found.find(run_id, "config.yaml") is None
    theirs = tmp_path / "results" / "artifacts" / run_id / "artifacts"
    (theirs / "config.yaml").symlink_to(own / "config.yaml")
    (theirs / "folder").symlink_to(own)
    (theirs / "prompt-adapter").mkdir()
    (theirs / "prompt-adapter" / "inner").symlink_to(own / "config.yaml")
    for path in ("config.yaml", "folder/config.yaml", "prompt-adapter", "../../../../own"):
        assert found.find(run_id, path) is None
    assert found.find("..", "artifacts") is None
    assert found.find(run_id, "predictions/a.txt") is not None


@pytest.mark.parametrize("how", [shutil.move, shutil.copytree], ids=["moved", "copied"])
def test_moved_folder_stores_artefacts_in_itself(stored: tuple[Store, str], tmp_path: Path, how: object) -> None:
    there, here = tmp_path / "results", tmp_path / "other" / "results"
    here.parent.mkdir()
    before = sorted(path.relative_to(there) for path in (there / "artifacts").rglob("*"))
    assert callable(how)
    how(there, here)
    files = tmp_path / "more"
    files.mkdir()
    (files / "config.yaml").write_text("new", encoding="utf-8")
    store = Store(here)
    with store.record("cell", "two") as record:
        record.artifacts(files)
    found = store.artifacts.find(record.run_id, "config.yaml")
    assert found is not None
    assert found.is_relative_to(here)
    if how is shutil.move:
        assert not there.exists()
    else:
        assert sorted(path.relative_to(there) for path in (there / "artifacts").rglob("*")) == before
    # MLflow's own client finds the files of both runs, too.
    client = MlflowClient(f"sqlite:///{here / 'mlflow.db'}")
    for run_id, path, text in ((record.run_id, "config.yaml", "new"), (stored[1], "predictions/a.txt", "kept")):
        assert Path(client.download_artifacts(run_id, path)).read_text(encoding="utf-8") == text


def test_server_may_only_refer_to_itself_or_to_an_object_store() -> None:
    server = "https://me:secret@tracking.example:5000/mlflow"
    for place in ("mlflow-artifacts:/1/abc/artifacts", "https://tracking.example:5000/files", "s3://bucket/1"):
        assert is_on_server(place, server)
    for place in (
        "https://evil.example/files",
        "http://tracking.example:5000/files",
        "https://tracking.example:5000@evil.example/x",
        "mlflow-artifacts://evil.example/1",
        "file:///home/me/results",
        "/home/me/results",
        "ftp://evil.example/x",
    ):
        assert not is_on_server(place, server)


def test_artefacts_are_not_read_from_another_place_than_the_server(stored: tuple[Store, str], tmp_path: Path) -> None:
    store, run_id = stored
    there = ServerArtifacts(store.client, "http://me:secret@127.0.0.1:9")
    with pytest.raises(UserError, match="that is another place") as refused:
        there.find(run_id, "predictions/a.txt")
    assert "secret" not in str(refused.value)
    with pytest.raises(UserError, match="that is another place"):
        there.store(run_id, tmp_path / "files")
