"""Training steps: frozen weights, shared prompts, memory halving, and the loop itself."""

from __future__ import annotations

import functools
import math
import operator
from dataclasses import replace

import pytest
import torch
from transformers import PreTrainedModel

from tests.conftest import tiny_llama
from tests.methods.test_losses import FORGET, RETAIN, make, training_set
from unlearnbench.contract.batch import Batch
from unlearnbench.contract.method import SoftPrompt
from unlearnbench.engine.batching import packed_passes, padded_passes, shuffled_batches
from unlearnbench.engine.encoded import Encoded
from unlearnbench.engine.model import LanguageModel
from unlearnbench.engine.optimiser import OptimiserName
from unlearnbench.engine.probe import enable_packing
from unlearnbench.engine.reference import Reference
from unlearnbench.engine.soft_prompt import TrainablePrompt
from unlearnbench.engine.training import DivergedError, Optimisation, Progress, train
from unlearnbench.engine.unlearning import TrainingSet, UnlearningStep

SETTINGS = Optimisation(1e-2, epochs=3, batch_size=2, warmup_ratio=0.1, weight_decay=0.0, max_grad_norm=1.0)


def prompt_step(network: PreTrainedModel, shared: bool, budget: int = 1000) -> UnlearningStep:
    network.requires_grad_(False)
    prompt = TrainablePrompt(network, SoftPrompt(4, 16), torch.Generator().manual_seed(0))
    data = training_set(make("spul"), tiny_llama(seed=2))
    return UnlearningStep(LanguageModel(network, pad=0), make("spul"), data, prompt, shared, budget)


def test_soft_prompt_training_leaves_every_weight_bit_identical() -> None:
    network = tiny_llama(seed=1)
    before = {name: parameter.clone() for name, parameter in network.named_parameters()}
    step = prompt_step(network, shared=True)
    assert step.prompt is not None
    prompt_before = step.prompt().detach().clone()
    train(step.prompt.parameters(), step.data.size, step, SETTINGS, 0, lambda progress: None)
    assert not torch.equal(step.prompt(), prompt_before)
    for name, parameter in network.named_parameters():
        assert torch.equal(parameter, before[name]), name
        assert parameter.grad is None, name


@pytest.mark.parametrize("budget", [8, 1000], ids=["several passes", "one pass"])
def test_shared_prompt_has_the_loss_and_gradient_of_a_prompt_per_row(network: PreTrainedModel, budget: int) -> None:
    gradients, losses = [], []
    for shared in (True, False):
        step = prompt_step(network, shared, budget)
        losses.append(step(list(range(step.data.size))))
        assert step.prompt is not None
        gradients.append(torch.cat([p.grad.flatten() for p in step.prompt.parameters()]))
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert float((gradients[0] - gradients[1]).norm() / gradients[1].norm()) < 1e-4


@pytest.mark.parametrize("shared", [True, False])
def test_passes_with_a_soft_prompt_stay_within_the_budget(shared: bool) -> None:
    network = tiny_llama(seed=1)
    assert enable_packing(network)
    step = prompt_step(network, shared, budget=20)
    tokens: list[int] = []
    network.model.layers[0].register_forward_pre_hook(lambda module, given: tokens.append(given[0].shape[1]))
    step(list(range(step.data.size)))
    longest = max(len(row.ids) - 1 for rows in step.data.parts.values() for row in rows)
    assert longest + 4 <= 20
    assert max(tokens) <= 20
    tokens.clear()
    prompted = LanguageModel(network, pad=0, tokens_per_pass=20).with_prompt(torch.zeros(4, 32), shared)
    assert list(prompted.predict(step.data.parts["retain"]))
    assert max(tokens) <= 20


