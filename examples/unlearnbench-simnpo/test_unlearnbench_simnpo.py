"""SimNPO keeps the promises of a method, and its loss is the paper's."""

import pytest
import torch
from unlearnbench_simnpo import SimNPO

from unlearnbench.api import Batch, Part
from unlearnbench.testing import Check, method_checks


@pytest.mark.parametrize("check", method_checks(SimNPO), ids=str)
def test_promises(check: Check) -> None:
    check()


def test_loss_of_two_answers_of_different_length() -> None:
    """Against the equation, example by example."""
    torch.manual_seed(0)
    logits, answers = torch.randn(3, 5), torch.tensor([1, 2, 3])
    forget = Part(logits, answers, rows=torch.tensor([0, 0, 1]), examples=2, step_tokens=3, step_examples=2)
    retain = Part(logits[:1], answers[:1], rows=torch.tensor([0]), examples=1, step_tokens=1, step_examples=1)
    chosen = logits.log_softmax(-1)[torch.arange(3), answers]
    expected = 0.0
    for mean_log_probability in (chosen[:2].mean(), chosen[2]):
        expected -= 2 / 2.5 * torch.nn.functional.logsigmoid(-2.5 * mean_log_probability - 0.1) / 2
    expected -= chosen[0]
    found = SimNPO(beta=2.5, gamma=0.1).loss(Batch({"forget": forget, "retain": retain}))
    assert torch.isclose(found, expected)
