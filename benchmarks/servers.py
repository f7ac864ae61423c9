"""A run on real servers: PostgreSQL, MLflow's with a password, artefacts in an S3 store, a Ray cluster.

    pip install flask-wtf "psycopg[binary]" "moto[server]" boto3 ray
    apt install postgresql
    python -m benchmarks.servers FOLDER

Two workers of a cluster that knows none of the credentials share seven cells; one worker is killed (SIGKILL) while both
are busy. Results must be those of a run on this machine alone, prediction by prediction. Then the same grid is run with
MLflow's store on PostgreSQL itself. Prints one line for each thing that was tried; ends with an error if one failed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil

from tests.survival.mlflow_server import free_port
from unlearnbench.leaderboard.files import open_entries

GRID = [
    *("run", "--tasks", "sst2", "--methods", "ga,spul", "--seeds", "0,1", "--trials", "2", "--max-train", "8"),
    *("--max-test", "8", "--set", "base.epochs=1", "--set", "ga.epochs=20", "--set", "spul.epochs=20", "--quiet"),
]
CELLS = 7
S3 = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "made-up-secret", "AWS_DEFAULT_REGION": "us-east-1"}
# The account that the server is started with.
ACCOUNT = {"MLFLOW_TRACKING_USERNAME": "admin", "MLFLOW_TRACKING_PASSWORD": "made-up-password-1234"}


@contextmanager
def started(command: list[str], log: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process in the background, with all its children ended at the end."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, stdout=file, stderr=file, start_new_session=True, env={**os.environ, **environment}
        )
    try:
        yield process
    finally:
        for child in [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        process.wait()


def until(holds: Callable[[], object], seconds: float, what: str) -> None:
    """Waits until something holds."""
    deadline = time.monotonic() + seconds
    while True:
        with suppress(OSError):
            if holds():
                return
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.2)


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """A PostgreSQL server with databases mlflow and optuna; the start of their URLs."""
    tools = max(Path("/usr/lib/postgresql").glob("*/bin"))
    port = free_port()
    data = folder / "postgres"
    # The server refuses to run as root.
    as_user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
    if as_user:
        data.mkdir()
        subprocess.run(["chown", "postgres", str(data)], check=True)
        folder.chmod(0o755)
    quiet = {"check": True, "stdout": subprocess.DEVNULL, "cwd": "/"}
    subprocess.run([*as_user, str(tools / "initdb"), "-D", str(data), "-U", "bench", "-A", "trust"], **quiet)  # type: ignore[call-overload]
    options = f"-p {port} -k {data}"
    control = [*as_user, str(tools / "pg_ctl"), "-D", str(data), "-w", "-o", options]
    subprocess.run([*control, "-l", str(data / "log"), "start"], **quiet)  # type: ignore[call-overload]
    try:
        for name in ("mlflow", "optuna", "store"):
            make = [str(tools / "createdb"), "-h", "127.0.0.1", "-p", str(port), "-U", "bench", name]
            subprocess.run(make, **quiet)  # type: ignore[call-overload]
        yield f"postgresql://bench@127.0.0.1:{port}"
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], **quiet)  # type: ignore[call-overload]


@contextmanager
def s3(folder: Path) -> Iterator[str]:
    """An S3 store with a bucket; its address."""
    import boto3

    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with started([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], folder / "s3.log"):
        until(lambda: urllib.request.urlopen(f"{address}/moto-api/", timeout=2), 120, "moto")
        boto3.client(
            "s3", endpoint_url=address, region_name="us-east-1",
            aws_access_key_id=S3["AWS_ACCESS_KEY_ID"], aws_secret_access_key=S3["AWS_SECRET_ACCESS_KEY"],
        ).create_bucket(Bucket="results")  # fmt: skip
        yield address


@contextmanager
def mlflow_server(folder: Path, database: str, store: str) -> Iterator[str]:
    """An MLflow server that asks for a password; its address."""
    port = free_port()
    command = [
        sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth", "--backend-store-uri", database,
        "--artifacts-destination", "s3://results/runs", "--port", str(port), "--workers", "1",
    ]  # fmt: skip
    environment = {
        **S3, "MLFLOW_S3_ENDPOINT_URL": store, "MLFLOW_FLASK_SERVER_SECRET_KEY": "made-up",
        "MLFLOW_AUTH_ADMIN_PASSWORD": ACCOUNT["MLFLOW_TRACKING_PASSWORD"],
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }  # fmt: skip
    with started(["env", "-C", str(folder), *command], folder / "mlflow.log", **environment):
        address = f"http://127.0.0.1:{port}"
        until(lambda: urllib.request.urlopen(f"{address}/health", timeout=2), 300, "MLflow")
        yield address


@contextmanager
def cluster(folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A Ray cluster of two CPUs that was started without any credentials; its address and its first process."""
    port = free_port()
    command = ["start", "--head", "--port", str(port), "--num-cpus", "2", "--include-dashboard", "false", "--block"]
    ray = [sys.executable, "-c", "from ray.scripts.scripts import main; main()"]
    with started([*ray, *command], folder / "ray.log") as head:
        until(lambda: "Ray runtime started" in (folder / "ray.log").read_text(), 300, "Ray")
        yield f"127.0.0.1:{port}", head


