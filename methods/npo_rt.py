"""NPO+RT: negative preference optimisation with a retain loss (Zhang et al., 2024)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unlearnbench.api import Batch, Fixed, Method, hookimpl

if TYPE_CHECKING:
    from torch import Tensor


class NegativePreferenceRetain(Method):
    """L = -(2 / beta) E_F log sigmoid(-beta log(p / p_base)) + CE(R)."""

    name = "npo-rt"
    title = "NPO+RT"
    description = "Negative preference optimisation against the base model, plus the retain set's loss."
    source = "Zhang et al., 2024, equation 3"
    aliases = ("NPO",)
    uses = ("forget", "retain")
    references = {"forget": "log_probability"}

    epochs = Fixed(10)
    beta = Fixed(0.1)

    def loss(self, batch: Batch) -> Tensor:
        # logsigmoid stays finite if log(sigmoid(x)) underflows.
        from torch.nn.functional import logsigmoid

        forget, retain = batch.forget, batch.retain
        npo = -2 / self.beta * forget.mean_over_examples(logsigmoid(-self.beta * forget.log_ratio()))
        return npo + retain.cross_entropy()


@hookimpl
def register_methods() -> list[type[Method]]:
    return [NegativePreferenceRetain]
