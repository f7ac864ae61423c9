"""A thing to be measured on the device, what it must show, and how several of them are done."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.engine import Results


class CannotDoError(Exception):
    """The step can't be done here; the message says why."""


@dataclass(frozen=True)
class Setup:
    """Where and how large.

    Attributes:
        device: as torch calls it, "cuda", "cuda:1" or "cpu".
        small: whether sizes are those that a CPU bears, which test the command and nothing else.
        output: folder of all that is written.
        data_root: folder of real data sets in hub layout, or None.
    """

    device: str
    small: bool
    output: Path
    data_root: Path | None = None

    @property
    def on_gpu(self) -> bool:
        """Whether the device is a CUDA GPU."""
        return torch.device(self.device).type == "cuda"


@dataclass(frozen=True)
class Finding:
    """What a step found.

    Attributes:
        passed: whether its criterion is met; None if it has none.
        values: plain JSON values.
    """

    passed: bool | None
    values: dict[str, Any]


@dataclass(frozen=True)
class Step:
    """One thing to be measured.

    Attributes:
        part: "right", "fast", "real" or "growth".
        criterion: when it passes; empty if it only measures.
    """

    part: str
    name: str
    criterion: str
    run: Callable[[], Finding]

    @property
    def key(self) -> str:
        """The step among all others."""
        return f"{self.part}: {self.name}"


def do_steps(steps: Sequence[Step], results: Results, device: str) -> dict[str, Finding]:
    """Does what has not been done; returns all findings there are, by the step's key.

    What could not be done before is tried last, so that it can't keep the rest from being measured.
    """
    found = {}
    for step in sorted(steps, key=lambda step: step.key in results.not_done):
        finding = results.attempt(step.key, lambda step=step: asdict(step.run()))
        if finding is not None:
            found[step.key] = Finding(**finding)
        elif not _answers(device):
            print(f"{device} computes nothing any more in this process: run the same command again.", flush=True)
            break
        _free(device)
    return found


def _answers(device: str) -> bool:
    """Whether the device still computes; after some errors a CUDA context is lost for the rest of the process."""
    try:
        return float(torch.ones(1, device=device)) == 1.0
    except RuntimeError:
        return False


def _free(device: str) -> None:
    gc.collect()
    if torch.device(device).type == "cuda":
        torch.cuda.empty_cache()
