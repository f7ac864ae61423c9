"""Worker processes of a Ray cluster, which share the results folder and the cache.

Ray places them; their work is scheduled like that of processes on one machine.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.util import find_spec
from types import TracebackType
from typing import Any, Self

from unlearnbench.cell.identify import settled
from unlearnbench.config import ModelConfig
from unlearnbench.errors import UserError
from unlearnbench.models.threads import WAIT_SETTINGS
from unlearnbench.processes.messages import Lost, Message, Order, Ready
from unlearnbench.processes.worker import Setup, Worker, stopped

# Environment variables that the workers need.
ENVIRONMENT = ("UNLEARNBENCH_CACHE", "UNLEARNBENCH_DATA_ROOT", "HF_HOME", "HF_HUB_OFFLINE", *WAIT_SETTINGS)
# What a process needs to reach MLflow's server, its artefacts, databases and the hub. Some of it is secret: it travels
# with the work, since Ray's own pages show the surroundings that a cluster is asked for.
CREDENTIALS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
CREDENTIALS_OF = ("MLFLOW_", "AWS_", "AZURE_", "GOOGLE_", "PG")
EVENTS_EVERY_SECONDS = 0.1


def check_ray() -> None:
    """Checks that Ray is installed, without importing it.

    Raises:
        UserError: Ray is not installed.
    """
    if find_spec("ray") is None:
        raise UserError("--executor ray needs Ray, which is not installed: `pip install ray` installs it.")


def connect(address: str | None, gpus_per_cell: float) -> int:
    """Connects to a cluster, or starts one on this machine; returns how many cells it can run at once.

    Raises:
        UserError: Ray is not installed, the cluster does not respond, or it has too few GPUs.
    """
    check_ray()
    import ray

    environment = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
    # Without an address Ray would look for one that was left behind, by a cluster that has died, too.
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    try:
        ray.init(address=address, runtime_env={"env_vars": environment}, ignore_reinit_error=True)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise UserError(
            f"the Ray cluster {'on this machine' if address == 'local' else address} can't be reached: {error}"
        ) from None
    resources = ray.cluster_resources()
    if gpus_per_cell > resources.get("GPU", 0.0):
        raise UserError(f"--gpus-per-cell is {gpus_per_cell:g}, but the cluster has no such GPU: lower it.")
    slots = resources.get("CPU", 1.0)
    return max(1, int(min(slots, resources["GPU"] / gpus_per_cell) if gpus_per_cell else slots))


def credentials() -> dict[str, str]:
    """This process's environment variables for MLflow's server, artefact stores, databases and the hub."""
    return {name: value for name, value in os.environ.items() if name in CREDENTIALS or name.startswith(CREDENTIALS_OF)}


def settled_there(config: ModelConfig, gpus_per_cell: float) -> ModelConfig:
    """The settings with "auto" resolved on a worker, so that all machines compute the same; call `connect` first."""
    import ray

    settle = ray.remote(num_cpus=1, num_gpus=gpus_per_cell)(settled)
    resolved: ModelConfig = ray.get(settle.remote(config))
    return resolved


class RayWorkers:
    """One actor for each process; `connect` must have been called."""

    def __init__(self, setup: Setup, count: int, gpus_per_cell: float) -> None:
        import ray
        from ray.util.queue import Queue

        self._ray = ray
        self._setup = ray.put(setup)
        self._credentials = ray.put(credentials())
        self._events = Queue(actor_options={"num_cpus": 0})
        self._actor = ray.remote(num_cpus=1, num_gpus=gpus_per_cell)(_Actor)
        self._actors: dict[int, Any] = {}
        self._pending: dict[Any, int] = {}
        self._count = count

    def __enter__(self) -> Self:
        for worker in range(self._count):
            self.restart(worker)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for actor in self._actors.values():
            self._ray.kill(actor)
        self._events.shutdown(force=True)

    def restart(self, worker: int) -> None:
        self._actors[worker] = self._actor.remote(worker, self._setup, self._events, self._credentials)
        self._pending[self._actors[worker].start.remote()] = worker

    def give(self, worker: int, order: Order) -> None:
        self._pending[self._actors[worker].do.remote(order)] = worker

    def receive(self, seconds: float) -> list[tuple[int, Message]]:
        ended, _ = self._ray.wait(list(self._pending), timeout=min(seconds, EVENTS_EVERY_SECONDS))
        messages: list[tuple[int, Message]] = self._events.get_nowait_batch(self._events.qsize())
        for reference in ended:
            worker = self._pending.pop(reference)
            try:
                messages.append((worker, self._ray.get(reference)))
            except self._ray.exceptions.RayError as error:
                lines = str(error).strip().splitlines() or [type(error).__name__]
                messages.append((worker, Lost(lines[0])))
        return messages


class _Actor:
    """A worker on some machine of the cluster."""

    def __init__(self, number: int, setup: Setup, events: Any, credentials: Mapping[str, str]) -> None:
        self._number, self._setup, self._events = number, setup, events
        os.environ.update(credentials)

    def start(self) -> Message:
        """Imports modules and opens the store."""
        try:
            self._worker = Worker(self._setup, lambda message: self._events.put((self._number, message)))
        except Exception as error:
            return stopped(error)
        return Ready()

    def do(self, order: Order) -> Message:
        """Carries out an order."""
        return self._worker.do(order)
