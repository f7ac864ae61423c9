"""SPUL: soft prompting for unlearning (Bhaila, Van and Wu, equations 2 to 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unlearnbench.api import Batch, Choice, Fixed, KLDirection, LogUniform, Method, SoftPrompt, hookimpl

if TYPE_CHECKING:
    from torch import Tensor


class SoftPromptingUnlearning(Method):
    """L = CE(F, generic label) + alpha CE(R) + beta KL(p || p_base) on R; the weights stay frozen."""

    name = "spul"
    title = "SPUL"
    description = "Soft prompting: learn virtual tokens that steer forget inputs to a generic answer; frozen weights."
    source = "Bhaila, Van and Wu, equations 2-5"
    uses = ("generic", "retain")
    references = {"retain": "distribution"}

    learning_rate = LogUniform(1e-5, 1e-1, default=1e-4)
    epochs = Fixed(10)
    max_grad_norm = Fixed(0.3)
    prompt_tokens = Choice((10, 20, 30, 40, 50), default=30)
    alpha = Choice((0.1, 0.5, 1.0), default=1.0)
    beta = Choice((0.0, 0.1, 0.5, 1.0), default=1.0)
    kl_direction: Fixed[KLDirection] = Fixed("model||reference", choices=("model||reference", "reference||model"))
    reparametrise = Fixed(True)
    mlp_hidden = Fixed(128)

    def soft_prompt(self) -> SoftPrompt:
        return SoftPrompt(self.prompt_tokens, hidden=self.mlp_hidden if self.reparametrise else None)

    def loss(self, batch: Batch) -> Tensor:
        forget = batch.generic.cross_entropy()
        retain = batch.retain.cross_entropy()
        kl = batch.retain.kl_divergence(self.kl_direction)
        return forget + self.alpha * retain + self.beta * kl


@hookimpl
def register_methods() -> list[type[Method]]:
    return [SoftPromptingUnlearning]
