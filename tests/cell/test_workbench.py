"""What a training leaves behind on the workbench, and what it never touches."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import gpt2_tokenizer, tiny_gpt2, tiny_opt
from unlearnbench.cell.cell import Cell
from unlearnbench.cell.workbench import Workbench
from unlearnbench.config import build_config
from unlearnbench.contract.method import Method
from unlearnbench.contract.task import Example
from unlearnbench.engine.encoded import Encoded
from unlearnbench.engine.encoding import Encoder
from unlearnbench.engine.training import Progress
from unlearnbench.grid.grid import build_grid
from unlearnbench.models.loading import restore_weights
from unlearnbench.plugins import registry


def cell_of(method: str, model: Path, data: Path, checkpointing: bool = False) -> Cell:
    file: dict[str, Any] = {
        "tasks": [f"path:{data}"],
        "models": [str(model)],
        "methods": [method],
        "tuning": {"trials": 0},
        "model": {"gradient_checkpointing": checkpointing, "compute_dtype": "float32"},
        "base": {"kind": "full", "epochs": 1},
        "set": {method: {"epochs": 1, "learning_rate": 1e-3}},
    }
    (cell,) = [cell for cell in build_grid(build_config(file, {}), registry()) if cell.choice is not None]
    return cell


def prepared(method: str, model: Path, data: Path, checkpointing: bool = False) -> tuple[Workbench, Method]:
    cell = cell_of(method, model, data, checkpointing)
    assert cell.choice is not None
    return Workbench(cell.workplace), cell.choice.build({})


def settled(network: torch.nn.Module) -> bool:
    """Whether nothing of a training is left but its weights."""
    free = all(parameter.grad is None and not parameter.requires_grad for parameter in network.parameters())
    return free and not any(module.training for module in network.modules())


@pytest.mark.parametrize("method", ["ga", "spul"])
def test_training_leaves_no_gradients_and_no_modes_behind(method: str, model_folder: Path, data_folder: Path) -> None:
    bench, made = prepared(method, model_folder, data_folder)
    model, _ = bench.unlearn(made, lambda progress: None)
    assert settled(model.network)

    def stop(progress: Progress) -> None:
        assert not settled(bench.weights.model.network) or method == "spul"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench.unlearn(made, stop)
    assert settled(bench.weights.model.network)


def test_soft_prompt_is_a_view_on_the_base_model(model_folder: Path, data_folder: Path) -> None:
    bench, made = prepared("spul", model_folder, data_folder)
    base, _ = bench.weights.base()
    before = [parameter.clone() for parameter in base.network.parameters()]
    prompted, _ = bench.unlearn(made, lambda progress: None)
    assert prompted.prompt is not None
    assert base.prompt is None
    assert bench.weights.base()[0] is base
    assert prompted.network is base.network
    assert all(map(torch.equal, before, base.network.parameters()))


def test_weights_that_were_trained_are_put_back(model_folder: Path, data_folder: Path) -> None:
    bench, made = prepared("ga", model_folder, data_folder)
    kept = bench.base_accuracies()
    network = bench.weights.base()[0].network
    before = [parameter.clone() for parameter in network.parameters()]
    bench.unlearn(made, lambda progress: None)
    trained = [parameter.clone() for parameter in network.parameters()]
    assert not all(map(torch.equal, before, trained))
    assert bench.base_accuracies() == kept
    assert all(map(torch.equal, trained, network.parameters())), "known values are not measured again"
    bench.weights.base()
    assert all(map(torch.equal, before, network.parameters()))


@pytest.mark.parametrize(("method", "sees"), [("ga", False), ("rl", False), ("ga-gd", True)])
def test_retain_rows_are_encoded_for_methods_that_see_them(
    method: str, sees: bool, model_folder: Path, data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, made = prepared(method, model_folder, data_folder)
    bench.weights.base()
    bench.base_accuracies()  # judging reads rows of both sets, whatever the method sees
    encoded: set[str] = set()
    original = Encoder.encode

    def spy(self: Encoder, examples: Sequence[Example], *more: object, **options: object) -> list[Encoded]:
        encoded.update(example.prompt for example in examples)
        return original(self, examples, *more, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Encoder, "encode", spy)
    bench.unlearn(made, lambda progress: None)
    splits = bench.workplace.data.splits
    assert {example.prompt for example in splits.train_forget} <= encoded
    assert bool(encoded & {example.prompt for example in splits.train_retain}) == sees


@pytest.mark.parametrize("family", ["opt", "gpt2"])
def test_frozen_weights_drop_nothing_out_under_gradient_checkpointing(
    family: str, tmp_path: Path, data_folder: Path
) -> None:
    """Checkpointing runs in training mode, where these models would drop a tenth of all activations."""
    tokenizer = gpt2_tokenizer()
    network = {"opt": tiny_opt, "gpt2": tiny_gpt2}[family](len(tokenizer))
    assert max(getattr(network.config, name, 0.0) for name in ("dropout", "resid_pdrop")) == 0.1
    network.save_pretrained(tmp_path / family)
    tokenizer.save_pretrained(tmp_path / family)
    plain, made = prepared("spul", tmp_path / family, data_folder)
    _, base = plain.weights.base()
    expected, _ = plain.unlearn(made, lambda progress: None)
    bench, made = prepared("spul", tmp_path / family, data_folder, checkpointing=True)
    # The base model is trained with dropout, which checkpointing draws otherwise: the same one for both.
    restore_weights(bench.weights.base()[0].network, base.folder)
    found, facts = bench.unlearn(made, lambda progress: None)
    assert expected.prompt is not None
    assert found.prompt is not None
    assert float((found.prompt - expected.prompt).norm() / expected.prompt.norm()) < 1e-5
    # GPT-2 keeps no cache under checkpointing; packed rows need none.
    assert facts.shared_prefix
    dropouts = [module.p for module in found.network.modules() if isinstance(module, torch.nn.Dropout)]
    assert max([*dropouts, getattr(found.network.config, "dropout", 0.0)]) == 0.1, "put back"
