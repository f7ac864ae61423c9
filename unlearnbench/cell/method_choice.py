"""A method as one model trains it: what the configuration fixes, and what is left to tuning."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from unlearnbench.contract.hyperparameters import Choice, LogUniform
from unlearnbench.contract.method import Method
from unlearnbench.plugins import Origin


@dataclass(frozen=True)
class MethodChoice:
    """A method with the values the configuration fixes and the ranges left to tuning, for one model.

    Attributes:
        fixed: values of all hyper-parameters that are not tuned.
        defaults: where the search starts.
        space: what is tuned.
        tunable: whether the method or the model declares anything to tune; the configuration may have fixed it.
        by_size: the range of learning rates, if it was taken from the model's size, for want of a better one.
    """

    method: type[Method]
    origin: Origin
    fixed: dict[str, bool | int | float | str]
    defaults: dict[str, bool | int | float | str]
    space: dict[str, Choice[Any] | LogUniform]
    tunable: bool
    by_size: str = ""

    def build(self, tuned: dict[str, Any]) -> Method:
        """The method with the fixed values and the given tuned ones."""
        return self.method(**{**self.fixed, **tuned})

    def with_values(self, tuned: dict[str, Any]) -> MethodChoice:
        """The method with these values and nothing left to tune."""
        return replace(self, fixed={**self.fixed, **tuned}, defaults={}, space={})
