"""Examples that a page shows before and after unlearning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class ExamplePreview:
    """One test example.

    Attributes:
        before, after: what the base model and the unlearned model answered.
    """

    split: str
    text: str
    answer: str
    before: str
    after: str


# Examples by entry key.
Examples = Mapping[str, Sequence[ExamplePreview]]
