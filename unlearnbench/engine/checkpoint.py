"""Snapshots of a training run: a killed run resumes from the last one and reaches the same result."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from unlearnbench.storage.cache import discard, discard_damaged, filling
from unlearnbench.storage.checksums import is_intact


@dataclass
class Checkpoints:
    """Saves and restores the snapshots of one run.

    Attributes:
        folder: contains at most one complete snapshot; deleted once the run is over.
        seconds: time between two snapshots.
        earlier_seconds: training time, spent by killed processes, that the restored snapshot stands for.
        notes: anything else that belongs to the run, as JSON; saved and restored with it.
        kept: parameters of an earlier step that may be wanted again; saved and restored, too.
    """

    folder: Path
    seconds: float
    notes: dict[str, Any] = field(default_factory=dict)
    kept: list[Tensor] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._began = self._last = time.monotonic()
        self.earlier_seconds = 0.0

    @property
    def due(self) -> bool:
        """Whether it is time for the next snapshot."""
        return time.monotonic() - self._last >= self.seconds

    def save(self, losses: Sequence[float], parameters: Sequence[Tensor], optimiser: torch.optim.Optimizer) -> None:
        """Writes a snapshot after ``len(losses)`` steps, and deletes the previous one once this one is complete."""
        tensors = {f"parameter/{index}": parameter.detach() for index, parameter in enumerate(parameters)}
        tensors |= {f"kept/{index}": values for index, values in enumerate(self.kept)}
        plain: dict[str, Any] = {}
        for path, value in _leaves("state", optimiser.state_dict()["state"]):
            (tensors if isinstance(value, Tensor) else plain)[path] = value
        tensors["random.cpu"] = torch.get_rng_state()
        if torch.cuda.is_available():
            tensors["random.cuda"] = torch.cuda.get_rng_state()
        if torch.backends.mps.is_available():
            tensors["random.mps"] = torch.mps.get_rng_state()
        spent = self.earlier_seconds + time.monotonic() - self._began
        facts = {"losses": list(losses), "plain": plain, "seconds": spent, "notes": self.notes}
        with filling(self.folder / f"step-{len(losses)}") as scratch:
            save_file(
                {name: tensor.contiguous().clone() for name, tensor in tensors.items()}, scratch / "state.safetensors"
            )
            (scratch / "state.json").write_text(json.dumps(facts), encoding="utf-8")
        for other in self.folder.glob("step-*"):
            if other.name != f"step-{len(losses)}":
                discard(other)
        self._last = time.monotonic()

    def load(self, parameters: Sequence[Tensor], optimiser: torch.optim.Optimizer) -> list[float]:
        """Restores the newest snapshot; returns the losses up to it, or no losses if there is no snapshot."""
        snapshots = sorted(self.folder.glob("step-*"), key=lambda entry: int(entry.name.removeprefix("step-")))
        while snapshots and not is_intact(snapshots[-1]):
            discard_damaged(snapshots.pop())
        if not snapshots:
            return []
        tensors = load_file(snapshots[-1] / "state.safetensors")
        facts = json.loads((snapshots[-1] / "state.json").read_text(encoding="utf-8"))
        state: dict[int | str, Any] = {}
        for path, value in [*tensors.items(), *facts["plain"].items()]:
            kind, *names = path.split("/")
            if kind == "state":
                index, *inner, last = names
                nested = state.setdefault(int(index), {})
                for name in inner:
                    nested = nested.setdefault(name, {})
                nested[last] = value
        with torch.no_grad():
            for index, parameter in enumerate(parameters):
                parameter.copy_(tensors[f"parameter/{index}"])
        optimiser.load_state_dict({**optimiser.state_dict(), "state": state})
        torch.set_rng_state(tensors["random.cpu"])
        if "random.cuda" in tensors and torch.cuda.is_available():
            torch.cuda.set_rng_state(tensors["random.cuda"])
        if "random.mps" in tensors and torch.backends.mps.is_available():
            torch.mps.set_rng_state(tensors["random.mps"])
        self.earlier_seconds = facts["seconds"]
        self.notes.update(facts["notes"])
        self.kept[:] = [tensors[f"kept/{i}"] for i in range(len(parameters)) if f"kept/{i}" in tensors]
        return list(facts["losses"])

    def clear(self) -> None:
        """Deletes all snapshots."""
        discard(self.folder)


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Every value in nested dicts, with its path; optimisers nest their state differently."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _leaves(f"{path}/{name}", inner)
    else:
        yield path, value
