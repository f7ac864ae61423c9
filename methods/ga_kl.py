"""GA+KL: gradient ascent on the forget set, KL divergence to the base model on the retain set (Yao et al., 2024)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unlearnbench.api import Batch, Fixed, KLDirection, Method, hookimpl

if TYPE_CHECKING:
    from torch import Tensor


class GradientAscentKL(Method):
    """L = -CE(F) + KL(p || p_base) on R, one epoch."""

    name = "ga-kl"
    title = "GA+KL"
    description = "Gradient ascent on the forget set, KL divergence to the base model on the retain set."
    source = "Yao et al., 2024"
    uses = ("forget", "retain")
    references = {"retain": "distribution"}

    kl_direction: Fixed[KLDirection] = Fixed("model||reference", choices=("model||reference", "reference||model"))

    def loss(self, batch: Batch) -> Tensor:
        return -batch.forget.cross_entropy() + batch.retain.kl_divergence(self.kl_direction)


@hookimpl
def register_methods() -> list[type[Method]]:
    return [GradientAscentKL]