def busy_workers(head: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The cluster's worker processes that run a cell."""
    busy = []
    for child in psutil.Process(head.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if "ray::_Actor.do" in " ".join(child.cmdline()):
                busy.append(child)
    return busy


def run(folder: Path, name: str, *more: str, **environment: str) -> subprocess.Popen[bytes]:
    """Starts the grid."""
    command = [sys.executable, "-m", "unlearnbench", *GRID, "--results", str(folder / name), *more]
    log = (folder / f"{name}.log").open("wb")
    return subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **environment})


def main(folder: Path) -> None:
    """Tries everything once."""
    folder.mkdir(parents=True)
    # Ray's own tokens are not what is tried here.
    os.environ |= {"OMP_NUM_THREADS": "1", "UNLEARNBENCH_CACHE": str(folder / "cache"), "RAY_AUTH_MODE": "disabled"}
    local = run(folder, "local", "--jobs", "1")
    with ExitStack() as stack:
        databases = stack.enter_context(postgres(folder))
        server = stack.enter_context(mlflow_server(folder, f"{databases}/mlflow", stack.enter_context(s3(folder))))
        address, head = stack.enter_context(cluster(folder))
        print("PostgreSQL, an S3 store, MLflow's server and a Ray cluster answer", flush=True)
        assert local.wait() == 0, "the run on this machine"
        expected = {entry.key: entry.right for entry in open_entries(str(folder / "local"))}
        assert len(expected) == CELLS
        there = [
            *("--tracking-uri", server, "--optuna-storage", f"{databases}/optuna"),
            *("--executor", "ray", "--ray-address", address),
        ]
        os.environ |= ACCOUNT
        process = run(folder, "shared", *there)
        until(lambda: len(busy_workers(head)) == 2 or process.poll() is not None, 600, "two busy workers")
        assert process.poll() is None, (folder / "shared.log").read_text()
        busy_workers(head)[0].send_signal(signal.SIGKILL)
        assert process.wait() == 0, (folder / "shared.log").read_text()
        found = {entry.key: entry.right for entry in open_entries(server)}
        assert found == expected, "results differ"
        print(f"{len(found)} cells on 2 Ray workers, one of which was killed: every prediction is the same", flush=True)
        process = run(folder, "store", "--tracking-uri", f"{databases}/store", "--jobs", "1")
        assert process.wait() == 0, (folder / "store.log").read_text()
        found = {entry.key: entry.right for entry in open_entries(f"{databases}/store")}
        assert found == expected, "results differ"
        print(f"{len(found)} cells with MLflow's store on PostgreSQL: every prediction is the same", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
