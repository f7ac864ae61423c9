"""Which values the first trials of a study take, before there are results to learn from."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from unlearnbench.config import Design
from unlearnbench.contract.hyperparameters import Choice, LogUniform

if TYPE_CHECKING:
    import optuna

Space = Mapping[str, Choice[Any] | LogUniform]
Values = dict[str, Any]

# TPE needs some results before it proposes better than chance; as many as Optuna's default.
INDEPENDENT_TRIALS = 10
# A point of the sequence tells little new if it is this near to the defaults (share of the range, in the logarithm).
NEAR = 0.1


def first_values(design: Design, space: Space, defaults: Values, trials: int, seed: int) -> list[Values]:
    """The values of those of `trials` trials that do not depend on the results of others, in order.

    The first are the defaults; they are the only ones if nothing is to be tuned.
    """
    count = min(trials, INDEPENDENT_TRIALS) if space else 1
    points = _spread(space, defaults) if design == "spread" else _random(space, seed)
    return [defaults, *(next(points) for _ in range(1, count))]


def _spread(space: Space, defaults: Values) -> Iterator[Values]:
    """Points that fill the space evenly, however many are taken: a Sobol sequence, the same for every seed.

    Each value on its own divides its range (logarithm) or list evenly: for a single learning rate these are van der
    Corput's points, 1/2, 3/4, 1/4, 3/8, ... of the range. Points next to the defaults are left out, and so are
    repetitions, which lists alone would bring, as long as there is anything new.

    Source: Sobol, USSR Comput. Math. Math. Phys. 7 (1967); directions of Joe and Kuo (2008), as in SciPy.
    """
    from scipy.stats import qmc

    sequence = qmc.Sobol(len(space), scramble=False).random_base2(8)
    points = [_at(space, point) for point in sequence[1:]]  # the first one is the lower corner of the range
    new: list[Values] = []
    for values in points:
        if values not in new and not _is_near(space, values, defaults):
            new.append(values)
    yield from new
    yield from points


def _at(space: Space, point: Any) -> Values:
    """The values at a point of the unit cube."""
    return {
        name: parameter.choices[int(share * len(parameter.choices))]
        if isinstance(parameter, Choice)
        else _readable(parameter.low * (parameter.high / parameter.low) ** share)
        for (name, parameter), share in zip(space.items(), map(float, point), strict=True)
    }


def _readable(value: float) -> float:
    """Six digits: the same number on every machine, and one that can be read."""
    return float(f"{value:.6g}")


def _is_near(space: Space, values: Values, defaults: Values) -> bool:
    return all(
        values[name] == defaults[name]
        if isinstance(parameter, Choice)
        else abs(math.log(values[name] / defaults[name])) < NEAR * math.log(parameter.high / parameter.low)
        for name, parameter in space.items()
    )


def _random(space: Space, seed: int) -> Iterator[Values]:
    """Independent draws, others for every seed."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    number = 1
    while True:
        study = optuna.create_study(sampler=sampler(seed, number))
        yield suggested(study.ask(), space)
        number += 1


def sampler(seed: int, number: int) -> optuna.samplers.TPESampler:
    """One for each trial, so that what it proposes depends on the trials before it and not on interruptions."""
    import optuna

    # NumPy, which draws for Optuna, takes seeds of 32 bits.
    own = (seed * 10_000 + number) % 2**32
    return optuna.samplers.TPESampler(seed=own, multivariate=True, n_startup_trials=INDEPENDENT_TRIALS)


def suggested(trial: optuna.Trial, space: Space) -> Values:
    """What Optuna proposes for a trial."""
    return {
        name: trial.suggest_categorical(name, parameter.choices)
        if isinstance(parameter, Choice)
        else trial.suggest_float(name, parameter.low, parameter.high, log=True)
        for name, parameter in space.items()
    }
