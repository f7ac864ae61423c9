"""Who has the network, what a training leaves behind in it, and what it never touches."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.conftest import gpt2_tokenizer, tiny_gpt2, tiny_opt
from unlearnbench.cell import model_slot
from unlearnbench.cell.cell import Cell
from unlearnbench.cell.trainer import Trainer
from unlearnbench.config import build_config
from unlearnbench.contract.method import Method
from unlearnbench.contract.rows import BASE, VANILLA
from unlearnbench.contract.task import Example
from unlearnbench.engine.encoded import Encoded
from unlearnbench.engine.encoding import Encoder
from unlearnbench.engine.training import Progress
from unlearnbench.grid.grid import build_grid
from unlearnbench.models.loading import restore_weights
from unlearnbench.plugins import registry
from unlearnbench.storage.checksums import write_checksums


def cell_of(method: str, model: Path, data: Path, checkpointing: bool = False, curve_points: int = 8) -> Cell:
    file: dict[str, Any] = {
        "tasks": [f"path:{data}"],
        "models": [str(model)],
        "methods": [method],
        "tuning": {"trials": 0, "curve_points": curve_points},
        "model": {"gradient_checkpointing": checkpointing, "compute_dtype": "float32"},
        "base": {"kind": "full", "epochs": 1},
        "set": {method: {"epochs": 1, "learning_rate": 1e-3}},
    }
    (cell,) = [cell for cell in build_grid(build_config(file, {}), registry()) if cell.choice is not None]
    return cell


def prepared(method: str, model: Path, data: Path, **options: Any) -> tuple[Trainer, Method]:
    cell = cell_of(method, model, data, **options)
    assert cell.choice is not None
    return Trainer(cell.scenario), cell.choice.build({})


def settled(network: torch.nn.Module) -> bool:
    """Whether nothing of a training is left but its weights."""
    free = all(parameter.grad is None and not parameter.requires_grad for parameter in network.parameters())
    return free and not any(module.training for module in network.modules())


def state(network: torch.nn.Module) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in network.parameters()]


def silent(progress: Progress) -> None:
    """Does nothing after a step."""


def base_state(trainer: Trainer) -> list[torch.Tensor]:
    with trainer.slot.lent(BASE) as model:
        return state(model.network)


def same(first: list[torch.Tensor], second: list[torch.Tensor]) -> bool:
    return all(map(torch.equal, first, second))


@pytest.mark.parametrize("method", ["ga", "spul"])
def test_training_leaves_no_gradients_and_no_modes_behind(method: str, model_folder: Path, data_folder: Path) -> None:
    trainer, made = prepared(method, model_folder, data_folder)
    with trainer.unlearn(made, silent) as (model, _):
        assert settled(model.network), "before it is judged"
    network, before = model.network, base_state(trainer)

    def stop(progress: Progress) -> None:
        assert settled(network) == (method == "spul")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), trainer.unlearn(made, stop):
        pass
    assert settled(network)
    assert same(before, state(network)) == (method == "spul")
    assert same(before, base_state(trainer)), "put back after a training that failed"


def test_error_after_a_training_returns_the_network(model_folder: Path, data_folder: Path) -> None:
    trainer, made = prepared("ga", model_folder, data_folder)
    before = base_state(trainer)
    with pytest.raises(ZeroDivisionError), trainer.unlearn(made, silent):
        raise ZeroDivisionError
    assert same(before, base_state(trainer))


def test_soft_prompt_is_a_view_on_the_base_model(model_folder: Path, data_folder: Path, tmp_path: Path) -> None:
    trainer, made = prepared("spul", model_folder, data_folder)
    with trainer.slot.lent(BASE) as base:
        before = state(base.network)
    with trainer.unlearn(made, silent) as (prompted, _):
        assert prompted.prompt is not None
        assert base.prompt is None
        assert prompted.network is base.network
        trainer.slot.save(prompted, tmp_path / "adapter")
        expected = trainer.training_accuracies(prompted)
    with trainer.slot.lent(BASE) as again:
        assert again is base
        assert same(before, state(base.network))
    with trainer.slot.restored(made, tmp_path / "adapter") as restored:
        assert restored.prompt is not None
        assert torch.equal(restored.prompt, prompted.prompt)
        assert trainer.training_accuracies(restored) == expected


def test_weights_that_were_trained_are_put_back_bit_for_bit(
    model_folder: Path, data_folder: Path, tmp_path: Path
) -> None:
    trainer, made = prepared("ga", model_folder, data_folder)
    before = base_state(trainer)
    with trainer.unlearn(made, silent) as (model, _):
        trained = state(model.network)
        assert not same(before, trained)
        trainer.slot.save(model, tmp_path / "model")
    for _ in range(2):
        with trainer.slot.restored(made, tmp_path / "model") as model:
            assert same(trained, state(model.network))
        assert same(before, base_state(trainer))
    with trainer.slot.lent(VANILLA) as model:
        assert not same(before, state(model.network))
    assert same(before, base_state(trainer))


def test_weights_that_could_not_be_read_whole_are_read_again(
    model_folder: Path, data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer, made = prepared("ga", model_folder, data_folder)
    before = base_state(trainer)
    with trainer.unlearn(made, silent):
        pass

    def half(network: torch.nn.Module, folder: Path) -> None:
        restore_weights(network, folder)  # type: ignore[arg-type]
        next(network.parameters()).data.zero_()
        raise OSError("the disk does not answer")

    with monkeypatch.context() as patched:
        patched.setattr(model_slot, "restore_weights", half)
        with pytest.raises(OSError, match="the disk does not answer"), trainer.slot.lent(BASE):
            pass
    assert same(before, base_state(trainer))


def test_only_one_block_has_the_network(model_folder: Path, data_folder: Path, tmp_path: Path) -> None:
    trainer, made = prepared("ga", model_folder, data_folder)
    refused = "can't be lent before the block ends"
    with trainer.unlearn(made, silent) as (model, _):
        trained = state(model.network)
        blocks: tuple[AbstractContextManager[object], ...] = (
            trainer.slot.lent(BASE),
            trainer.slot.lent(VANILLA),
            trainer.slot.brought(None),
            trainer.slot.restored(made, tmp_path),
            trainer.unlearn(made, silent),
        )
        for block in blocks:
            with pytest.raises(RuntimeError, match=refused), block:
                pass
        assert same(trained, state(model.network))
    with trainer.slot.lent(BASE), pytest.raises(RuntimeError, match=refused), trainer.slot.lent(BASE):
        pass
    assert not same(trained, base_state(trainer)), "the refused blocks did not keep the network"


@pytest.mark.parametrize("known", [False, True])
def test_asking_for_the_base_models_accuracy_never_changes_the_model_that_was_trained(
    known: bool, model_folder: Path, data_folder: Path
) -> None:
    trainer, made = prepared("ga", model_folder, data_folder, curve_points=0)
    expected = trainer.base_accuracies() if known else None
    with trainer.unlearn(made, silent) as (model, _):
        trained = state(model.network)
        if known:
            assert trainer.base_accuracies() == expected
        else:
            with pytest.raises(RuntimeError, match="can't be lent"):
                trainer.base_accuracies()
        assert same(trained, state(model.network))


def test_predicting_leaves_the_modes_as_they_were(model_folder: Path, data_folder: Path) -> None:
    trainer, _ = prepared("ga", model_folder, data_folder)
    with trainer.slot.lent(BASE) as model:
        modules = list(model.network.modules())
        modules[2].training = True
        trainer.training_accuracies(model)
        assert [module.training for module in modules] == [module is modules[2] for module in modules]


@pytest.mark.parametrize(("method", "sees"), [("ga", False), ("rl", False), ("ga-gd", True)])
def test_retain_rows_are_encoded_for_methods_that_see_them(
    method: str, sees: bool, model_folder: Path, data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer, made = prepared(method, model_folder, data_folder)
    trainer.base_accuracies()  # judging reads rows of both sets, whatever the method sees
    encoded: set[str] = set()
    original = Encoder.encode

    def spy(self: Encoder, examples: Sequence[Example], *more: object, **options: object) -> list[Encoded]:
        encoded.update(example.prompt for example in examples)
        return original(self, examples, *more, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Encoder, "encode", spy)
    with trainer.unlearn(made, silent):
        pass
    splits = trainer.scenario.data.splits
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
    base = plain.slot.made(BASE)
    with plain.unlearn(made, silent) as (expected, _):
        pass
    trainer, made = prepared("spul", tmp_path / family, data_folder, checkpointing=True)
    # The base model is trained with dropout, which checkpointing draws otherwise: the same one for both.
    with trainer.slot.lent(BASE) as model:
        restore_weights(model.network, base.folder)
    with trainer.unlearn(made, silent) as (found, facts):
        pass
    assert expected.prompt is not None
    assert found.prompt is not None
    assert float((found.prompt - expected.prompt).norm() / expected.prompt.norm()) < 1e-5
    # GPT-2 keeps no cache under checkpointing; packed rows need none.
    assert facts.shared_prefix
    dropouts = [module.p for module in found.network.modules() if isinstance(module, torch.nn.Dropout)]
    assert max([*dropouts, getattr(found.network.config, "dropout", 0.0)]) == 0.1, "put back"


def test_kept_base_model_is_the_one_in_the_cache(model_folder: Path, data_folder: Path, tmp_path: Path) -> None:
    trainer, _ = prepared("spul", model_folder, data_folder)
    entry = trainer.slot.made(BASE).folder
    first = trainer.slot.keep_base(tmp_path)
    assert first is not None
    assert first == trainer.slot.keep_base(tmp_path)
    weights = load_file(entry / "model.safetensors")
    # Made again by another machine: the same key, other rounding.
    save_file({name: value * (1 + 1e-6) for name, value in weights.items()}, entry / "model.safetensors")
    write_checksums(entry)
    second = trainer.slot.keep_base(tmp_path)
    assert second is not None
    assert second != first
    assert second == trainer.slot.keep_base(tmp_path)
    for kept, scale in ((first, 1), (second, 1 + 1e-6)):
        found = load_file(kept / "model.safetensors")
        assert all(torch.equal(found[name], value * scale) for name, value in weights.items())
    # A copy that was damaged is made again.
    (second / "model.safetensors").unlink()
    assert trainer.slot.keep_base(tmp_path) == second
    assert (second / "model.safetensors").is_file()
