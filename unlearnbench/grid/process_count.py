"""How many processes a run gets: as many as its cores and its memory bear and its work is worth."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from unlearnbench.cell.cell import Cell
from unlearnbench.config import RunConfig
from unlearnbench.errors import UserError
from unlearnbench.grid.estimate import Estimator
from unlearnbench.models.loading import pick_device
from unlearnbench.models.memory import GIB, LIBRARIES_BYTES
from unlearnbench.models.threads import cores

# A process spends some ten seconds on imports and on loading before it helps.
WORTH_SECONDS = 20.0
# What a process takes of a GPU before it holds a model.
CUDA_CONTEXT_BYTES = GIB // 2
# A larger model keeps a GPU busy alone.
SHARES_GPU_BELOW = 500_000_000
# Share of what is free now that processes may fill by the estimate.
MEMORY_SHARE = 0.8


@dataclass(frozen=True)
class Machine:
    """What processes share.

    Attributes:
        memory: free bytes of the host.
        gpu_memory: free bytes of the GPU that cells run on; None on a CPU.
    """

    cores: int
    memory: int
    gpu_memory: int | None


@dataclass(frozen=True)
class Demand:
    """What a run's cells need.

    Attributes:
        seconds: estimate for all cells, one after the other.
        parts: cells and trials that can be worked on at once.
        threads: of the cell that has most.
        peak_bytes: of the heaviest cell, on the device that it runs on.
        parameters: of the largest model.
        spread: whether a model lies on several devices.
    """

    seconds: float
    parts: int
    threads: int
    peak_bytes: int
    parameters: int
    spread: bool = False


@dataclass(frozen=True)
class Planned:
    """How many processes run the cells.

    Attributes:
        most: that could have something to do.
        statement: the number and what is to be said about it, to follow an estimate; empty for one process.
    """

    count: int
    most: int
    statement: str


def plan_processes(
    config: RunConfig, cells: Sequence[Cell], seconds: Mapping[str, float], estimator: Estimator
) -> Planned:
    """The number of processes for the cells with estimated `seconds`, as asked for or as this machine bears them."""
    demand, machine = demand_of(config, cells, seconds, estimator), this_machine(config)
    count = count_processes(_possible(config.jobs), demand, machine)
    threads = f"{demand.threads} thread{'s' if demand.threads > 1 else ''}"
    statement = f", shared by {count} processes with {threads} each" if count > 1 else ""
    if count > max(1, by_memory(demand, machine)):
        needed = count * host_bytes(demand, machine) / GIB
        statement += f" (for which memory may be short: they need about {needed:.1f} GiB; --jobs auto takes what fits)"
    return Planned(count, max(1, demand.parts), statement)


def _possible(asked: int | str) -> int | str:
    """One process where others can't be handed a connection."""
    if os.name == "posix" or asked == 1:
        return asked
    if asked == "auto":
        return 1
    raise UserError(f"jobs is {asked}, but several processes need Linux or macOS: use --jobs 1.")


def count_processes(asked: int | str, demand: Demand, machine: Machine) -> int:
    """As many as asked for, or for "auto" as `machine` bears; never more than there are parts."""
    if isinstance(asked, int):
        return max(1, min(asked, demand.parts))
    worth = int(demand.seconds / WORTH_SECONDS)
    return max(1, min(worth, demand.parts, by_computing(demand, machine), by_memory(demand, machine)))


def demand_of(config: RunConfig, cells: Sequence[Cell], seconds: Mapping[str, float], estimator: Estimator) -> Demand:
    """What the cells with estimated `seconds` need."""
    todo = [cell for cell in cells if cell.key in seconds]
    return Demand(
        seconds=sum(seconds.values()),
        parts=sum(max(1, config.tuning.trials) if _is_tuned(cell) else 1 for cell in todo),
        threads=max((estimator.threads(cell) for cell in todo), default=1),
        peak_bytes=max((estimator.peak_bytes(cell) for cell in todo), default=0),
        parameters=max((estimator.parameters(cell) for cell in todo), default=0),
        spread=config.model.device_map is not None,
    )


def _is_tuned(cell: Cell) -> bool:
    return cell.choice is not None and bool(cell.choice.space) and cell.leader is None


def this_machine(config: RunConfig) -> Machine:
    """The machine's cores and free memory."""
    import psutil
    import torch

    device = pick_device(config.model)
    gpu = int(torch.cuda.mem_get_info(device)[0]) if device.type == "cuda" else None
    return Machine(cores(), int(psutil.virtual_memory().available), gpu)


def by_computing(demand: Demand, machine: Machine) -> int:
    """Processes that find cores for their threads, or that can share a GPU."""
    if machine.gpu_memory is None:
        return machine.cores // demand.threads
    # A process on a GPU keeps about one core busy with launching kernels.
    return machine.cores if demand.parameters < SHARES_GPU_BELOW and not demand.spread else 1


def by_memory(demand: Demand, machine: Machine) -> int:
    """Processes that find memory for the heaviest cell each."""
    count = int(MEMORY_SHARE * machine.memory / host_bytes(demand, machine))
    if machine.gpu_memory is not None:
        count = min(count, int(MEMORY_SHARE * machine.gpu_memory / (CUDA_CONTEXT_BYTES + demand.peak_bytes)))
    return count


def host_bytes(demand: Demand, machine: Machine) -> int:
    """What a process needs of the host's memory."""
    return LIBRARIES_BYTES + (demand.peak_bytes if machine.gpu_memory is None else 0)
