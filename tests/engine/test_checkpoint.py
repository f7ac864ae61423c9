"""A training run that was killed resumes and reaches the same weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import PreTrainedModel

from tests.conftest import ARCHITECTURES
from unlearnbench.engine.checkpoint import Checkpoints
from unlearnbench.engine.optimiser import OptimiserName
from unlearnbench.engine.training import Optimisation, Progress, train


class StoppedError(Exception):
    """Stands for a killed process."""


def run(
    network: PreTrainedModel, checkpoints: Checkpoints | None, stop_at: int = 99, name: OptimiserName = "adamw"
) -> int:
    """Trains for two epochs of four steps; returns the number of steps made now."""
    ids = torch.arange(48).reshape(8, 6) + 5
    made = []

    def step(items: list[int]) -> float:
        loss = network(input_ids=ids[items], labels=ids[items]).loss
        loss.backward()
        return float(loss.detach())

    def on_step(progress: Progress) -> None:
        made.append(progress.step)
        if len(made) == stop_at:
            raise StoppedError

    settings = Optimisation(0.01, 2, 2, 0.1, 0.01, 1.0, name)
    train(network.parameters(), 8, step, settings, seed=3, on_step=on_step, checkpoints=checkpoints)
    return len(made)


def tiny_network(architecture: str, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    network: PreTrainedModel = ARCHITECTURES[architecture]().to(dtype)
    # OPT has dropout: its random numbers must go on, too.
    return network.train()


@pytest.mark.parametrize("architecture", ["llama", "opt"])
@pytest.mark.parametrize("name", ["adamw", "adamw-8bit"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_resumed_run_reaches_the_weights_of_an_uninterrupted_one(
    architecture: str, name: OptimiserName, dtype: torch.dtype, tmp_path: Path
) -> None:
    whole = tiny_network(architecture, dtype)
    assert run(whole, None, name=name) == 8
    for stop_at in (3, 2):
        with pytest.raises(StoppedError):
            run(tiny_network(architecture, dtype), Checkpoints(tmp_path / "c", 0.0), stop_at, name)
    last = Checkpoints(tmp_path / "c", 0.0)
    resumed = tiny_network(architecture, dtype)
    # The step whose callback stopped the run was not saved: 2 + 1 steps are.
    assert run(resumed, last, name=name) == 8 - 3
    for ours, expected in zip(resumed.parameters(), whole.parameters(), strict=True):
        assert torch.equal(ours, expected)
    assert last.earlier_seconds > 0
    last.clear()
    assert not (tmp_path / "c").exists()


def test_snapshots_are_saved_when_due_and_only_the_newest_is_kept(tmp_path: Path) -> None:
    run(tiny_network("llama"), Checkpoints(tmp_path / "never", 1000.0))
    assert not (tmp_path / "never").exists()
    run(tiny_network("llama"), Checkpoints(tmp_path / "always", 0.0))
    assert [entry.name for entry in (tmp_path / "always").iterdir()] == ["step-7"]


def test_incomplete_snapshot_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        run(tiny_network("llama"), Checkpoints(tmp_path / "c", 0.0), stop_at=3)
    # What a killed writer leaves behind.
    (tmp_path / "c" / ".step-9-abc").mkdir()
    (tmp_path / "c" / ".step-9-abc" / "state.json").write_text("{", encoding="utf-8")
    assert run(tiny_network("llama"), Checkpoints(tmp_path / "c", 1000.0)) == 6
