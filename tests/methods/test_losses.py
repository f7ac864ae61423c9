"""Every built-in loss and its gradient, compared with the paper's equations written out in plain PyTorch."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from transformers import LlamaForCausalLM

from tests.conftest import tiny_llama
from unlearnbench.api import Method
from unlearnbench.contract.batch import PartName
from unlearnbench.engine.encoded import Encoded
from unlearnbench.engine.model import LanguageModel
from unlearnbench.engine.reference import Reference
from unlearnbench.engine.unlearning import TrainingSet, UnlearningStep
from unlearnbench.plugins import registry

FORGET = [Encoded((5, 9, 11, 40), 3), Encoded((6, 3, 8, 9, 41, 42), 4)]
GENERIC = [Encoded((5, 9, 11, 50), 3), Encoded((6, 3, 8, 9, 51), 4)]
RETAIN = [Encoded((7, 8, 60), 2), Encoded((9, 10, 11, 12, 61), 4), Encoded((3, 4, 62, 63), 2)]
PARTS: dict[PartName, list[Encoded]] = {"forget": FORGET, "generic": GENERIC, "retain": RETAIN}


def log_distributions(network: LlamaForCausalLM, rows: list[Encoded]) -> list[Tensor]:
    """Per example, ``[answer tokens, vocab]`` log-probabilities from a full, unpadded forward pass."""
    return [
        network(torch.tensor([row.ids])).logits[0, row.answer_start - 1 : len(row.ids) - 1].log_softmax(-1)
        for row in rows
    ]


def cross_entropy(network: LlamaForCausalLM, rows: list[Encoded]) -> Tensor:
    logits = [network(torch.tensor([r.ids])).logits[0, r.answer_start - 1 : len(r.ids) - 1] for r in rows]
    targets = torch.tensor([token for row in rows for token in row.answer])
    return torch.nn.functional.cross_entropy(torch.cat(logits), targets)


def answer_log_probability(network: LlamaForCausalLM, row: Encoded) -> Tensor:
    (distribution,) = log_distributions(network, [row])
    return sum(distribution[i, token] for i, token in enumerate(row.answer))  # type: ignore[return-value]


def kl(network: LlamaForCausalLM, base: LlamaForCausalLM, rows: list[Encoded]) -> Tensor:
    """Mean over answer tokens of KL(network || base), equation 4, by PyTorch's own function."""
    model = torch.cat(log_distributions(network, rows))
    reference = torch.cat(log_distributions(base, rows)).detach()
    return torch.nn.functional.kl_div(reference, model, log_target=True, reduction="batchmean")


def npo_rt(network: LlamaForCausalLM, base: LlamaForCausalLM) -> Tensor:
    """Zhang et al., equation 3: (2 / beta) E log(1 + (p / p_base)^beta), plus the retain loss."""
    beta, terms = 0.1, []
    for row in FORGET:
        ratio = (answer_log_probability(network, row) - answer_log_probability(base, row).detach()).exp()
        terms.append(2 / beta * torch.log1p(ratio**beta))
    return torch.stack(terms).mean() + cross_entropy(network, RETAIN)


EQUATIONS: dict[str, Callable[[LlamaForCausalLM, LlamaForCausalLM], Tensor]] = {
    "ga": lambda network, base: -cross_entropy(network, FORGET),
    "rl": lambda network, base: cross_entropy(network, GENERIC),
    "ga-kl": lambda network, base: -cross_entropy(network, FORGET) + kl(network, base, RETAIN),
    "ga-gd": lambda network, base: -cross_entropy(network, FORGET) + cross_entropy(network, RETAIN),
    "npo-rt": npo_rt,
    "spul": lambda network, base: (
        cross_entropy(network, GENERIC) + 0.5 * cross_entropy(network, RETAIN) + 0.1 * kl(network, base, RETAIN)
    ),
}


def make(name: str) -> Method:
    values = {"alpha": 0.5, "beta": 0.1} if name == "spul" else {}
    return registry().method(name).item(**values)


def training_set(method: Method, base: LlamaForCausalLM) -> TrainingSet:
    """The parts a method asks for, with references computed here in plain PyTorch."""
    references = {}
    for part, kind in method.references.items():
        rows = PARTS[part]
        starts = torch.tensor([0, *(len(row.answer) for row in rows)]).cumsum(0).numpy()
        with torch.no_grad():
            if kind == "distribution":
                values = torch.cat(log_distributions(base, rows)).numpy()
            else:
                values = torch.stack([answer_log_probability(base, row) for row in rows]).numpy()
        references[part] = Reference(kind, values, starts)
    return TrainingSet({part: PARTS[part] for part in method.uses}, references)


