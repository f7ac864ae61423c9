"""Every family of causal language models: the engine compared with plain transformers, and saving and restoring."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, PreTrainedModel

from tests.models.families import FAMILIES, NOT_PACKED, NOT_SHARED, SHARED_WITHIN_WINDOWS, VOCABULARY, tiny
from unlearnbench import models
from unlearnbench.cell.base import with_lora
from unlearnbench.config import BaseConfig, ModelConfig
from unlearnbench.contract.batch import Batch
from unlearnbench.contract.method import SoftPrompt
from unlearnbench.engine.encoded import Encoded
from unlearnbench.engine.model import LanguageModel
from unlearnbench.engine.packing import packs
from unlearnbench.engine.probe import can_share_prefix
from unlearnbench.engine.soft_prompt import TrainablePrompt, load_adapter, save_adapter
from unlearnbench.engine.unlearning import TrainingSet, UnlearningStep
from unlearnbench.errors import UserError
from unlearnbench.models.loading import load_model, restore_weights, save_weights
from unlearnbench.models.lora_targets import lora_targets
from unlearnbench.models.resolve import find_model, resolve

FAST = ("llama", "gpt_neox", "gemma3_text", "qwen3_moe")
FAMILIES_IN_TURN = [pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in FAMILIES]
# Virtual tokens that fit into the windows, and that do not.
SHORT, LONG = 3, 10
TOLERANCE = {"rtol": 1e-3, "atol": 1e-4}


class CrossEntropy:
    """CE(R), as the base stage minimises it."""

    def loss(self, batch: Batch) -> Tensor:
        return batch.retain.cross_entropy()


def rows(answers: Sequence[int] = (1, 2, 1, 3)) -> list[Encoded]:
    """Four rows of different length, some longer than the windows, with answers of some tokens."""
    generator = torch.Generator().manual_seed(1)
    lengths = (5, 9, 14, 20)
    return [
        Encoded(tuple(torch.randint(3, VOCABULARY, (length,), generator=generator).tolist()), length - answer)
        for length, answer in zip(lengths, answers, strict=True)
    ]


def plain_logits(network: PreTrainedModel, encoded: Encoded, prompt: Tensor | None = None) -> Tensor:
    """``[answer tokens, vocab]`` of transformers' own forward pass over one row, without padding or cache."""
    words = network.get_input_embeddings()(torch.tensor([encoded.ids]))
    front = 0 if prompt is None else len(prompt)
    if prompt is not None:
        words = torch.cat([prompt[None], words], dim=1)
    given = {"input_ids": torch.tensor([encoded.ids])} if prompt is None else {"inputs_embeds": words}
    logits: Tensor = network(**given, use_cache=False).logits[0]
    return logits[front + encoded.answer_start - 1 : front + len(encoded.ids) - 1]


def plain_loss(network: PreTrainedModel, encoded: Sequence[Encoded], prompt: Tensor | None = None) -> Tensor:
    """The mean cross-entropy over all answer tokens, row by row."""
    logits = torch.cat([plain_logits(network, row, prompt) for row in encoded])
    return cross_entropy(logits, torch.tensor([token for row in encoded for token in row.answer]))


def predictions(model: LanguageModel, encoded: Sequence[Encoded]) -> list[Tensor]:
    """Logits of each row's answer tokens."""
    found: list[Tensor] = [torch.empty(0)] * len(encoded)
    for indices, inputs, logits in model.predict(encoded):
        for place, index in enumerate(indices):
            found[index] = logits[inputs.rows == place]
    return found


@pytest.fixture(params=FAMILIES_IN_TURN)
def family(request: pytest.FixtureRequest) -> str:
    """The name of each family in turn."""
    return str(request.param)


@pytest.fixture
def folder(family: str, tmp_path: Path) -> Path:
    """A tiny model of the family, as it would come from the hub."""
    made = tmp_path / "model"
    tiny(family).save_pretrained(made)
    return with_tokenizer(made)


def with_tokenizer(folder: Path) -> Path:
    """The model's folder, with a tokenizer beside the weights."""
    shutil.copy(Path(models.__file__).parent / "tiny" / "tokenizer.json", folder)
    return folder


