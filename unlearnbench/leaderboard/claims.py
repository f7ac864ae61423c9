"""What tables say beyond the single results, as a leaderboard file holds it: means, intervals, and tests of methods."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, FiniteFloat

from unlearnbench.identity.ids import ZERO, ForgetTarget
from unlearnbench.leaderboard.frozen import Frozen

Share = Annotated[FiniteFloat, Field(ge=0, le=1)]


class MeanClaim(Frozen):
    """A row's metric: mean over seeds with its 95 % interval, and every seed's value ("any" for the vanilla model)."""

    row: str
    mean: Share
    low: Share
    high: Share
    by_seed: dict[str, Share]
    best: bool = Field(description="the best of the methods")
    tied: bool = Field(description="not shown to differ from the best method")


class PairClaim(Frozen):
    """Two methods: first - second with a simultaneous 95 % interval, and a p-value adjusted for all pairs."""

    first: str
    second: str
    difference: FiniteFloat
    low: FiniteFloat
    high: FiniteFloat
    p_value: Share


class MetricClaims(Frozen):
    """A judged column of a table; no pairs if too few methods have enough seeds."""

    metric: str
    rows: tuple[MeanClaim, ...]
    pairs: tuple[PairClaim, ...]


class TableClaims(Frozen):
    """A table."""

    task: str
    model: str
    target: ForgetTarget = Field(default=ZERO, description="forget accuracy that methods aim at, and are scored by")
    metrics: tuple[MetricClaims, ...]


class StandingClaim(Frozen):
    """A method over all tasks; methods that share a letter in `groups` can't be told apart."""

    row: str
    trade_off: dict[str, Share] = Field(description="mean over seeds by task")
    mean: Share
    low: Share
    high: Share
    rank: FiniteFloat = Field(description="mean over tasks; 1 is best")
    rank_low: FiniteFloat
    rank_high: FiniteFloat
    groups: str


class OverallClaims(Frozen):
    """The table over all tasks of a model."""

    model: str
    target: ForgetTarget = ZERO
    standings: tuple[StandingClaim, ...]
