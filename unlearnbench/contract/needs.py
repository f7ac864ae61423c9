"""What a method needs beside the forget set and the model, from what it declares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from unlearnbench.contract.method import Method

VALUES = {"distribution": "distributions", "log_probability": "log-probabilities", "hidden_states": "hidden states"}


@dataclass(frozen=True)
class Needs:
    """What a method needs.

    Attributes:
        retain_rows: whether its loss reads retain examples.
        base_values: what it reads of the base model while it trains, as words; empty if nothing.
        trains: what it changes; a soft prompt leaves the weights as they are.
        query_tokens: tokens that its model takes in front of every query.
    """

    retain_rows: bool
    base_values: str
    trains: Literal["weights", "soft prompt"]
    query_tokens: int

    @property
    def words(self) -> str:
        """All of it in a few words."""
        read = ["retain rows"] if self.retain_rows else []
        read += [f"the base model's {self.base_values}"] if self.base_values else []
        more = f", {self.query_tokens} more tokens per query" if self.query_tokens else ""
        return f"{' and '.join(read) or 'nothing else'}; trains {self.trains}{more}"


def needs(method: Method) -> Needs:
    """What the method needs with the hyper-parameters that it has."""
    prompt = method.soft_prompt()
    return Needs(
        retain_rows="retain" in method.uses,
        base_values=", ".join(sorted({VALUES[kind] for kind in method.references.values()})),
        trains="weights" if prompt is None else "soft prompt",
        query_tokens=0 if prompt is None else prompt.tokens,
    )
