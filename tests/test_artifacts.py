"""Files of runs: where they are looked for, and what a download that fails means."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from unlearnbench.server import ATTEMPTS, ServerDownError
from unlearnbench.tracking import Store

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
def fetched(stored: tuple[Store, str], tmp_path: Path) -> tuple[Store, str]:
    """The same where files must be fetched, as from a server."""
    store, run_id = stored
    store.artifacts.folder = tmp_path / "elsewhere"
    return store, run_id


def test_file_is_found_where_the_results_folder_is_now(stored: tuple[Store, str], tmp_path: Path) -> None:
    _, run_id = stored
    shutil.move(tmp_path / "results", tmp_path / "moved")
    found = Store.existing(tmp_path / "moved").artifacts.find(run_id, "predictions/a.txt")
    assert found is not None
    assert found.is_relative_to(tmp_path / "moved")
    assert found.read_text(encoding="utf-8") == "kept"


def test_what_a_run_has_not_stored_is_none(stored: tuple[Store, str]) -> None:
    store, run_id = stored
    assert store.artifacts.find(run_id, "predictions/b.txt") is None
    assert store.artifacts.find(run_id, "nothing.txt") is None


def test_file_that_comes_in_part_is_fetched_again_and_then_kept(
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


def test_file_that_is_there_but_does_not_come_is_no_missing_file(
    fetched: tuple[Store, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, run_id = fetched
    asked: list[int] = []

    def fail(*_: object) -> None:
        asked.append(1)
        raise OSError("broken off")

    monkeypatch.setattr(store.client, "download_artifacts", fail)
    with pytest.raises(ServerDownError, match=r"predictions/a\.txt of the MLflow run .* can't be downloaded"):
        store.artifacts.find(run_id, "predictions/a.txt")
    assert len(asked) == ATTEMPTS
