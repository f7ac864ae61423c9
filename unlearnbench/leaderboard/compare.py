"""Lines two leaderboards up and says what differs, how surely, and what can't be compared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from unlearnbench.leaderboard.blocks import lower_is_better, with_trade_off
from unlearnbench.leaderboard.entry import Entry
from unlearnbench.leaderboard.statistics import (
    CONFIDENCE,
    Interval,
    Sample,
    base_entries,
    interval,
    resample,
    sample_of,
)
from unlearnbench.rows import BASE, VANILLA

Place = tuple[str, str, str]


@dataclass(frozen=True)
class Difference:
    """One metric in both, as means over the seeds compared.

    Attributes:
        interval: 95 % interval of second - first, or None where nothing is known of its chance.
    """

    metric: str
    first: float
    second: float
    interval: Interval | None

    @property
    def difference(self) -> float:
        """Second - first."""
        return self.second - self.first

    @property
    def worse(self) -> bool:
        """Whether the second is worse: surely where there is an interval, at all where there is none."""
        low, high = self.interval or (self.difference, self.difference)
        return low > 0 if lower_is_better(self.metric) else high < 0


@dataclass(frozen=True)
class ComparedLine:
    """A row of both leaderboards.

    Attributes:
        seeds: compared, shared ones where there are any.
        reasons: why the two are not comparable; empty where they are.
    """

    task: str
    model: str
    row: str
    title: str
    seeds: int
    differences: tuple[Difference, ...]
    reasons: tuple[str, ...]

    @property
    def name(self) -> str:
        """The line in a few words."""
        return f"{self.model} / {self.task} / {self.row}"

    @property
    def worse(self) -> tuple[str, ...]:
        """Metrics in which a comparable method is worse in the second."""
        if self.reasons or self.row in (BASE, VANILLA):
            return ()
        return tuple(difference.metric for difference in self.differences if difference.worse)


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
        """Why the second does not hold up: what is worse, or that nothing could be compared."""
        if not any(not line.reasons for line in self.lines):
            return ["no row of the two is comparable"]
        return [f"{line.name}: {', '.join(line.worse)}" for line in self.lines if line.worse]


def compare_entries(first: Sequence[Entry], second: Sequence[Entry]) -> Comparison:
    """Lines the two up by task, model and row."""
    sides = _places(first), _places(second)
    shared = [place for place in sides[0] if place in sides[1]]
    return Comparison(
        tuple(_compare(place, sides[0][place], sides[1][place]) for place in sorted(shared, key=_order)),
        tuple(_name(place) for place in sides[0] if place not in sides[1]),
        tuple(_name(place) for place in sides[1] if place not in sides[0]),
    )


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

    def at(self, seeds: Sequence[int | None]) -> list[Entry]:
        return [self.entries[seed] for seed in seeds]


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
    seeds = [seed for seed in one.entries if seed in other.entries]
    sides = (one.at(seeds), other.at(seeds)) if seeds else (list(one.entries.values()), list(other.entries.values()))
    reasons = tuple(why_not_comparable(sides[0][0], sides[1][0]))
    intervals = {} if reasons else _intervals(sides, (one.bases, other.bases), paired=bool(seeds))
    metrics = _metrics(sides)
    task, model, row = place
    differences = [
        Difference(
            metric,
            fmean(entry.metrics[metric] for entry in sides[0]),
            fmean(entry.metrics[metric] for entry in sides[1]),
            intervals.get(metric),
        )
        for metric in metrics
    ]
    return ComparedLine(task, model, row, sides[0][0].title, len(sides[0]), tuple(differences), reasons)


def _metrics(sides: tuple[Sequence[Entry], Sequence[Entry]]) -> list[str]:
    """Test and transfer accuracies and the trade-off, where every entry has them."""
    shared = set.intersection(*(set(entry.metrics) for side in sides for entry in side))
    transfers = sorted(name for name in shared if name.startswith("transfer_") and name.endswith("_accuracy"))
    wanted = ["test_retain_accuracy", "test_forget_accuracy", *transfers, "trade_off"]
    return [metric for metric in wanted if metric in shared]


def why_not_comparable(first: Entry, second: Entry) -> list[str]:
    """What the two results do not share but would have to; empty where they are comparable."""
    facts = {
        "data fingerprint": (first.data.fingerprint, second.data.fingerprint),
        "model revision": (first.model_revision, second.model_revision),
        "preset": (first.preset, second.preset),
        "trial budget": (str(first.trial_budget), str(second.trial_budget)),
    }
    reasons = [f"{name} differs ({a} and {b})" for name, (a, b) in facts.items() if a != b]
    if first.config is not None and second.config is not None and first.config["base"] != second.config["base"]:
        reasons.append("base model's settings differ")
    if not reasons and first.block != second.block:
        reasons.append("settings of the base model or of the evaluation differ")
    return reasons


def _intervals(
    sides: tuple[Sequence[Entry], Sequence[Entry]],
    bases: tuple[Mapping[int | None, Entry], Mapping[int | None, Entry]],
    paired: bool,
) -> dict[str, Interval]:
    """Intervals of second - first: from single predictions, or else from seeds alone, where there are several."""
    samples = [sample_of(side, base) for side, base in zip(sides, bases, strict=True)]
    if samples[0] is not None and samples[1] is not None:
        one, other = _on_same_examples(samples[0], samples[1])
        scores = resample({"first": one, "second": other})
        shared = scores["first"].keys() & scores["second"].keys()
        return {metric: interval(scores["second"][metric] - scores["first"][metric]) for metric in shared}
    if not paired or len(sides[0]) < 2:
        return {}
    return {
        metric: _over_seeds([b.metrics[metric] - a.metrics[metric] for a, b in zip(*sides, strict=True)])
        for metric in _metrics(sides)
    }


def _on_same_examples(first: Sample, second: Sample) -> tuple[Sample, Sample]:
    """Both samples without splits of which they know other numbers of examples (a transfer task can be cut apart)."""
    same = {
        name
        for name in first.right.keys() & second.right.keys()
        if first.right[name].shape[1] == second.right[name].shape[1]
    }
    kept = [Sample(one.seeds, {name: one.right[name] for name in sorted(same)}) for one in (first, second)]
    return kept[0], kept[1]


def _over_seeds(differences: Sequence[float]) -> Interval:
    """Student's interval of the mean difference."""
    from scipy import stats

    if len(set(differences)) == 1:
        return differences[0], differences[0]
    found = stats.ttest_1samp(differences, 0.0).confidence_interval(CONFIDENCE)
    return float(found.low), float(found.high)
