"""What a run says at its end, and what it opens."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.conftest import invoke


@pytest.mark.slow
def test_run_says_what_to_look_at_next_and_opens_it_if_asked(
    model_folder: Path, data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda url: bool(opened.append(url)) or True)
    results = tmp_path / "my results"
    command = [
        "run", "--models", model_folder, "--tasks", f"path:{data_folder}", "--methods", "ga", "--trials", 0, "--set",
        "base.kind=full", "--set", "base.epochs=1", "--results", results, "--quiet",
    ]  # fmt: skip
    done = invoke(*command)
    assert done.exit_code == 0, done.output
    # With quotes, as a shell needs them.
    assert f"unlearnbench leaderboard --html --results '{results}'" in done.output
    assert f"unlearnbench ui --results '{results}'" in done.output
    assert opened == []
    assert not (results / "leaderboard.html").exists()

    done = invoke(*command, "--open", "--dry-run")
    assert opened == []
    done = invoke(*command, "--open")
    assert done.exit_code == 0, done.output
    (url,) = opened
    page = Path(unquote(urlsplit(url).path))
    assert page == results / "leaderboard.html"
    assert "<html" in page.read_text(encoding="utf-8")
