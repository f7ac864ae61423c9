"""An unreachable hub is said once and soon, and what was downloaded before is still found."""

from __future__ import annotations

import http.server
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from unlearnbench.storage.hub import SECONDS, _asked


@pytest.fixture
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests run offline; these ask servers of this machine."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


@pytest.mark.usefixtures("online")
def test_a_server_that_answers_anything_is_reached() -> None:
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        # This server answers HEAD with 404 here, which is an answer.
        assert _asked(f"http://127.0.0.1:{server.server_port}/nothing-of-that-name") is None
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.usefixtures("online")
def test_a_port_that_refuses_is_said_at_once() -> None:
    assert "http://127.0.0.1:9 can't be reached" in (_asked("http://127.0.0.1:9") or "")


@pytest.mark.slow
@pytest.mark.usefixtures("online")
def test_a_server_that_is_silent_is_given_up_within_five_seconds() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        begun = time.monotonic()
        found = _asked(f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert time.monotonic() - begun < SECONDS + 1
    assert found is not None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        (["--models", "tiny"], "or use generated data with --data-root bundled."),
        (["--models", "owner/name"], "or name a model on this machine (a folder with safetensors weights)."),
    ],
)
def test_an_unreachable_hub_is_one_sentence(tmp_path: Path, arguments: list[str], remedy: str) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    environment |= {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path / "hf")}
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "unlearnbench",
            "run",
            "--tasks",
            "sst2",
            *arguments,
            "--preset",
            "small",
            "--dry-run",
            "--quiet",
        ],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert run.returncode == 2
    (sentence,) = run.stderr.splitlines()
    assert "127.0.0.1:9 can't be reached" in sentence
    assert sentence.endswith(remedy)
