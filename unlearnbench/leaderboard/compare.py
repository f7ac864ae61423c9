"""Lines two leaderboards up and says what differs, how surely, and what can't be compared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from unlearnbench.leaderboard.blocks import lower_is_better, with_trade_off
from unlearnbench.leaderboard.entry import Entry
from unlearnbench.leaderboard.scores import base_entries, scores_of
from unlearnbench.leaderboard.statistics import (
    FEWEST_SEEDS,
    Estimate,
    Interval,
    Score,
    difference,
    surely_below_zero,
    two_sided,
)
from unlearnbench.rows import BASE, VANILLA

Place = tuple[str, str, str]


@dataclass(frozen=True)
class Difference:
    """One metric in both.

    Attributes:
        first, second: every seed's value.
        found: mean of second - mean of first, or None if too few seeds say nothing of its chance.
        worse: whether the second is surely worse, corrected for the number of differences that were judged.
    """

    metric: str
    first: tuple[float, ...]
    second: tuple[float, ...]
    found: Estimate | None
    worse: bool = False

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
        return -self.difference if lower_is_better(self.metric) else self.difference


@dataclass(frozen=True)
class ComparedLine:
    """A row of both leaderboards.

    Attributes:
        seeds: how many each of the two has.
        reasons: why the two are not comparable; empty if they are.
    """

    task: str
    model: str
    row: str
    title: str
    seeds: tuple[int, int]
    differences: tuple[Difference, ...]
    reasons: tuple[str, ...]

    @property
    def name(self) -> str:
        """The line in a few words."""
        return f"{self.model} / {self.task} / {self.row}"

    @property
    def competes(self) -> bool:
        """Whether it is a method's, not an anchor's."""
        return self.row not in (BASE, VANILLA)

    @property
    def worse(self) -> tuple[str, ...]:
        """Metrics in which the second is surely worse."""
        return tuple(difference.metric for difference in self.differences if difference.worse)

    @property
    def unsure(self) -> tuple[str, ...]:
        """Metrics in which the second is worse, but too few seeds can't tell whether by chance."""
        if self.reasons or not self.competes:
            return ()
        return tuple(one.metric for one in self.differences if one.found is None and one.gain < 0)


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
        vanished = [name for name in self.only_first if name.rpartition(" / ")[2] not in (BASE, VANILLA)]
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
    """Lines the two up by task, model and row."""
    sides = _places(first), _places(second)
    shared = [place for place in sides[0] if place in sides[1]]
    lines = [_compare(place, sides[0][place], sides[1][place]) for place in sorted(shared, key=_order)]
    return Comparison(
        tuple(_judged(lines)),
        tuple(_name(place) for place in sides[0] if place not in sides[1]),
        tuple(_name(place) for place in sides[1] if place not in sides[0]),
    )


def _judged(lines: Sequence[ComparedLine]) -> list[ComparedLine]:
    """The lines with what is surely worse marked: one family of tests over all comparable methods and metrics."""
    gains = {
        f"{line.name} / {one.metric}": replace(one.found, value=one.gain)
        for line in lines
        if line.competes and not line.reasons
        for one in line.differences
        if one.found is not None
    }
    worse = surely_below_zero(gains)
    return [
        replace(
            line,
            differences=tuple(replace(one, worse=f"{line.name} / {one.metric}" in worse) for one in line.differences),
        )
        for line in lines
    ]


def _order(place: Place) -> tuple[str, str, int, str]:
    task, model, row = place
    return task, model, [VANILLA, BASE].index(row) if row in (VANILLA, BASE) else 2, row


def _name(place: Place) -> str:
    return f"{place[1]} / {place[0]} / {place[2]}"


@dataclass(frozen=True)
class _Candidate:
    """A row's entries in one block, and the base model's entries there."""

    entries: Mapping[int | None, Entry]
    bases: Mapping[int | None, Entry]


def _places(entries: Sequence[Entry]) -> dict[Place, dict[str, _Candidate]]:
    """What each row has, by place and block, newest block last."""
    blocks: dict[str, list[Entry]] = defaultdict(list)
    for entry in sorted(entries, key=lambda entry: entry.recorded):
        blocks[entry.block].append(entry)
    found: dict[Place, dict[str, _Candidate]] = defaultdict(dict)
    for key, of_block in blocks.items():
        bases = base_entries(of_block)
        rows: dict[Place, dict[int | None, Entry]] = defaultdict(dict)
        for entry in of_block:
            rows[entry.task, entry.model, entry.row][entry.seed] = with_trade_off(entry, bases)
        for place, by_seed in rows.items():
            found[place][key] = _Candidate(by_seed, bases)
    return dict(found)


def _compare(place: Place, first: Mapping[str, _Candidate], second: Mapping[str, _Candidate]) -> ComparedLine:
    """Compares the row in a block that both have, or else in the newest of each."""
    common = [block for block in second if block in first]
    one, other = (first[common[-1]], second[common[-1]]) if common else ([*first.values()][-1], [*second.values()][-1])
    sides = list(one.entries.values()), list(other.entries.values())
    reasons = tuple(why_not_comparable(sides[0][0], sides[1][0]))
    scores = scores_of(sides[0], one.bases), scores_of(sides[1], other.bases)
    differences = [
        _difference(metric, scores[0][metric], scores[1][metric], not reasons)
        for metric in sorted(scores[0].keys() & scores[1].keys(), key=_metric_order)
    ]
    task, model, row = place
    seeds = len(sides[0]), len(sides[1])
    return ComparedLine(task, model, row, sides[0][0].title, seeds, tuple(differences), reasons)


def _difference(metric: str, first: Score, second: Score, comparable: bool) -> Difference:
    found = difference(second, first) if comparable else None
    return Difference(metric, tuple(first.values.tolist()), tuple(second.values.tolist()), found)


def _metric_order(metric: str) -> tuple[int, str]:
    known = ["test_retain_accuracy", "test_forget_accuracy"]
    return (known.index(metric) if metric in known else 3 if metric == "trade_off" else 2), metric


def why_not_comparable(first: Entry, second: Entry) -> list[str]:
    """What the two results do not share but would have to; empty where they are comparable."""
    facts = {
        "data fingerprint": (first.data.fingerprint, second.data.fingerprint),
        "model revision": (first.model_revision, second.model_revision),
        "preset": (first.preset, second.preset),
        "trial budget": (str(first.trial_budget), str(second.trial_budget)),
    }
    reasons = [f"{name} differs ({a} and {b})" for name, (a, b) in facts.items() if a != b]
    if first.config is not None and second.config is not None and first.config.get("base") != second.config.get("base"):
        reasons.append("base model's settings differ")
    if not reasons and first.block != second.block:
        reasons.append("settings of the base model or of the evaluation differ")
    return reasons
