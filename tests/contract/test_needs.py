"""What a method needs, from what it declares."""

from __future__ import annotations

from unlearnbench.api import Fixed, Method
from unlearnbench.contract.batch import Batch
from unlearnbench.contract.method import SoftPrompt
from unlearnbench.contract.needs import Needs, needs
from unlearnbench.plugins import registry


class Prompted(Method):
    name, title, description = "prompted", "Prompted", "Trains a prompt by what the base model computes."
    uses = ("forget", "retain")
    references = {"retain": "hidden_states", "forget": "log_probability"}
    tokens = Fixed(7)

    def soft_prompt(self) -> SoftPrompt:
        return SoftPrompt(self.tokens, None)

    def loss(self, batch: Batch) -> None:  # type: ignore[override]
        """Nothing is computed here."""


def test_values_in_use_decide() -> None:
    assert needs(Prompted()) == Needs(True, "hidden states, log-probabilities", "soft prompt", 7)
    assert needs(Prompted(tokens=3)).query_tokens == 3


def test_built_in_methods() -> None:
    found = {name: needs(registered.item()) for name, registered in registry().methods.items()}
    assert found["ga"] == Needs(False, "", "weights", 0)
    assert found["npo-rt"] == Needs(True, "log-probabilities", "weights", 0)
    assert found["ga-kl"] == Needs(True, "distributions", "weights", 0)
    assert found["spul"].query_tokens == registry().methods["spul"].item().soft_prompt().tokens  # type: ignore[union-attr]
    assert found["ga"].words == "nothing else; trains weights"
    assert needs(Prompted()).words == (
        "retain rows and the base model's hidden states, log-probabilities; trains soft prompt, 7 more tokens per query"
    )