class Steering:
    """Pulls hidden states of forget examples to 1, and keeps those of retain examples at the reference."""

    def loss(self, batch: Batch) -> torch.Tensor:
        forget, retain = batch.forget, batch.retain
        assert forget.hidden_states is not None
        assert retain.hidden_states is not None
        pulled = (forget.hidden_states - 1).square().sum(-1)
        held = (retain.hidden_states - retain.reference_hidden_states).square().sum(-1)
        return forget.mean_over_input_tokens(pulled) + 2 * retain.mean_over_input_tokens(held)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("budget", [4, 1000], ids=["several passes", "one pass"])
def test_loss_on_hidden_states_has_the_gradient_of_plain_pytorch(budget: int, packed: bool) -> None:
    network, twin, base = tiny_llama(seed=1), tiny_llama(seed=1), tiny_llama(seed=2)
    assert not packed or enable_packing(network)

    def states(model: PreTrainedModel, rows: list[Encoded]) -> torch.Tensor:
        found = [model(torch.tensor([row.ids[:-1]]), output_hidden_states=True).hidden_states[1][0] for row in rows]
        return torch.cat(found)

    starts = torch.tensor([0, *(len(row.ids) - 1 for row in RETAIN)]).cumsum(0).numpy()
    kept = Reference("hidden_states", states(base, RETAIN).detach().numpy(), starts)
    data = TrainingSet({"forget": FORGET, "retain": RETAIN}, {"retain": kept})
    step = UnlearningStep(LanguageModel(network, pad=0), Steering(), data, None, False, budget, layer=1)
    loss = step(list(range(data.size)))

    pulled = (states(twin, FORGET) - 1).square().sum(-1).mean()
    expected = pulled + 2 * (states(twin, RETAIN) - states(base, RETAIN).detach()).square().sum(-1).mean()
    expected.backward()
    assert loss == pytest.approx(float(expected.detach()), rel=1e-4)
    for (name, ours), theirs in zip(network.named_parameters(), twin.parameters(), strict=True):
        if theirs.grad is not None:
            assert torch.allclose(ours.grad, theirs.grad, rtol=1e-3, atol=1e-5), name
        else:
            assert ours.grad is None or not ours.grad.any(), name


def test_running_out_of_memory_halves_the_pass_and_keeps_the_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    import unlearnbench.engine.unlearning as module

    whole = tiny_llama(seed=1)
    data = training_set(make("ga-gd"), whole)
    UnlearningStep(LanguageModel(whole, pad=0), make("ga-gd"), data, None, False, 1000)(list(range(data.size)))

    original = module.logits_and_states
    monkeypatch.setattr(module, "logits_and_states", lambda *a: _refuse_large(*a, original=original))
    halved = tiny_llama(seed=1)
    step = UnlearningStep(LanguageModel(halved, pad=0), make("ga-gd"), data, None, False, 64)
    step(list(range(data.size)))
    assert step.budget < 64
    for ours, theirs in zip(halved.parameters(), whole.parameters(), strict=True):
        assert torch.allclose(ours.grad, theirs.grad, rtol=1e-4, atol=1e-6)


def _refuse_large(network: PreTrainedModel, inputs: object, *rest: object, original: object) -> torch.Tensor:
    if inputs.ids.numel() > 8:  # type: ignore[attr-defined]
        raise torch.OutOfMemoryError("too large")
    return original(network, inputs, *rest)  # type: ignore[operator, no-any-return]


def test_loop_is_adamw_with_warmup_and_cosine() -> None:
    """The same steps by hand: torch's AdamW, a linear warm-up and half a cosine, gradients clipped to norm 1."""
    weight, twin = (torch.nn.Parameter(torch.tensor([3.0, -2.0])) for _ in range(2))
    seen: list[Progress] = []

    def step(items: list[int]) -> float:
        loss = (weight**2).sum() * len(items)
        loss.backward()  # type: ignore[no-untyped-call]
        return float(loss.detach())

    train([weight], 4, step, SETTINGS, 0, seen.append)
    optimiser = torch.optim.AdamW([twin], lr=1e-2, weight_decay=0.0)
    for index in range(6):
        optimiser.param_groups[0]["lr"] = 1e-2 * (
            1.0 if index == 0 else 0.5 * (1 + math.cos(math.pi * (index - 1) / 5))
        )
        optimiser.zero_grad()
        ((twin**2).sum() * 2).backward()
        torch.nn.utils.clip_grad_norm_([twin], 1.0)
        optimiser.step()
    assert torch.allclose(weight, twin, atol=1e-6)
    assert [(p.step, p.steps, p.epoch) for p in seen] == [
        (1, 6, 0),
        (2, 6, 0),
        (3, 6, 1),
        (4, 6, 1),
        (5, 6, 2),
        (6, 6, 2),
    ]


