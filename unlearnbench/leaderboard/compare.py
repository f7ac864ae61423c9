"""Lines two leaderboards up and says what differs, how surely, and what can't be compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from unlearnbench.contract.rows import REFERENCE_ROWS
from unlearnbench.identity.differences import differences, marked
from unlearnbench.identity.digest import CHANCE, SEED, SOFTWARE, digest
from unlearnbench.identity.ids import TrainedId
from unlearnbench.leaderboard.accuracies import metric_name
from unlearnbench.leaderboard.blocks import with_scores
from unlearnbench.leaderboard.entry import Entry
from unlearnbench.leaderboard.grouping import Group, Row, group_entries
from unlearnbench.leaderboard.measures import Measured, lower_is_better, measured
from unlearnbench.leaderboard.scores import OVER_FORGETTING, TRADE_OFF, UNJUDGED, has_direction, scores_of
from unlearnbench.leaderboard.sets import transfer_tasks
from unlearnbench.leaderboard.statistics import (
    FEWEST_SEEDS,
    Estimate,
    Interval,
    Score,
    difference,
    surely_below_zero,
    two_sided,
)


@dataclass(frozen=True)
class Difference:
    """One metric in both.

    Attributes:
        first, second: every seed's value.
        found: mean of second - mean of first, or None if too few seeds say nothing of its chance.
        worse: whether the second is surely worse, corrected for the number of differences that were judged.
        measured: a plugin's metric, which is shown and not judged; None for accuracies and the trade-off.
        judged: whether it can be worse: a forget accuracy that aims at a level is neither better nor worse if higher.
    """

    metric: str
    first: tuple[float, ...]
    second: tuple[float, ...]
    found: Estimate | None
    worse: bool = False
    measured: Measured | None = None
    judged: bool = True

    @property
    def means(self) -> tuple[float, float]:
        """Of first and second."""
        return sum(self.first) / len(self.first), sum(self.second) / len(self.second)

    @property
    def difference(self) -> float:
        """Second - first, of the means."""
        return self.means[1] - self.means[0]

    @property
    def interval(self) -> Interval | None:
        """95 % interval of the difference by itself."""
        return None if self.found is None else two_sided(self.found)

    @property
    def gain(self) -> float:
        """The difference, positive if the second is better."""
        falling = lower_is_better(self.metric, [self.measured] if self.measured else [])
        return -self.difference if falling else self.difference


@dataclass(frozen=True)
class ComparedLine:
    """A row of both leaderboards.

    Attributes:
        seeds: how many each of the two has.
        reasons: why the two are not comparable; empty if they are.
        notes: what else differs, which is what one compares, or chance.
    """

    task: str
    model: str
    row: str
    title: str
    seeds: tuple[int, int]
    differences: tuple[Difference, ...]
    reasons: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The line in a few words."""
        return f"{self.model} / {self.task} / {self.row}"

    @property
    def competes(self) -> bool:
        """Whether it is a method's, not an anchor's."""
        return self.row not in REFERENCE_ROWS

    @property
    def worse(self) -> tuple[str, ...]:
        """Metrics in which the second is surely worse."""
        return tuple(difference.metric for difference in self.differences if difference.worse)

    @property
    def unsure(self) -> tuple[str, ...]:
        """Metrics in which the second is worse, but too few seeds can't tell whether by chance."""
        if self.reasons or not self.competes:
            return ()
        return tuple(
            one.metric
            for one in self.differences
            if one.found is None and one.measured is None and one.judged and one.gain < 0
        )


