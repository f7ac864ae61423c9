"""GA: gradient ascent on the forget set (Jang et al., 2023; SPUL, section 4.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unlearnbench.api import Batch, Method, hookimpl

if TYPE_CHECKING:
    from torch import Tensor


class GradientAscent(Method):
    """L = -CE(F), one epoch over the forget set."""

    name = "ga"
    title = "GA"
    description = "Gradient ascent: raise the loss of the forget set; the retain set is not seen."
    source = "Jang et al., 2023"
    aliases = ("GradAscent",)
    uses = ("forget",)

    def loss(self, batch: Batch) -> Tensor:
        return -batch.forget.cross_entropy()


@hookimpl
def register_methods() -> list[type[Method]]:
    return [GradientAscent]
