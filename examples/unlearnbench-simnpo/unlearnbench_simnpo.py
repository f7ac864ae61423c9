"""SimNPO: negative preference optimisation without a reference model (Fan et al. 2024, equation 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unlearnbench.api import Batch, Choice, Fixed, Method, hookimpl

if TYPE_CHECKING:
    from torch import Tensor


class SimNPO(Method):
    """L = -(2/beta) E_F log sigmoid(-(beta/|y|) log p(y|x) - gamma) + CE(R)."""

    name = "simnpo"
    title = "SimNPO"
    description = "Preference optimisation on length-normalised forget probabilities, with a retain term; no reference."
    source = "Fan et al., Simplicity Prevails: Rethinking Negative Preference Optimization for LLM Unlearning"
    uses = ("forget", "retain")
    beta = Choice((0.75, 2.5, 4.5), default=2.5)
    gamma = Fixed(0.0)

    def loss(self, batch: Batch) -> Tensor:
        forget = batch.forget
        per_token = forget.log_probability / forget.answer_tokens
        preference = (-self.beta * per_token - self.gamma).sigmoid().log()
        return -(2 / self.beta) * forget.mean_over_examples(preference) + batch.retain.cross_entropy()


@hookimpl
def register_methods() -> list[type[Method]]:
    return [SimNPO]
