"""Names of models, and error messages if one can't be loaded."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from unlearnbench.config import ModelConfig
from unlearnbench.contract.model_spec import ModelSpec
from unlearnbench.errors import ModelError, UserError
from unlearnbench.models.loading import load_model, load_tokenizer, model_size, restore_weights
from unlearnbench.models.resolve import ResolvedModel, find_model, resolve
from unlearnbench.plugins import registry

MODELS = registry().models


def test_short_names_hub_ids_and_folders(model_folder: Path) -> None:
    assert find_model("opt-1.3b", MODELS).location == "facebook/opt-1.3b"
    spec = find_model("owner/name@abc123", MODELS)
    assert (spec.location, spec.revision) == ("owner/name", "abc123")
    local = find_model(str(model_folder), MODELS)
    assert (local.name, local.is_local) == ("tiny-llama", True)


@pytest.mark.parametrize("name", ["smollm", "./missing", "a/b/c"])
def test_unknown_names_are_refused(name: str) -> None:
    with pytest.raises(UserError, match="no model is called"):
        find_model(name, MODELS)


def test_folder_without_a_model_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no config.json"):
        find_model(str(tmp_path), MODELS)


def test_identity_of_a_folder_is_a_hash_of_its_files(model_folder: Path) -> None:
    spec = find_model(str(model_folder), MODELS)
    before = resolve(spec).identity
    (model_folder / "generation_config.json").write_text("{}", encoding="utf-8")
    assert resolve(spec).identity != before


def test_gated_model_says_how_to_get_access() -> None:
    """The tests run offline, where a gated model fails as it does without a login."""
    model = resolve(MODELS["llama-2-7b"].item)
    assert model.identity == "meta-llama/Llama-2-7b-hf@01c7f73d771dfac7d292323805ebc428287df4f9"
    with pytest.raises(UserError, match="Accept Meta's licence on .*Llama-2-7b-hf, then log in with `hf auth login`"):
        load_model(model, ModelConfig(device="cpu"))


def test_missing_model_is_reported_in_one_sentence_with_a_remedy() -> None:
    model = ResolvedModel(find_model("owner/name@abc", MODELS), "owner/name", "abc", "x")
    for load in (load_tokenizer, model_size):
        with pytest.raises(UserError, match="model owner/name .* can't be loaded .*name a model on this machine"):
            load(model)


def test_pickled_weights_are_refused(model_folder: Path) -> None:
    import torch

    (model_folder / "model.safetensors").unlink()
    torch.save({}, model_folder / "pytorch_model.bin")
    with pytest.raises(UserError, match="pytorch_model.bin is a pickle, which is not loaded; save the model with"):
        find_model(str(model_folder), MODELS)


def _adapter(folder: Path) -> None:
    (folder / "config.json").unlink()
    (folder / "adapter_config.json").write_text("{}", encoding="utf-8")


def _no_tokenizer(folder: Path) -> None:
    for file in folder.glob("tokenizer*"):
        file.unlink()


def _truncated(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])


def _lost_shard(folder: Path) -> None:
    index = {"metadata": {}, "weight_map": {"lm_head.weight": "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (_adapter, "has no config.json .it contains adapter_config.json, .*: it is an adapter; merge it"),
        (
            _no_tokenizer,
            "has no tokenizer .it contains config.json, generation_config.json, model.safe.*: save it",
        ),
        (
            lambda folder: (folder / "model.safetensors").unlink(),
            "no weights in safetensors .it contains config.json",
        ),
        (_truncated, "model.safetensors can't be read as safetensors .*: it is truncated or damaged"),
        (_lost_shard, "names model-00002-of-00002.safetensors, but the folder has no such file"),
    ],
)
def test_incomplete_folder_is_reported_with_its_contents(
    model_folder: Path, harm: Callable[[Path], None], message: str
) -> None:
    harm(model_folder)
    with pytest.raises(ModelError, match=message) as raised:
        find_model(str(model_folder), MODELS)
    assert "network" not in str(raised.value)


def test_missing_weights_are_not_initialised_at_random(model_folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    file = model_folder / "model.safetensors"
    weights = load_file(file)
    del weights["model.layers.0.mlp.down_proj.weight"]
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(ModelError, match="lack model.layers.0.mlp.down_proj.weight, which LlamaForCausalLM would fill"):
        load_model(resolve(find_model(str(model_folder), MODELS)), ModelConfig(device="cpu"))


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_broken_local_files_are_not_blamed_on_the_network(model_folder: Path, name: str) -> None:
    (model_folder / name).write_text("{", encoding="utf-8")
    resolved = resolve(find_model(str(model_folder), MODELS))
    with pytest.raises(ModelError, match=r"the model in .*tiny-llama can't be loaded: ") as raised:
        (load_tokenizer if name == "tokenizer.json" else model_size)(resolved)
    assert "network" not in str(raised.value)


def test_restored_weights_are_those_on_disk(model_folder: Path) -> None:
    import torch

    resolved = resolve(find_model(str(model_folder), MODELS))
    network, untouched = (load_model(resolved, ModelConfig(device="cpu")) for _ in range(2))
    assert model_size(resolved).parameters == sum(p.numel() for p in network.parameters())
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1.0)
    restore_weights(network, model_folder)
    for ours, theirs in zip(network.parameters(), untouched.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_restoring_from_another_model_is_refused(model_folder: Path, tmp_path: Path) -> None:
    from tests.conftest import tiny_gpt2

    tiny_gpt2().save_pretrained(tmp_path / "gpt2")
    network = load_model(resolve(find_model(str(model_folder), MODELS)), ModelConfig(device="cpu"))
    with pytest.raises(UserError, match="delete the folder"):
        restore_weights(network, tmp_path / "gpt2")


def test_tied_weights_are_restored(tmp_path: Path) -> None:
    import torch
    from transformers import GPT2LMHeadModel

    from tests.conftest import tiny_gpt2

    tiny_gpt2().save_pretrained(tmp_path)
    network = GPT2LMHeadModel.from_pretrained(tmp_path)
    with torch.no_grad():
        network.lm_head.weight.zero_()
    restore_weights(network, tmp_path)
    assert torch.equal(network.lm_head.weight, tiny_gpt2().lm_head.weight)


@pytest.mark.parametrize("place", ["../outside.safetensors", "/tmp/outside.safetensors", "inner/part.safetensors"])
def test_index_that_names_files_elsewhere_is_rejected(model_folder: Path, place: str) -> None:
    index = model_folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": {"lm_head.weight": place}}), encoding="utf-8")
    with pytest.raises(UserError, match="which is not in the model's folder"):
        resolve(find_model(str(model_folder), MODELS))
    for broken in ("{", "[]", '{"weight_map": 3}', '{"weight_map": {"a": 3}}', "[" * 100_000):
        index.write_text(broken, encoding="utf-8")
        with pytest.raises(UserError, match="can't be read as an index of weights"):
            resolve(find_model(str(model_folder), MODELS))


def test_adapter_that_names_weights_elsewhere_is_rejected(model_folder: Path, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    other = tmp_path / "elsewhere"
    shutil.copytree(model_folder, other)
    adapted = get_peft_model(AutoModelForCausalLM.from_pretrained(other), LoraConfig(target_modules=["q_proj"]))
    adapted.save_pretrained(tmp_path / "adapter")
    shutil.copytree(tmp_path / "adapter", model_folder, dirs_exist_ok=True)
    facts = json.loads((model_folder / "adapter_config.json").read_text(encoding="utf-8"))
    assert facts["base_model_name_or_path"] == str(other)
    with pytest.raises(UserError, match="names a base model elsewhere"):
        resolve(find_model(str(model_folder), MODELS))
    # A model on the hub is only seen once it has been loaded.
    unchecked = ResolvedModel(ModelSpec("m", "m", "m", "owner/m"), str(model_folder), None, "m")
    with pytest.raises(ModelError, match="m is an adapter on another model"):
        load_model(unchecked, ModelConfig(device="cpu"))


@pytest.mark.parametrize("text", ["[" * 100_000, None], ids=["nested", "negative width"])
def test_configuration_that_makes_no_model_is_one_sentence(model_folder: Path, text: str | None) -> None:
    file = model_folder / "config.json"
    facts = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(text or json.dumps({**facts, "vocab_size": -facts["vocab_size"]}), encoding="utf-8")
    with pytest.raises(ModelError, match="can't be loaded"):
        model_size(resolve(find_model(str(model_folder), MODELS)))
