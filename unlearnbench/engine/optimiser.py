"""AdamW for weights in any precision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

OptimiserName = Literal["adamw", "adamw-8bit", "paged-adamw-8bit"]


def make_optimiser(
    parameters: Sequence[Tensor], name: OptimiserName, learning_rate: float, weight_decay: float
) -> torch.optim.Optimizer:
    """AdamW with float32 state, or bitsandbytes' with 8-bit state (paged: moved to the host when memory is short).

    Weights in bfloat16 are updated in float32 (`SplitFloat32`).
    """

    def make(tensors: list[Tensor]) -> torch.optim.Optimizer:
        if name == "adamw":
            return torch.optim.AdamW(tensors, lr=learning_rate, weight_decay=weight_decay, fused=True)
        from bitsandbytes.optim import AdamW8bit, PagedAdamW8bit

        kind = AdamW8bit if name == "adamw-8bit" else PagedAdamW8bit
        optimiser: torch.optim.Optimizer = kind(tensors, lr=learning_rate, weight_decay=weight_decay)
        return optimiser

    if any(parameter.dtype == torch.bfloat16 for parameter in parameters):
        return SplitFloat32(parameters, make, learning_rate)
    return make(list(parameters))


class SplitFloat32(torch.optim.Optimizer):
    """Updates bfloat16 weights as if they were float32.

    A bfloat16 number has 8 significant bits, so a step smaller than 1/512 of a weight is lost when it is rounded: at a
    learning rate of 1e-5 that is nearly every step. The float32 value is kept as the bfloat16 weight, which is this
    value rounded, and the 16 bits between the two: 2 bytes per weight instead of the 4 of a separate copy. Weights are
    joined, updated and split again one tensor at a time.

    Args:
        make: makes the optimiser of a list of float32 tensors; each weight gets its own.
    """

    def __init__(
        self, parameters: Sequence[Tensor], make: Callable[[list[Tensor]], torch.optim.Optimizer], learning_rate: float
    ) -> None:
        super().__init__(parameters, {"lr": learning_rate})
        self._parameters = list(parameters)
        self._values = [
            torch.nn.Parameter(torch.empty(0, device=parameter.device))
            if parameter.dtype == torch.bfloat16
            else parameter
            for parameter in parameters
        ]
        self._optimisers = [make([value]) for value in self._values]

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Updates every weight that has a gradient."""
        for parameter, value, optimiser in zip(self._parameters, self._values, self._optimisers, strict=True):
            if parameter.grad is None:
                continue
            optimiser.param_groups[0]["lr"] = self.param_groups[0]["lr"]
            if value is parameter:
                optimiser.step()
                continue
            state = self.state[parameter]
            if "rest" not in state:
                state["rest"] = torch.zeros_like(parameter, dtype=torch.int16)
            value.data, value.grad = joined(parameter, state["rest"]), parameter.grad.float()
            optimiser.step()
            split(value, parameter, state["rest"])
            value.data, value.grad = value.new_empty(0), None

    def state_dict(self) -> dict[str, Any]:
        """The state that `load_state_dict` restores; the learning rate comes from the schedule."""
        states = {
            index: {**self.state[parameter], "optimiser": optimiser.state_dict()["state"].get(0, {})}
            for index, (parameter, optimiser) in enumerate(zip(self._parameters, self._optimisers, strict=True))
        }
        return {"state": states, "param_groups": super().state_dict()["param_groups"]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the state of `state_dict`."""
        for index, saved in state_dict["state"].items():
            parameter, optimiser = self._parameters[index], self._optimisers[index]
            optimiser.load_state_dict({**optimiser.state_dict(), "state": {0: saved["optimiser"]}})
            if "rest" in saved:
                self.state[parameter]["rest"] = saved["rest"].to(parameter.device)


def joined(rounded: Tensor, rest: Tensor) -> Tensor:
    """The float32 value of a bfloat16 tensor and the difference of bits that `split` has computed."""
    bits = rounded.detach().view(torch.int16).int()
    return bits.bitwise_left_shift_(16).add_(rest).view(torch.float32)


def split(value: Tensor, rounded: Tensor, rest: Tensor) -> None:
    """Splits a float32 value into the nearest bfloat16 number and the difference of their bits (int16, exact)."""
    bits = value.detach().view(torch.int32)
    high = (bits + 2**15).bitwise_right_shift_(16)
    rounded.detach().view(torch.int16).copy_(high)
    rest.copy_(bits - high.bitwise_left_shift_(16))
