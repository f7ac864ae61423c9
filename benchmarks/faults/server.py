"""An MLflow server whose answers break off, in two processes that are forked from this one."""

from __future__ import annotations

import json
import os
import shutil
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmarks.faults.forks import end, fork
from tests.survival.mlflow_server import free_port
from tests.survival.relay import relay_to

# MLflow's server module decides by the first two whether it serves artefacts, and from where, at each request.
SETTINGS = {
    "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "_MLFLOW_IN_JOB_EXECUTOR": "false",
    "_MLFLOW_SGI_NAME": "uvicorn",
}
READY_SECONDS = 120.0


@contextmanager
def unreliable_server(folder: Path, database: Path) -> Iterator[tuple[str, set[str]]]:
    """The address of a server, and the kinds of requests whose answers have broken off (filled at the end).

    Args:
        database: an empty MLflow database, which is copied.
    """
    port = free_port()
    server = fork(lambda: _serve(folder, database, port))
    try:
        _await(port)
        with relayed(port) as found:
            yield found
    finally:
        end(server)


@contextmanager
def relayed(port: int) -> Iterator[tuple[str, set[str]]]:
    """The same of a relay to a server that breaks no answers off.

    The relay is no thread of this process: what is forked from here would inherit its connections, keep them open, and
    let a client wait for the end of an answer that had been cut short.
    """
    broken: set[str] = set()
    asking, asked = os.pipe()
    answering, answered = os.pipe()
    relay = fork(lambda: _relay(port, asking, answered))
    os.close(asking)
    os.close(answered)
    try:
        with os.fdopen(answering) as answers, os.fdopen(asked, "w") as questions:
            yield answers.readline().strip(), broken
            questions.write("\n")
            questions.flush()
            broken.update(json.loads(answers.readline()))
    finally:
        end(relay)


def _serve(folder: Path, database: Path, port: int) -> int:
    import uvicorn
    from mlflow.server.fastapi_app import app

    _say_nothing()
    own = folder / "server.db"
    shutil.copyfile(database, own)
    os.environ |= {
        **SETTINGS,
        "_MLFLOW_SERVER_FILE_STORE": f"sqlite:///{own}",
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": str(folder / "files"),
    }
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="critical")
    return 0


def _relay(port: int, asking: int, answered: int) -> int:
    _say_nothing()
    with relay_to(port) as relay:
        os.write(answered, f"{relay.uri}\n".encode())
        os.read(asking, 1)
        os.write(answered, f"{json.dumps(sorted(relay.broken))}\n".encode())
    return 0


def _say_nothing() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(nowhere, descriptor)


def _await(port: int) -> None:
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until:
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2):
            return
        time.sleep(0.05)
    raise TimeoutError(f"MLflow's server did not answer within {READY_SECONDS:g} seconds")
