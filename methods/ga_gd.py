"""GA+GD: gradient ascent on the forget set, descent on the retain set (Yao et al., 2024)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unlearnbench.api import Batch, Method, hookimpl

if TYPE_CHECKING:
    from torch import Tensor


class GradientAscentDescent(Method):
    """L = -CE(F) + CE(R), one epoch."""

    name = "ga-gd"
    title = "GA+GD"
    description = "Gradient ascent on the forget set, gradient descent on the retain set."
    source = "Yao et al., 2024"
    aliases = ("GradDiff",)
    uses = ("forget", "retain")

    def loss(self, batch: Batch) -> Tensor:
        return -batch.forget.cross_entropy() + batch.retain.cross_entropy()


@hookimpl
def register_methods() -> list[type[Method]]:
    return [GradientAscentDescent]
