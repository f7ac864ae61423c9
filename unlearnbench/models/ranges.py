"""Learning rates for models that bring none: from the size of the model and from what is trained.

Small models take larger steps. For two models ranges were found by hand, on training splits: the tiny one of the
package (1.1 million weights) and SmolLM2-135M. Between and around them a straight line is drawn through both, in
logarithms. Above a billion weights nothing was measured here, and the ranges are those that methods declare, which are
meant for the models of the paper.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from unlearnbench.contract.hyperparameters import LogUniform

Trained = Literal["weights", "soft prompt"]
BaseTrained = Literal["LoRA", "all weights"]

LARGEST = 1e9
# Weights of the two models. The rates for weights are GA+GD's, so that the same loss gets the same search.
SIZES = (1.12e6, 134.5e6)
FOUND: Mapping[Trained, tuple[LogUniform, LogUniform]] = {
    "weights": (LogUniform(3e-4, 2e-3, default=1e-3), LogUniform(1e-5, 1e-4, default=3e-5)),
    "soft prompt": (LogUniform(5e-3, 5e-2, default=2e-2), LogUniform(1e-3, 1e-2, default=4e-3)),
}

# Learning rates of the base stage by number of weights: found by hand for the first two models; the last are those of
# the paper (LoRA) and of common practice (all weights) for a model of 7 billion.
BASE_SIZES = (*SIZES, 6.74e9)
BASE_RATES: Mapping[BaseTrained, tuple[float, float, float]] = {
    "LoRA": (5e-3, 2e-3, 1e-4),
    "all weights": (3e-4, 5e-5, 1e-5),
}


def base_rate_by_size(parameters: int, trained: BaseTrained) -> float:
    """The base stage's learning rate for a model of so many weights: on straight lines, in logarithms, level beyond.

    >>> base_rate_by_size(134_500_000, "LoRA")
    0.002
    """
    import numpy as np

    found = np.interp(math.log(parameters), np.log(BASE_SIZES), np.log(BASE_RATES[trained]))
    return float(f"{math.exp(found):.2g}")


def range_by_size(parameters: int, trained: Trained) -> LogUniform | None:
    """The learning rates for a model of so many weights, or None if it is too large for this rule.

    >>> range_by_size(134_500_000, "soft prompt").describe()
    '[0.001, 0.01], log'
    """
    if parameters > LARGEST:
        return None
    small, large = FOUND[trained]
    share = math.log(parameters / SIZES[0]) / math.log(SIZES[1] / SIZES[0])

    def between(first: float, second: float) -> float:
        return float(f"{first * (second / first) ** share:.2g}")

    return LogUniform(
        between(small.low, large.low), between(small.high, large.high), between(small.default, large.default)
    )
