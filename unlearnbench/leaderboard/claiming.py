"""From tables to the claims that a leaderboard file holds."""

from __future__ import annotations

from collections.abc import Sequence

from unlearnbench.leaderboard.blocks import Block, Line
from unlearnbench.leaderboard.claims import (
    MeanClaim,
    MetricClaims,
    OverallClaims,
    PairClaim,
    StandingClaim,
    TableClaims,
)
from unlearnbench.leaderboard.overall import Overall
from unlearnbench.leaderboard.scores import TRADE_OFF
from unlearnbench.leaderboard.statistics import Pair


def table_claims(block: Block) -> TableClaims:
    """What the table says."""
    metrics = sorted({metric for line in block.lines for metric in line.intervals})
    return TableClaims(
        task=block.task,
        model=block.model,
        target=block.target,
        metrics=tuple(
            MetricClaims(
                metric=metric,
                rows=tuple(_mean(line, metric) for line in block.lines if metric in line.intervals),
                pairs=tuple(_pair(pair) for pair in block.pairs.get(metric, ())),
            )
            for metric in metrics
        ),
    )


def _mean(line: Line, metric: str) -> MeanClaim:
    low, high = line.intervals[metric]
    values = line.by_seed(metric)
    return MeanClaim(
        row=line.row,
        mean=line.mean[metric],
        low=low,
        high=high,
        by_seed={"any" if seed is None else str(seed): value for seed, value in values.items()},
        best=metric in line.best,
        tied=metric in line.ties,
    )


def _pair(pair: Pair) -> PairClaim:
    low, high = pair.interval
    return PairClaim(
        first=pair.first,
        second=pair.second,
        difference=pair.difference,
        low=low,
        high=high,
        p_value=min(1.0, max(0.0, pair.p_value)),
    )


def overall_claims(tables: Sequence[Overall]) -> tuple[OverallClaims, ...]:
    """What the tables over all tasks say."""
    return tuple(
        OverallClaims(
            model=table.model,
            target=table.target,
            standings=tuple(
                StandingClaim(
                    row=one.name,
                    trade_off={task: table.line(task, one.name).mean[TRADE_OFF] for task in table.tasks},
                    mean=one.score,
                    low=one.interval[0],
                    high=one.interval[1],
                    rank=one.rank,
                    rank_low=one.ranks[0],
                    rank_high=one.ranks[1],
                    groups=one.groups,
                )
                for one in table.standings
            ),
        )
        for table in tables
    )
