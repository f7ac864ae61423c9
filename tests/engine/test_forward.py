"""Answer-only logits, packed rows and shared prompts, compared with plain forward passes and with PEFT's."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import PreTrainedModel

from tests.conftest import tiny_llama
from unlearnbench.contract.method import SoftPrompt
from unlearnbench.engine.encoded import Encoded
from unlearnbench.engine.forward import Inputs, answer_logits, collate, logits_and_states, shared_prompt
from unlearnbench.engine.model import LanguageModel
from unlearnbench.engine.packing import packs
from unlearnbench.engine.probe import can_share_prefix, enable_packing
from unlearnbench.engine.soft_prompt import TrainablePrompt, load_adapter, save_adapter

ROWS = [Encoded((5, 9, 11, 40, 7), 4), Encoded((6, 3, 8, 9, 10, 12, 90, 91), 6), Encoded((4, 77), 1)]


@pytest.fixture(params=["padded", "packed"])
def layout(request: pytest.FixtureRequest, network: PreTrainedModel) -> None:
    """Makes the network run padded rows, or packed ones."""
    assert request.param == "padded" or enable_packing(network)


both_layouts = pytest.mark.usefixtures("layout")


def plain_logits(network: PreTrainedModel, row: Encoded, embeddings: torch.Tensor | None = None) -> torch.Tensor:
    """Logits of one unpadded row at the answer positions, from a full forward pass."""
    words = network.get_input_embeddings()(torch.tensor([row.ids]))
    offset = 0
    if embeddings is not None:
        words, offset = torch.cat([embeddings[None], words], dim=1), len(embeddings)
    logits = network(inputs_embeds=words).logits[0]
    return logits[offset + row.answer_start - 1 : offset + len(row.ids) - 1]


def relative_error(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).detach().norm() / b.detach().norm())


def random_prompt(network: PreTrainedModel, tokens: int = 4) -> torch.Tensor:
    size = network.get_input_embeddings().weight.shape[1]
    return torch.randn(tokens, size, generator=torch.Generator().manual_seed(1))


@both_layouts
def test_batch_predictions_equal_those_of_single_rows(network: PreTrainedModel) -> None:
    inputs = collate(ROWS, pad=0, device=torch.device("cpu"))
    expected = torch.cat([plain_logits(network, row) for row in ROWS])
    assert inputs.answers.tolist() == [7, 90, 91, 77]
    assert relative_error(answer_logits(network, inputs), expected) < 1e-5


@pytest.mark.parametrize("shared", [True, False])
@both_layouts
def test_soft_prompt_predicts_as_embeddings_before_each_row_do(network: PreTrainedModel, shared: bool) -> None:
    prompt = random_prompt(network)
    inputs = collate(ROWS, pad=0, device=torch.device("cpu"))
    prompted = shared_prompt(network, prompt) if shared else prompt
    expected = torch.cat([plain_logits(network, row, prompt) for row in ROWS])
    assert relative_error(answer_logits(network, inputs, prompted), expected) < 1e-4


def final_norm(network: PreTrainedModel) -> torch.nn.Module:
    """The norm between the last layer and the LM head."""
    names = ("model.norm", "model.decoder.final_layer_norm", "transformer.ln_f")
    return next(module for name, module in network.named_modules() if name in names)


@both_layouts
@pytest.mark.parametrize("prompted", ["", "shared", "per row"])
@pytest.mark.parametrize("layer", [1, 2], ids=["first layer", "last layer"])
def test_hidden_states_are_those_of_single_rows(network: PreTrainedModel, prompted: str, layer: int) -> None:
    """Those of the last layer, too, are taken before the final norm."""
    prompt = random_prompt(network) if prompted else None
    inputs = collate(ROWS, pad=0, device=torch.device("cpu"))
    front = shared_prompt(network, prompt) if prompted == "shared" and prompt is not None else prompt
    logits, states = logits_and_states(network, inputs, front, layer)
    read_by_norm: list[torch.Tensor] = []
    final_norm(network).register_forward_pre_hook(lambda module, given: read_by_norm.append(given[0]))
    expected = []
    for row in ROWS:
        words = network.get_input_embeddings()(torch.tensor([row.ids[:-1]]))
        if prompt is not None:
            words = torch.cat([prompt[None], words], dim=1)
        first = network(inputs_embeds=words, output_hidden_states=True).hidden_states[1]
        hidden = first if layer == 1 else read_by_norm[-1]
        expected.append(hidden[0, 0 if prompt is None else len(prompt) :])
    assert states is not None
    assert states.shape[0] == sum(len(row.ids) - 1 for row in ROWS)
    assert relative_error(states, torch.cat(expected)) < 1e-4
    assert torch.equal(logits, answer_logits(network, inputs, front))


@both_layouts
def test_shared_prefix_has_the_gradient_of_a_prompt_in_every_row(network: PreTrainedModel) -> None:
    inputs = collate(ROWS, pad=0, device=torch.device("cpu"))
    shared, repeated = (random_prompt(network).requires_grad_() for _ in range(2))
    answer_logits(network, inputs, shared_prompt(network, shared)).logsumexp(-1).sum().backward()
    torch.cat([plain_logits(network, row, repeated) for row in ROWS]).logsumexp(-1).sum().backward()
    assert shared.grad is not None
    assert repeated.grad is not None
    assert relative_error(shared.grad, repeated.grad) < 1e-4


def test_lm_head_sees_only_predicting_positions() -> None:
    network = tiny_llama()
    seen: list[tuple[int, ...]] = []
    network.lm_head.register_forward_hook(lambda module, arguments, output: seen.append(tuple(output.shape)))
    answer_logits(network, collate(ROWS, pad=0, device=torch.device("cpu")))
    assert seen == [(4, 400)]


@both_layouts
def test_saved_adapter_predicts_the_same_in_plain_peft(network: PreTrainedModel, tmp_path: Path) -> None:
    prompt = random_prompt(network, tokens=6)
    save_adapter(prompt, network, "tiny", tmp_path)
    model = LanguageModel(network, pad=0, prompt=load_adapter(tmp_path))
    ours = torch.empty(4, 400)
    starts = [0, 1, 3]
    for indices, inputs, logits in model.predict(ROWS):
        for row, index in enumerate(indices):
            mine = logits[inputs.rows == row]
            ours[starts[index] : starts[index] + len(mine)] = mine

    peft_model = PeftModel.from_pretrained(network, tmp_path)
    theirs = torch.cat(
        [peft_model(input_ids=torch.tensor([row.ids])).logits[0, -len(row.answer) - 1 : -1] for row in ROWS]
    )
    assert relative_error(ours, theirs) < 1e-4
    assert ours.argmax(-1).tolist() == theirs.argmax(-1).tolist()


def test_prefix_is_not_shared_if_predictions_would_change() -> None:
    network = tiny_llama()
    prompt = random_prompt(network)
    assert can_share_prefix(network, prompt)
    # A model whose cache is ignored, as a state-space model's would be.
    original = network.model.forward
    network.model.forward = lambda *a, past_key_values=None, **k: original(*a, **k)  # type: ignore[method-assign]
    assert not can_share_prefix(network, prompt)


@pytest.mark.parametrize("hidden", [None, 16])
def test_trainable_prompt_is_seeded_and_counts_its_parameters(hidden: int | None) -> None:
    network = tiny_llama()
    first, second, other = (
        TrainablePrompt(network, SoftPrompt(5, hidden), torch.Generator().manual_seed(seed))() for seed in (3, 3, 4)
    )
    assert first.shape == (5, 32)
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(("size", "expected"), [(2048, 604_416), (4096, 1_192_192), (5120, 1_490_000)])
def test_reparametrised_prompt_has_the_papers_parameter_counts(size: int, expected: int) -> None:
    """604K, 1.19M and 1.49M at p = 30 (section 4.2), from the closed form of the embedding and three linear layers."""
    closed_form = 30 * size + (size * 128 + 128) + (128 * 128 + 128) + (128 * size + size)
    from unlearnbench.engine.soft_prompt import _prompt_encoder

    encoder = _prompt_encoder(30, size, 128, torch.Generator().manual_seed(0))
    assert sum(p.numel() for p in encoder.parameters()) == closed_form
    assert abs(closed_form - expected) / expected < 0.005


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@both_layouts
def test_shared_prefix_works_under_gradient_checkpointing(network: PreTrainedModel, dtype: torch.dtype) -> None:
    """Each layer runs twice, and must attend to the prefix exactly once each time."""
    network = network.to(dtype)
    for module in network.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if isinstance(getattr(module, "dropout", None), float):
            module.dropout = 0.0
    inputs = collate(ROWS, pad=0, device=torch.device("cpu"))
    gradients = []
    for checkpointed in (False, True):
        if checkpointed:
            network.gradient_checkpointing_enable({"use_reentrant": False})
        network.requires_grad_(False).train(checkpointed)
        prompt = random_prompt(network).requires_grad_()
        if checkpointed and network.config.model_type == "gpt2" and not packs(network):
            # GPT-2 drops any cache under checkpointing, which must be noticed. Packed rows need none.
            assert not can_share_prefix(network, prompt.detach().to(dtype))
            return
        logits = answer_logits(network, inputs, shared_prompt(network, prompt.to(dtype)))
        logits.float().logsumexp(-1).sum().backward()
        assert prompt.grad is not None
        gradients.append(prompt.grad)
        assert can_share_prefix(network, prompt.detach().to(dtype))
    assert float(gradients[1].norm()) > 0
    assert relative_error(gradients[1], gradients[0]) < (1e-5 if dtype == torch.float32 else 1e-2)


def test_evaluation_that_runs_out_of_memory_halves_its_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    import unlearnbench.engine.model as module

    model = LanguageModel(tiny_llama(), pad=0)
    whole = {
        i: logits[inputs.rows == row]
        for indices, inputs, logits in model.predict(ROWS)
        for row, i in enumerate(indices)
    }
    original = module.answer_logits

    def refuse(network: PreTrainedModel, inputs: Inputs, prompted: object) -> torch.Tensor:
        if len(inputs.ids) > 1:
            raise torch.OutOfMemoryError("too large")
        return original(network, inputs, prompted)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "answer_logits", refuse)
    halves = {tuple(indices): logits for indices, _, logits in model.predict(ROWS)}
    assert sorted(halves) == [(0,), (1,), (2,)]
    for (index,), logits in halves.items():
        assert torch.allclose(logits, whole[index], atol=1e-5)


@pytest.mark.parametrize("prompted", [False, True])
@pytest.mark.parametrize("what", ["predict", "states", "hidden_states"])
def test_every_pass_runs_in_the_requested_precision(what: str, prompted: bool) -> None:
    network = tiny_llama()
    prompt = random_prompt(network) if prompted else None
    model = LanguageModel(network, pad=0, compute_dtype=torch.bfloat16, tokens_per_pass=1, prompt=prompt)
    seen: list[tuple[bool, torch.dtype, bool]] = []

    def record(_: torch.nn.Module, __: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        seen.append((torch.is_autocast_enabled("cpu"), output.dtype, torch.is_inference_mode_enabled()))

    network.model.layers[1].self_attn.q_proj.register_forward_hook(record)
    if what == "states":
        model.states(ROWS)
    else:
        for _ in model.predict(ROWS) if what == "predict" else model.hidden_states(ROWS, 1):
            # Between two passes the caller's own modes hold.
            assert not torch.is_autocast_enabled("cpu")
            assert not torch.is_inference_mode_enabled()
    assert seen == [(True, torch.bfloat16, True)] * (len(ROWS) + prompted)


def test_predictions_in_low_precision_do_not_depend_on_how_rows_are_cut_into_passes() -> None:
    network = tiny_llama()
    found = []
    for budget in (1, 1000):
        model = LanguageModel(network, pad=0, compute_dtype=torch.bfloat16, tokens_per_pass=budget)
        rows = {
            i: logits[inputs.rows == row] for ids, inputs, logits in model.predict(ROWS) for row, i in enumerate(ids)
        }
        found.append(torch.cat([rows[i] for i in range(len(ROWS))]))
    assert relative_error(found[0].float(), found[1].float()) < 2e-3
