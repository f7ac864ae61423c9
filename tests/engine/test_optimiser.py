"""bfloat16 weights are updated as if they were float32."""

from __future__ import annotations

import pytest
import torch

from tests.conftest import tiny_llama
from tests.methods.test_losses import make, training_set
from unlearnbench.engine.model import LanguageModel
from unlearnbench.engine.optimiser import OptimiserName, SplitFloat32, joined, make_optimiser, split
from unlearnbench.engine.unlearning import UnlearningStep

NAMES: tuple[OptimiserName, ...] = ("adamw", "adamw-8bit", "paged-adamw-8bit")


def test_split_is_exact_and_its_first_half_is_the_nearest_bfloat16() -> None:
    draw = torch.Generator().manual_seed(0)
    value = torch.cat([torch.randn(1000, generator=draw) * 10.0**power for power in range(-20, 20, 3)])
    value = torch.cat([value, torch.tensor([0.0, -0.0, 1.0, -1.0])])
    rounded, rest = torch.empty_like(value, dtype=torch.bfloat16), torch.empty_like(value, dtype=torch.int16)
    split(value, rounded, rest)
    # Halfway between two numbers, torch takes the even one.
    assert torch.equal((rounded.float() - value).abs(), (value.bfloat16().float() - value).abs())
    assert torch.equal(joined(rounded, rest), value)


@pytest.mark.parametrize("name", NAMES)
def test_weights_equal_rounded_float32_weights(name: OptimiserName) -> None:
    """With the same gradients, bit for bit."""
    draw = torch.Generator().manual_seed(1)
    start = [(0.02 * torch.randn(shape, generator=draw)).bfloat16() for shape in ((80, 70), (3,))]
    whole = [torch.nn.Parameter(tensor.float()) for tensor in start]
    low = [torch.nn.Parameter(tensor.clone()) for tensor in start]
    optimisers = [make_optimiser(tensors, name, 1e-5, 0.01) for tensors in (whole, low)]
    assert isinstance(optimisers[1], SplitFloat32)
    for step in range(10):
        for ours, theirs in zip(low, whole, strict=True):
            ours.grad = torch.randn(ours.shape, generator=draw).bfloat16()
            theirs.grad = ours.grad.float()
        for optimiser in optimisers:
            optimiser.param_groups[0]["lr"] = 1e-5 * (10 - step)
            optimiser.step()
    for ours, theirs in zip(low, whole, strict=True):
        assert torch.equal(joined(ours, optimisers[1].state[ours]["rest"]), theirs)
        assert torch.equal((ours.float() - theirs).abs(), (theirs.bfloat16().float() - theirs).abs())
        assert ours.dtype == torch.bfloat16


@pytest.mark.parametrize("name", NAMES)
def test_ten_steps_at_a_small_learning_rate_match_float32(name: OptimiserName) -> None:
    """Plain AdamW loses most of the updates of bfloat16 weights; here only the gradients are in bfloat16."""
    moved = []
    for dtype in (torch.float32, torch.bfloat16):
        network = tiny_llama().bfloat16().to(dtype).train()
        weights = list(network.parameters())
        before = [weight.detach().float().clone() for weight in weights]
        data = training_set(make("ga-gd"), network)
        step = UnlearningStep(LanguageModel(network, 0), make("ga-gd"), data, None, False, 1000)
        optimiser = make_optimiser(weights, name, 1e-5, 0.0)
        for _ in range(10):
            optimiser.zero_grad()
            step(list(range(data.size)))
            optimiser.step()
        after = [joined(w, optimiser.state[w]["rest"]) if dtype == torch.bfloat16 else w.detach() for w in weights]
        moved.append(torch.cat([(new - old).flatten() for new, old in zip(after, before, strict=True)]))
    whole, low = moved
    assert float(torch.nn.functional.cosine_similarity(whole, low, dim=0)) > 0.95
    assert float(low.norm() / whole.norm()) == pytest.approx(1, abs=0.05)
    # Adam moves every weight that has a gradient.
    assert float((low != 0).float().mean()) > 0.9 * float((whole != 0).float().mean())


def test_weights_of_other_precisions_are_updated_directly() -> None:
    mixed = [torch.nn.Parameter(torch.ones(3)), torch.nn.Parameter(torch.ones(3, dtype=torch.bfloat16))]
    optimiser = make_optimiser(mixed, "adamw", 0.1, 0.0)
    for _ in range(2):
        for parameter in mixed:
            parameter.grad = torch.ones_like(parameter)
        optimiser.step()
    assert torch.equal(mixed[0].bfloat16(), mixed[1])
    assert mixed[0][0].item() == pytest.approx(0.8, abs=1e-4)
    assert isinstance(make_optimiser(mixed[:1], "adamw", 0.1, 0.0), torch.optim.AdamW)


def test_weights_without_a_gradient_do_not_change() -> None:
    weight = torch.nn.Parameter(torch.ones(3, dtype=torch.bfloat16))
    make_optimiser([weight], "adamw", 0.1, 0.1).step()
    assert torch.equal(weight, torch.ones(3, dtype=torch.bfloat16))
