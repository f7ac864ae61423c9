"""The settings that a study compares, each as a configuration of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from unlearnbench.config import RunConfig

ALPHAS = (0.1, 0.5, 1.0)
BETAS = (0.0, 0.1, 0.5, 1.0)
PROMPT_TOKENS = (10, 20, 30, 40, 50)
FORGET_FRACTIONS = (0.25, 0.5, 1.0)
DESIGNS, SCOPES, TRIALS = ("spread", "random"), ("seed", "grid"), (2, 4, 8)


@dataclass(frozen=True)
class Point:
    """One setting.

    Attributes:
        values: what distinguishes it from the study's other points, by the name of a column.
    """

    values: Mapping[str, float | str]
    config: RunConfig


def alpha_beta(config: RunConfig) -> list[Point]:
    """The weights of the two retain terms (the paper's table 4)."""
    return [_with(config, {"alpha": alpha, "beta": beta}) for alpha in ALPHAS for beta in BETAS]


def prompt_length(config: RunConfig) -> list[Point]:
    """The number of virtual tokens at alpha = beta = 1 (the paper's figure 2)."""
    fixed = {"alpha": 1.0, "beta": 1.0}
    return [_with(config, {"prompt_tokens": tokens}, fixed) for tokens in PROMPT_TOKENS]


def forget_size(config: RunConfig) -> list[Point]:
    """The share of the training forget examples that a method gets to see (the paper's table 5)."""
    return [
        Point({"forget_fraction": share}, config.model_copy(update={"forget_fraction": share}))
        for share in FORGET_FRACTIONS
    ]


def models(config: RunConfig) -> list[Point]:
    """The models of the configuration (the paper's table 6)."""
    return [Point({"model": name}, config.model_copy(update={"models": (name,)})) for name in config.models]


def tuning(config: RunConfig) -> list[Point]:
    """How values are searched: the design of the first trials, for each seed or once, with how many trials."""
    points = []
    for design, scope, trials in product(DESIGNS, SCOPES, TRIALS):
        settings = config.tuning.model_copy(update={"design": design, "scope": scope, "trials": trials})
        values: dict[str, float | str] = {"design": design, "scope": scope, "trials": trials}
        points.append(Point(values, config.model_copy(update={"tuning": settings})))
    return points


def _with(config: RunConfig, varied: Mapping[str, Any], fixed: Mapping[str, Any] | None = None) -> Point:
    """The configuration with hyper-parameters of all its methods set."""
    settings = {
        **config.set,
        **{name: {**config.set.get(name, {}), **(fixed or {}), **varied} for name in config.methods},
    }
    return Point(dict(varied), config.model_copy(update={"set": settings}))


@dataclass(frozen=True)
class Study:
    """A study: its points, and what its picture shows.

    Attributes:
        paper_table: number of the table in the paper that has the same, or None.
        needs: hyper-parameters that a method must have.
        fewest_seeds: without which it shows nothing.
    """

    name: str
    title: str
    points: Callable[[RunConfig], list[Point]]
    columns: Sequence[str]
    paper_table: int | None
    needs: Sequence[str] = ()
    fewest_seeds: int = 1


# It has no points, but looks into the models of one grid.
EMBEDDING = "embedding"
STUDIES = {
    study.name: study
    for study in (
        Study(
            "alpha-beta", "Weights of the retain terms", alpha_beta, ("alpha", "beta"), 4, needs=("alpha", "beta")
        ),
        Study(
            "prompt-length", "Number of virtual tokens", prompt_length, ("prompt_tokens",), None,
            needs=("alpha", "beta", "prompt_tokens"),
        ),
        Study("forget-size", "Size of the training forget set", forget_size, ("forget_fraction",), 5),
        Study("models", "Models", models, ("model",), 6),
        Study("tuning", "Tuning", tuning, ("design", "scope", "trials"), None, fewest_seeds=2),
    )
}  # fmt: skip