@dataclass(frozen=True)
class Comparison:
    """Two leaderboards.

    Attributes:
        only_first, only_second: names of rows that only one of them has.
    """

    lines: tuple[ComparedLine, ...]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]

    @property
    def failures(self) -> list[str]:
        """Why the second does not hold up, one sentence for each reason."""
        methods = [line for line in self.lines if line.competes]
        if not any(not line.reasons for line in methods):
            what = "nothing but anchors" if any(not line.reasons for line in self.lines) else "no row of the two"
            failures = [f"{what} is comparable, so that no method was judged"]
        else:
            failures = [f"{line.name} is not comparable: {'; '.join(line.reasons)}" for line in methods if line.reasons]
        vanished = [name for name in self.only_first if name.rpartition(" / ")[2] not in REFERENCE_ROWS]
        failures += [f"{name} is missing in B" for name in vanished]
        for line in methods:
            if line.worse:
                failures.append(f"{line.name} is worse in {', '.join(line.worse)}")
            if line.unsure:
                failures.append(
                    f"{line.name} is lower in {', '.join(line.unsure)}, and {min(line.seeds)} seeds can't tell whether "
                    f"by chance: run both with {FEWEST_SEEDS} or more"
                )
        return failures


def compare_entries(first: Sequence[Entry], second: Sequence[Entry]) -> Comparison:
    """Lines the two up by table and row; entries are given oldest first."""
    pairs, only = _pairs(group_entries(first), group_entries(second))
    lines = []
    for one, other in pairs:
        shared = [name for name in one.rows if name in other.rows]
        lines += [_compare(one, other, name) for name in sorted(shared, key=_order)]
        only[0].extend(f"{one.name} / {name}" for name in one.rows if name not in other.rows)
        only[1].extend(f"{other.name} / {name}" for name in other.rows if name not in one.rows)
    return Comparison(tuple(_judged(lines)), tuple(only[0]), tuple(only[1]))


def _judged(lines: Sequence[ComparedLine]) -> list[ComparedLine]:
    """The lines with what is surely worse marked: one family of tests over all comparable methods and metrics."""
    # By position: two tables of one task and model have lines of the same name.
    gains = {
        f"{number} {one.metric}": replace(one.found, value=one.gain)
        for number, line in enumerate(lines)
        if line.competes and not line.reasons
        for one in line.differences
        if one.found is not None and one.judged
    }
    worse = surely_below_zero(gains)
    return [
        replace(
            line,
            differences=tuple(replace(one, worse=f"{number} {one.metric}" in worse) for one in line.differences),
        )
        for number, line in enumerate(lines)
    ]


def _order(row: str) -> tuple[int, str]:
    return REFERENCE_ROWS.index(row) if row in REFERENCE_ROWS else len(REFERENCE_ROWS), row


def _pairs(
    first: Sequence[Group], second: Sequence[Group]
) -> tuple[list[tuple[Group, Group]], tuple[list[str], list[str]]]:
    """Tables that both have, those that stand for each other though they are not the same, and rows of the others.

    Tables that differ in software alone count as the same: whether an upgrade changes results is worth knowing.
    """
    left, right = list(first), list(second)
    pairs: list[tuple[Group, Group]] = []
    for without in ((SEED,), (SEED, SOFTWARE)):
        for one in list(left):
            other = next((g for g in right if digest(g.table, without) == digest(one.table, without)), None)
            if other is not None:
                pairs.append((one, other))
                left.remove(one)
                right.remove(other)
    for one in list(left):
        if any(one.name == pair[0].name for pair in pairs):
            continue
        other = next((g for g in right if g.name == one.name), None)
        if other is not None:
            pairs.append((one, other))
            left.remove(one)
            right.remove(other)
    return sorted(pairs, key=lambda pair: pair[0].name), (_names(left), _names(right))


def _names(groups: Sequence[Group]) -> list[str]:
    return [
        f"{group.name}{f' ({group.distinction})' if group.distinction else ''} / {name}"
        for group in groups
        for name in group.rows
    ]