def test_loss_that_is_not_finite_stops_the_training() -> None:
    weight = torch.nn.Parameter(torch.ones(1))

    def step(items: list[int]) -> float:
        weight.grad = torch.full((1,), math.nan)
        return math.nan

    with pytest.raises(DivergedError, match="step 1 of 6"):
        train([weight], 4, step, SETTINGS, 0, lambda progress: None)


def test_items_are_forget_then_retain_and_reach_every_part() -> None:
    data = TrainingSet({"forget": FORGET, "generic": FORGET, "retain": RETAIN})
    assert (data.forget_size, data.size) == (2, 5)
    assert data.select([1, 3]) == [("forget", 1), ("generic", 1), ("retain", 1)]


def test_every_item_is_seen_once_per_epoch_in_seeded_order() -> None:
    first, second = (shuffled_batches(10, 4, torch.Generator().manual_seed(5)) for _ in range(2))
    assert first == second
    assert [len(batch) for batch in first] == [4, 4, 2]
    assert sorted(functools.reduce(operator.iadd, first, [])) == list(range(10))


def test_padded_passes_respect_the_budget_and_cover_everything() -> None:
    lengths = [5, 50, 7, 7, 30, 6]
    cut = list(padded_passes(lengths, budget=21))
    assert sorted(functools.reduce(operator.iadd, cut, [])) == list(range(6))
    for group in cut:
        assert len(group) == 1 or max(lengths[i] for i in group) * len(group) <= 21
    assert cut[0] == [0, 5, 2]


def test_packed_passes_respect_the_budget_and_are_of_nearly_equal_size() -> None:
    lengths = [5, 50, 7, 7, 30, 6, 9, 8, 10, 12]
    cut = list(packed_passes(lengths, budget=40))
    assert sorted(functools.reduce(operator.iadd, cut, [])) == list(range(10))
    assert [sum(lengths[i] for i in group) for group in cut] == [33, 31, 30, 50]
    assert list(packed_passes([3, 3, 3, 3], budget=8)) == [[0, 1], [2, 3]]
    assert list(packed_passes([3, 3, 3, 3], budget=11)) == [[0, 1], [2, 3]], "not three rows and one"


@pytest.mark.parametrize("optimiser", ["adamw-8bit", "paged-adamw-8bit"])
def test_eight_bit_optimisers_step_as_adamw_does(optimiser: OptimiserName) -> None:
    pytest.importorskip("bitsandbytes")
    target = torch.randn(5000, generator=torch.Generator().manual_seed(0))
    trained = {}
    for name in ("adamw", optimiser):
        weight = torch.nn.Parameter(torch.zeros(5000))

        def step(items: list[int], weight: torch.nn.Parameter = weight) -> float:
            loss = ((weight - target) ** 2).sum()
            loss.backward()  # type: ignore[no-untyped-call]
            return float(loss.detach())

        settings = replace(SETTINGS, optimiser=name, learning_rate=0.1, weight_decay=0.1)
        train([weight], 4, step, settings, 0, lambda progress: None)
        trained[name] = weight.detach()
    difference = (trained[optimiser] - trained["adamw"]).norm() / trained["adamw"].norm()
    # Eight bits of the moments cost some of the step; another rule would be far off.
    assert 0 < float(difference) < 0.05
