"""RMU: representation misdirection for unlearning (Li et al. 2024, section 4)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from unlearnbench.api import Batch, Choice, Fixed, LogUniform, Method, hookimpl

if TYPE_CHECKING:
    from torch import Tensor


class RMU(Method):
    """L = E_F |h - c u|^2 + alpha E_R |h - h_base|^2 over all input tokens, h the output of one layer.

    u is a fixed random direction, c its length. Only the feed-forward weights of that layer and the two before it are
    trained. The squares are means over the width of h, as in the authors' implementation.
    """

    name = "rmu"
    title = "RMU"
    description = (
        "Steers one layer's hidden states of forget examples to a random direction, and keeps those of others."
    )
    source = "Li et al., The WMDP Benchmark: Measuring and Reducing Malicious Use With Unlearning"
    uses = ("forget", "retain")
    references = {"retain": "hidden_states"}
    learning_rate = LogUniform(1e-5, 1e-2, default=1e-4)
    epochs = Fixed(5)
    depth = Fixed(0.25)
    steering = Choice((2.0, 6.5, 20.0), default=6.5)
    alpha = Choice((1.0, 10.0, 100.0), default=10.0)

    def hidden_layer(self, layers: int) -> int:
        return min(layers, max(1, round(self.depth * layers)))

    def trains(self, parameter: str, layers: int) -> bool:
        number = re.search(r"\.(\d+)\.", parameter)
        last = self.hidden_layer(layers)
        return number is not None and last - 3 <= int(number[1]) < last and bool(re.search(r"mlp|\.fc\d", parameter))

    def loss(self, batch: Batch) -> Tensor:
        forget, retain = batch.forget, batch.retain
        target = self.steering * _direction(forget.hidden_states)
        misdirected = (forget.hidden_states - target).square().mean(-1)
        kept = (retain.hidden_states - retain.reference_hidden_states).square().mean(-1)
        return forget.mean_over_input_tokens(misdirected) + self.alpha * retain.mean_over_input_tokens(kept)


def _direction(states: Tensor) -> Tensor:
    """A random unit vector ``[hidden]``, always the same for one width."""
    import torch

    drawn = torch.rand(states.shape[-1], generator=torch.Generator().manual_seed(0))
    return (drawn / drawn.norm()).to(states)


@hookimpl
def register_methods() -> list[type[Method]]:
    return [RMU]
