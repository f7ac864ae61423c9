"""Runs cells on the workers of a Ray cluster that share the results folder and the cache.

Ray schedules; what a cell does, and that it is done once, is the runner's and the leases' business as on one machine. A
cell whose worker is lost is scheduled again and goes on from its finished trials and its last snapshot.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence

from unlearnbench.config import RunConfig
from unlearnbench.errors import UserError
from unlearnbench.grid import BASE, Cell
from unlearnbench.runner import Outcome

# How often a cell is scheduled again whose worker was lost.
RETRIES = 3


def run_on_ray(
    config: RunConfig,
    cells: Sequence[Cell],
    todo: Mapping[str, float],
    *,
    force: bool,
    address: str | None,
    gpus_per_cell: float,
) -> Outcome:
    """Runs the cells of `todo`; the base model's cell of a workplace before those that need it.

    Args:
        address: of a running cluster, or None to start one on this machine.

    Raises:
        UserError: Ray is not installed, the cluster does not answer, or it has no such GPU.
    """
    try:
        import ray
    except ImportError:
        raise UserError("--executor ray needs Ray: install it with `pip install unlearnbench[ray]`.") from None
    try:
        ray.init(address=address, runtime_env={"env_vars": _environment()}, ignore_reinit_error=True)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise UserError(f"the Ray cluster {address or 'on this machine'} can't be reached: {error}") from None
    if gpus_per_cell > ray.cluster_resources().get("GPU", 0.0):
        raise UserError(f"--gpus-per-cell is {gpus_per_cell:g}, but the cluster has no such GPU: lower it.")
    absolute = config.model_copy(update={"results": config.results.resolve()})
    settings = absolute.model_dump_json()
    remote = ray.remote(num_gpus=gpus_per_cell, max_retries=RETRIES)(_run_cell)
    bases = {id(cell.workplace): cell for cell in cells if cell.row == BASE and cell.key in todo}
    started = {key: remote.remote(settings, cell.key, todo[cell.key], force) for key, cell in bases.items()}
    waiting = {ref: bases[key] for key, ref in started.items()}
    for cell in cells:
        if cell.key in todo and cell.row != BASE:
            # A reference as an argument: Ray starts the cell when its base model's cell is over.
            ref = remote.remote(settings, cell.key, todo[cell.key], force, started.get(id(cell.workplace)))
            waiting[ref] = cell
    return _collect(waiting)


def _collect(waiting: dict[object, Cell]) -> Outcome:
    import ray

    done, elsewhere = 0, 0
    failed: dict[str, str] = {}
    while waiting:
        (ref,), _ = ray.wait(list(waiting))
        cell = waiting.pop(ref)
        try:
            one: Outcome = ray.get(ref)
        except ray.exceptions.RayError as error:
            cause = getattr(error, "cause", None)
            if isinstance(cause, UserError):
                raise cause from None
            failed[cell.name] = f"{type(error).__name__}: {str(error).strip().splitlines()[-1]}"
            continue
        done, elsewhere, failed = done + one.done, elsewhere + one.elsewhere, failed | one.failed
    return Outcome(done, elsewhere, failed)


def _run_cell(settings: str, key: str, estimate: float, force: bool, after: object = None) -> Outcome:
    """Runs one cell in a worker; `after` is what had to be over before."""
    from rich.console import Console

    from unlearnbench.cli.run import quiet_libraries
    from unlearnbench.grid import build_grid
    from unlearnbench.plugins import registry
    from unlearnbench.reporting import make_reporter
    from unlearnbench.runner import Runner
    from unlearnbench.tracking import Store

    quiet_libraries()
    config = RunConfig.model_validate(json.loads(settings))
    known = registry()
    (cell,) = [cell for cell in build_grid(config, known) if cell.key == key]
    metrics = [registered.item() for registered in known.metrics.values()]
    reporter = make_reporter(Console(), [estimate], True)
    return Runner(
        config,
        Store(config.results, config.tracking_uri, optuna_storage=config.optuna_storage),
        reporter,
        metrics,
        force,
    ).run([cell], {key: estimate})


def _environment() -> dict[str, str]:
    """What workers must know of this process's surroundings."""
    names = ("UNLEARNBENCH_CACHE", "UNLEARNBENCH_DATA_ROOT", "HF_HOME", "HF_HUB_OFFLINE", "OMP_NUM_THREADS")
    return {name: os.environ[name] for name in names if name in os.environ}