def _compare(one: Group, other: Group, name: str) -> ComparedLine:
    """Compares a row of two tables."""
    sides = one.rows[name].entries, other.rows[name].entries
    pairs = _by_seed(one.rows[name], other.rows[name])
    reasons = tuple(dict.fromkeys(reason for pair in pairs for reason in why_not_comparable(*pair)))
    notes = tuple(dict.fromkeys(note for pair in pairs for note in _notes(*pair)))
    left_out = {metric_name(name) for pair in pairs for name in _other_rows(*pair)}
    scores = [
        scores_of([with_scores(entry, group.yardstick) for entry in side], group.yardstick)
        for group, side in zip((one, other), sides, strict=True)
    ]
    shared = (scores[0].keys() & scores[1].keys()) - left_out - UNJUDGED
    for metric in (TRADE_OFF, OVER_FORGETTING):
        having = [side for side, found in zip("AB", scores, strict=True) if metric in found]
        if len(having) == 1:
            notes += (f"{metric.replace('_', '-')} only in {having[0]}",)
    differences = [
        replace(
            _difference(metric, scores[0][metric], scores[1][metric], not reasons),
            judged=has_direction(metric, one.table.target),
        )
        for metric in sorted(shared, key=_metric_order)
    ]
    differences += _further(one, other, name)
    first, seeds = sides[0][0], (len(sides[0]), len(sides[1]))
    return ComparedLine(first.task, first.model, name, first.title, seeds, tuple(differences), reasons, notes)


def _further(one: Group, other: Group, name: str) -> list[Difference]:
    """Metrics of plugins that both have."""
    sides = one.rows[name].entries, other.rows[name].entries
    transfers = [task for task in one.transfers if task in other.transfers]
    found = []
    for metric in measured((*sides[0], *sides[1]), transfers):
        values = [tuple(e.metrics[metric.number] for e in side if metric.number in e.metrics) for side in sides]
        if not metric.is_built_in and not metric.rows.startswith("train_") and all(values):
            found.append(Difference(metric.number, values[0], values[1], None, measured=metric))
    return found


def _by_seed(one: Row, other: Row) -> list[tuple[Entry, Entry]]:
    """Results of the same seed, or, as the two may have other seeds, any two."""
    shared = [(entry, other.by_seed[entry.seed]) for entry in one.entries if entry.seed in other.by_seed]
    return shared or [(one.entries[0], other.entries[0])]


def _difference(metric: str, first: Score, second: Score, comparable: bool) -> Difference:
    found = difference(second, first) if comparable else None
    return Difference(metric, tuple(first.values.tolist()), tuple(second.values.tolist()), found)


def _metric_order(metric: str) -> tuple[int, str]:
    known = ["test_retain_accuracy", "test_forget_accuracy"]
    return (known.index(metric) if metric in known else 3 if metric == "trade_off" else 2), metric


def why_not_comparable(first: Entry, second: Entry) -> list[str]:
    """What the two results do not share but would have to; empty if they are comparable."""
    found = list(differences(first.identity.table, second.identity.table, (SEED, SOFTWARE)))
    if first.trial_budget != second.trial_budget:
        found.append(("tuning.trials", str(first.trial_budget), str(second.trial_budget)))
    return [f"{name} differs ({a} and {b})" for name, a, b in found]


def _notes(first: Entry, second: Entry) -> list[str]:
    """What else differs: what one may want to compare, versions, machines, and what only one was evaluated on."""
    notes = []
    one, other = first.identity.subject, second.identity.subject
    if isinstance(one, TrainedId) and isinstance(other, TrainedId):
        # What they start from and their budget decide whether they can be compared at all.
        other = replace(other, start=one.start, tuning=replace(other.tuning, trials=one.tuning.trials))
        notes += [f"{name}: {a} and {b}" for name, a, b in differences(one, other, (SEED, SOFTWARE))]
    for mark in (SOFTWARE, CHANCE):
        found = marked(first.identity, second.identity, mark)
        notes += [f"{name.removeprefix('subject.')}: {a} and {b}" for name, a, b in found]
    sides = transfer_tasks(first), transfer_tasks(second)
    notes += [f"{name} only in A" for name in sorted(sides[0] - sides[1])]
    notes += [f"{name} only in B" for name in sorted(sides[1] - sides[0])]
    return notes + [f"other rows of {name}" for name in sorted(_other_rows(first, second))]


def _other_rows(first: Entry, second: Entry) -> set[str]:
    """Transfer tasks of which the two were evaluated on different rows."""
    sides = [{one.name: replace(one, metrics=()) for one in entry.identity.further} for entry in (first, second)]
    return {name for name, one in sides[0].items() if sides[1].get(name, one) != one}