def loaded(folder: Path, **settings: object) -> PreTrainedModel:
    config = ModelConfig.model_validate({"device": "cpu", **settings})
    return load_model(resolve(find_model(str(with_tokenizer(folder)), {})), config)


def test_the_engine_computes_what_transformers_computes(family: str, folder: Path, tmp_path: Path) -> None:
    network = loaded(folder)
    assert packs(network) == (family not in NOT_PACKED)
    plain = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    if family == "rwkv":
        # In evaluation transformers divides RWKV's weights in place, and what it multiplies by them to make up for it.
        with torch.no_grad():
            divided = plain_logits(plain, rows()[0])
        plain = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, rescale_every=0).eval()
        torch.testing.assert_close(plain_logits(plain, rows()[0]), divided, **TOLERANCE)
    encoded = rows()
    # Two passes.
    model = LanguageModel(network, pad=0, tokens_per_pass=30)
    with torch.no_grad():
        for ours, row in zip(predictions(model, encoded), encoded, strict=True):
            torch.testing.assert_close(ours, plain_logits(plain, row), **TOLERANCE)

    check_weights_step(model, plain, encoded)
    check_soft_prompt(family, model, plain, encoded)
    check_saved_and_restored(model, plain, encoded, tmp_path)


def check_weights_step(model: LanguageModel, plain: PreTrainedModel, encoded: list[Encoded]) -> None:
    """One step's loss and the gradient of every weight."""
    step = UnlearningStep(model, CrossEntropy(), TrainingSet({"retain": encoded}), None, False, budget=30)
    loss = step(list(range(len(encoded))))
    expected = plain_loss(plain, encoded)
    expected.backward()
    assert loss == pytest.approx(float(expected.detach()), rel=1e-4)
    theirs = dict(plain.named_parameters())
    for name, parameter in model.network.named_parameters():
        gradient = theirs[name].grad
        assert (parameter.grad is None) == (gradient is None), name
        if gradient is not None:
            torch.testing.assert_close(parameter.grad, gradient, msg=name, **TOLERANCE)
    assert any(p.grad is not None and bool(p.grad.abs().max() > 0) for p in model.network.parameters())
    model.network.zero_grad(set_to_none=True)
    plain.zero_grad(set_to_none=True)


def check_soft_prompt(family: str, model: LanguageModel, plain: PreTrainedModel, encoded: list[Encoded]) -> None:
    """One step's loss and gradient of virtual tokens, shorter and longer than the windows, and their predictions."""
    model.network.requires_grad_(False)
    for tokens in (SHORT, LONG):
        trained = TrainablePrompt(model.network, SoftPrompt(tokens, hidden=None), torch.Generator().manual_seed(2))
        shared = can_share_prefix(model.network, trained().detach())
        assert shared == (family not in (NOT_SHARED if tokens == SHORT else NOT_SHARED | SHARED_WITHIN_WINDOWS))
        step = UnlearningStep(model, CrossEntropy(), TrainingSet({"retain": encoded}), trained, shared, budget=30)
        loss = step(list(range(len(encoded))))
        theirs = trained().detach().clone().requires_grad_()
        expected = plain_loss(plain, encoded, theirs)
        expected.backward()
        assert loss == pytest.approx(float(expected.detach()), rel=1e-4)
        (gradient,) = (parameter.grad for parameter in trained.parameters())
        torch.testing.assert_close(gradient, theirs.grad, **TOLERANCE)

        prompted = model.with_prompt(trained().detach(), shared)
        with torch.no_grad():
            for ours, row in zip(predictions(prompted, encoded), encoded, strict=True):
                torch.testing.assert_close(ours, plain_logits(plain, row, trained()), **TOLERANCE)
    plain.zero_grad(set_to_none=True)


