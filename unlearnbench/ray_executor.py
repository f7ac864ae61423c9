"""Runs cells on the workers of a Ray cluster that share the results folder and the cache.

Ray schedules; what a cell does, and that it is done once, is the runner's and the leases' business as on one machine.
A cell whose worker is lost is scheduled again and goes on from its finished trials and its last snapshot. Workers that
are left over train trials ahead of the worker that runs the cell.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from unlearnbench.config import RunConfig
from unlearnbench.errors import UserError
from unlearnbench.grid import Cell
from unlearnbench.rows import BASE
from unlearnbench.runner import Outcome, Runner

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
    run, assist = (ray.remote(num_gpus=gpus_per_cell, max_retries=RETRIES)(work) for work in (_run_cell, _help_cell))
    bases = {id(cell.workplace): cell for cell in cells if cell.row == BASE and cell.key in todo}
    started = {key: run.remote(settings, cell.key, todo[cell.key], force) for key, cell in bases.items()}
    waiting = {ref: bases[key] for key, ref in started.items()}
    leaders: dict[str, object] = {}
    for cell in cells:
        if cell.key in todo and cell.row != BASE:
            # References as arguments: Ray starts the cell when its base model's and its leader's cells are over.
            needed = [started.get(id(cell.workplace)), leaders.get(cell.leader.key) if cell.leader else None]
            ref = run.remote(settings, cell.key, todo[cell.key], force, *needed)
            waiting[ref] = cell
            leaders[cell.key] = ref
    slots = ray.cluster_resources().get("CPU", 1.0)
    if gpus_per_cell:
        slots = min(slots, ray.cluster_resources()["GPU"] / gpus_per_cell)
    helpers = Helpers(0 if force else int(slots), config.tuning.trials, lambda cell: assist.remote(settings, cell.key))
    return _collect(waiting, helpers)


@dataclass
class Helpers:
    """Workers without a cell of their own, which train trials of the cells that are left.

    Attributes:
        slots: cells that the cluster runs at once.
        trials: of a cell.
        start: schedules a helper for a cell and returns its reference.
        working: the cell of each helper.
    """

    slots: int
    trials: int
    start: Callable[[Cell], object]
    working: dict[object, Cell] = field(default_factory=dict)
    _nothing_left: set[str] = field(default_factory=set)

    def fill(self, cells: Collection[Cell]) -> None:
        """Starts helpers for as many slots as neither a cell nor a helper takes."""
        for _ in range(self.slots - len(cells) - len(self.working)):
            count = Counter(cell.key for cell in self.working.values())
            open_cells = [cell for cell in cells if self._can_be_helped(cell) and count[cell.key] < self.trials - 1]
            if not open_cells:
                return
            chosen = min(open_cells, key=lambda cell: count[cell.key])
            self.working[self.start(chosen)] = chosen

    def ended(self, ref: object) -> None:
        """A helper ends, well or not, when its cell has no trial left that nobody has begun."""
        self._nothing_left.add(self.working.pop(ref).key)

    def _can_be_helped(self, cell: Cell) -> bool:
        tuned = cell.choice is not None and bool(cell.choice.space) and cell.leader is None
        return tuned and cell.key not in self._nothing_left


def _collect(waiting: dict[object, Cell], helpers: Helpers) -> Outcome:
    import ray

    done, elsewhere = 0, 0
    failed: dict[str, str] = {}
    while waiting:
        helpers.fill(waiting.values())
        (ref,), _ = ray.wait([*waiting, *helpers.working])
        if ref in helpers.working:
            helpers.ended(ref)
            continue
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


def _run_cell(settings: str, key: str, estimate: float, force: bool, *after: object) -> Outcome:
    """Runs one cell in a worker; `after` is what had to be over before."""
    runner, cell = _runner(settings, key, estimate, force)
    return runner.run([cell], {key: estimate})


def _help_cell(settings: str, key: str) -> None:
    """Trains trials of a cell that another worker runs, as long as there are any that nobody has begun."""
    runner, cell = _runner(settings, key, 0.0, force=False)
    while runner.help([cell]):
        pass


def _runner(settings: str, key: str, estimate: float, force: bool) -> tuple[Runner, Cell]:
    from rich.console import Console

    from unlearnbench.cli.run import quiet_libraries
    from unlearnbench.grid import build_grid, follow
    from unlearnbench.plugins import registry
    from unlearnbench.reporting import make_reporter
    from unlearnbench.tracking import Store

    quiet_libraries()
    config = RunConfig.model_validate(json.loads(settings))
    known = registry()
    metrics = [registered.item() for registered in known.metrics.values()]
    store = Store(config.results, config.tracking_uri, optuna_storage=config.optuna_storage)
    cells = follow(build_grid(config, known), store.tuned_seeds())
    (cell,) = [cell for cell in cells if cell.key == key]
    return Runner(config, store, make_reporter(Console(), [estimate], True), metrics, force), cell


def _environment() -> dict[str, str]:
    """What workers must know of this process's surroundings."""
    names = ("UNLEARNBENCH_CACHE", "UNLEARNBENCH_DATA_ROOT", "HF_HOME", "HF_HUB_OFFLINE", "OMP_NUM_THREADS")
    return {name: os.environ[name] for name in names if name in os.environ}