@pytest.mark.parametrize("budget", [4, 1000], ids=["several passes", "one pass"])
@pytest.mark.parametrize("name", sorted(EQUATIONS))
def test_loss_and_gradient_follow_the_equation(name: str, budget: int) -> None:
    network, twin, base = tiny_llama(seed=1), tiny_llama(seed=1), tiny_llama(seed=2)
    method = make(name)
    data = training_set(method, base)
    step = UnlearningStep(LanguageModel(network, pad=0), method, data, None, False, budget)

    loss = step(list(range(data.size)))
    expected = EQUATIONS[name](twin, base)
    expected.backward()

    assert loss == pytest.approx(float(expected.detach()), rel=1e-4)
    for (parameter, ours), theirs in zip(network.named_parameters(), twin.parameters(), strict=True):
        assert ours.grad is not None
        assert theirs.grad is not None
        assert torch.allclose(ours.grad, theirs.grad, rtol=1e-3, atol=1e-5), parameter


@pytest.mark.parametrize(("name", "direction"), [("ga", -1), ("ga-gd", -1), ("npo-rt", -1), ("rl", 1)])
def test_a_small_step_moves_the_forget_answers_in_the_right_direction(name: str, direction: int) -> None:
    network = tiny_llama(seed=1)
    method = make(name)
    data = training_set(method, tiny_llama(seed=1))
    rows = GENERIC if name == "rl" else FORGET
    before = sum(float(answer_log_probability(network, row).detach()) for row in rows)
    UnlearningStep(LanguageModel(network, pad=0), method, data, None, False, 1000)(list(range(data.size)))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter -= 1e-4 * parameter.grad
    after = sum(float(answer_log_probability(network, row).detach()) for row in rows)
    assert math.copysign(1, after - before) == direction


@pytest.mark.parametrize("name", sorted(EQUATIONS))
def test_step_without_one_part_has_the_terms_of_the_others(name: str) -> None:
    """Both sets are shuffled together, so a batch may have no forget examples, or nothing else."""
    method, base = make(name), tiny_llama(seed=2)
    data = training_set(method, base)
    step = UnlearningStep(LanguageModel(tiny_llama(seed=1), pad=0), method, data, None, False, 1000)
    forget, retain = list(range(data.forget_size)), list(range(data.forget_size, data.size))
    whole = float(EQUATIONS[name](tiny_llama(seed=1), base).detach())
    if "retain" in method.uses:
        assert step(forget) + step(retain) == pytest.approx(whole, rel=1e-4)
    else:
        assert not retain
        assert step(forget) == pytest.approx(whole, rel=1e-4)


def test_npo_stays_finite_if_the_plain_formula_overflows() -> None:
    from unlearnbench.contract.batch import Batch, Part

    logits = torch.tensor([[200.0, 0.0], [-200.0, 0.0]], requires_grad=True)
    part = Part(
        logits, torch.tensor([0, 0]), torch.tensor([0, 1]), 2, 2, 2,
        reference_log_probability=torch.tensor([-20_000.0, 0.0]),
    )  # fmt: skip
    empty = Part(torch.zeros(0, 2), torch.zeros(0, dtype=torch.long), torch.zeros(0, dtype=torch.long), 0, 0, 0)
    loss = make("npo-rt").loss(Batch({"forget": part, "retain": empty}))
    loss.backward()  # type: ignore[no-untyped-call]
    # (2 / b) mean(log(1 + exp(b r))) with r = 20000 and -200.
    assert float(loss.detach()) == pytest.approx(20 * (2000.0 + math.log1p(math.exp(-20))) / 2, rel=1e-5)
    assert torch.isfinite(logits.grad).all()


def test_kl_direction_can_be_reversed() -> None:
    network, base = tiny_llama(seed=1), tiny_llama(seed=2)
    method = registry().method("ga-kl").item(kl_direction="reference||model")
    data = TrainingSet({"retain": RETAIN}, {"retain": training_set(make("ga-kl"), base).references["retain"]})

    class OnlyKL:
        def loss(self, batch: object) -> Tensor:
            return batch.retain.kl_divergence(method.kl_direction)  # type: ignore[attr-defined]

    loss = UnlearningStep(LanguageModel(network, pad=0), OnlyKL(), data, None, False, 1000)([0, 1, 2])
    assert loss == pytest.approx(float(kl(base, network, RETAIN).detach()), rel=1e-4)