def check_saved_and_restored(
    model: LanguageModel, plain: PreTrainedModel, encoded: list[Encoded], folder: Path
) -> None:
    """What was saved predicts the same put back into changed weights, and loaded anew; so does a saved soft prompt."""
    network = model.network
    save_weights(network, folder / "saved")
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(0.5)
        before = [plain_logits(plain, row) for row in encoded]
        restore_weights(network, folder / "saved")
        for ours, row in zip(predictions(model, encoded), before, strict=True):
            torch.testing.assert_close(ours, row, **TOLERANCE)
        again = LanguageModel(loaded(folder / "saved"), pad=0)
        for ours, row in zip(predictions(again, encoded), before, strict=True):
            torch.testing.assert_close(ours, row, **TOLERANCE)
    vectors = torch.randn(3, network.get_input_embeddings().weight.shape[1])
    save_adapter(vectors, network, str(folder), folder / "adapter")
    assert torch.equal(load_adapter(folder / "adapter"), vectors)


@pytest.mark.parametrize("kind", ["lora", "qlora"])
def test_lora_finds_its_modules_and_is_merged(family: str, folder: Path, tmp_path: Path, kind: str) -> None:
    from peft import PeftModel

    resolved = resolve(find_model(str(folder), {}))
    config = ModelConfig(device="cpu")
    if (family, kind) == ("mamba", "qlora"):
        with pytest.raises(UserError, match="MambaForCausalLM can't run with weights in 4 bits: use --set base.kind"):
            load_model(resolved, config, four_bit=True)
        return
    network = load_model(resolved, config, four_bit=kind == "qlora")
    adapted = with_lora(network, BaseConfig(kind=kind, dropout=0.0, rank=2, alpha=4))
    encoded = rows()
    model = LanguageModel(network, pad=0)
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    assert trained
    optimiser = torch.optim.Adam(trained, lr=0.02)
    losses = []
    for _ in range(4):
        step = UnlearningStep(model, CrossEntropy(), TrainingSet({"retain": encoded}), None, False, budget=100)
        losses.append(step(list(range(len(encoded)))))
        optimiser.step()
        optimiser.zero_grad()
    assert losses[-1] < losses[0]
    adapted.save_pretrained(tmp_path / "adapter")
    merged = PeftModel.from_pretrained(load_model(resolved, config), tmp_path / "adapter").merge_and_unload()
    save_weights(merged, tmp_path / "merged")
    base = LanguageModel(loaded(tmp_path / "merged"), pad=0)
    with torch.no_grad():
        changed = torch.cat(predictions(base, encoded))
        if kind == "lora":
            torch.testing.assert_close(changed, torch.cat(predictions(model, encoded)), **TOLERANCE)
        assert not torch.allclose(changed, torch.cat(predictions(LanguageModel(loaded(folder), pad=0), encoded)))


def test_docs_list_the_families_without_a_faster_path() -> None:
    page = (Path(__file__).parents[2] / "docs" / "engine.md").read_text(encoding="utf-8")
    for families, way in ((NOT_PACKED, "padded rows"), (NOT_SHARED, "a prompt in every row")):
        (line,) = (line for line in page.splitlines() if line.startswith(f"| {way} |"))
        # Qwen2 packs unless it has windows.
        assert set(re.findall(r"`(.+?)`", line)) == {name.partition(":")[0] for name in families} - {"qwen2"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("llama", ("q_proj", "v_proj")),
        ("opt", ("q_proj", "v_proj")),
        ("gpt2", ("c_attn",)),
        ("gpt_neox", ("query_key_value",)),
        ("phi3", ("qkv_proj",)),
        ("mpt", ("Wqkv",)),
        ("mamba", ("in_proj", "x_proj")),
        ("mamba2", ("in_proj",)),
    ],
)
def test_lora_goes_to_queries_and_values_whatever_they_are_called(name: str, expected: tuple[str, ...]) -> None:
    assert lora_targets(tiny(name)) == expected


def test_unsupported_gradient_checkpointing_is_reported(tmp_path: Path) -> None:
    tiny("gpt2").save_pretrained(tmp_path)
    loaded(tmp_path, gradient_checkpointing=True)
    tiny("openai-gpt").save_pretrained(tmp_path / "openai-gpt")
    with pytest.raises(UserError, match="OpenAIGPTLMHeadModel does not support it: leave it out"):
        loaded(tmp_path / "openai-gpt", gradient_checkpointing=True)
