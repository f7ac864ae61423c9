"""Tables with a target of forgetting: scores, their intervals, over-forgetting, and what is kept apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from benchmarks.simulation import World
from tests.leaderboard.entries import entry, flags
from unlearnbench.contract.objective import forget_scale, trade_off
from unlearnbench.leaderboard.blocks import Block, build_blocks
from unlearnbench.leaderboard.check import check_entries
from unlearnbench.leaderboard.claiming import table_claims
from unlearnbench.leaderboard.compare import compare_entries
from unlearnbench.leaderboard.entry import Entry
from unlearnbench.leaderboard.files import from_json, to_json
from unlearnbench.leaderboard.overall import overall
from unlearnbench.leaderboard.render import to_markdown
from unlearnbench.leaderboard.scores import Level, Means, scores_of, trade_off_score
from unlearnbench.leaderboard.statistics import Floats, estimate
from unlearnbench.leaderboard.yardstick import Yardstick

SEEDS = (0, 1, 2)
SIZE = 100


def row(name: str, forget: float, retain: float = 0.9, **changes: Any) -> list[Entry]:
    """A row's results of three seeds, which differ by a point."""
    return [entry(name, forget - seed / 100, retain, seed, size=SIZE, **changes) for seed in SEEDS]


BASES, ORACLES = row("base", 0.98), row("retrain", 0.6)


def table(target: str, *methods: Entry, references: tuple[Entry, ...] = (*BASES, *ORACLES)) -> Block:
    (block,) = build_blocks([*references, *methods])
    assert block.target == target
    return block


def means(block: Block, metric: str) -> dict[str, float]:
    return {line.row: line.mean[metric] for line in block.lines if metric in line.mean}


def test_oracle_scores_are_distances_to_the_retrained_model() -> None:
    methods = [*row("ga", 0.0, target="oracle"), *row("spul", 0.7, target="oracle"), *row("rl", 0.5, target="oracle")]
    block = table("oracle", *[one for one in methods if one.seed != 9])
    found = means(block, "trade_off")
    # Base - retrained is 0.38 for each seed, and so is the distance that counts as nothing.
    assert found["base"] == 0
    assert found["retrain"] == 1
    assert found["spul"] == pytest.approx(2 * (1 - 0.1 / 0.38) / (2 - 0.1 / 0.38))
    assert found["rl"] == pytest.approx(found["spul"]), "too much and too little by the same count alike"
    assert found["ga"] == 0
    assert [line.row for line in block.lines] == ["base", "retrain", "rl", "spul", "ga"]
    over = means(block, "over_forgetting")
    assert over["spul"] == 0
    assert over["rl"] == pytest.approx(0.1)
    assert not any("over_forgetting" in line.best | line.ties for line in block.lines)


def test_oracle_changes_no_score_of_target_zero() -> None:
    methods = [*row("ga", 0.1), *row("spul", 0.7)]
    alone = table("zero", *methods, references=tuple(BASES))
    beside = table("zero", *methods)
    assert "over_forgetting" not in means(alone, "over_forgetting")
    assert not any("over" in note for note in alone.notes)
    assert {k: v for k, v in means(beside, "trade_off").items() if k != "retrain"} == means(alone, "trade_off")
    assert alone.pairs == beside.pairs
    assert means(beside, "over_forgetting")["ga"] == pytest.approx(0.5)
    assert "Target of forgetting: zero, that is suppression." in beside.notes[0]
    assert "over-forgetting ↓" in to_markdown([beside])
    assert "over-forgetting" not in to_markdown([alone])


def test_chance_is_one_over_the_labels() -> None:
    block = table("chance", *row("ga", 0.3, target="chance"), *row("rl", 0.7, target="chance"))
    found = means(block, "trade_off")
    shares = [1 - abs(0.3 - seed / 100 - 0.5) / (0.98 - seed / 100 - 0.5) for seed in SEEDS]
    assert found["ga"] == pytest.approx(np.mean([2 * share / (1 + share) for share in shares]))
    assert means(block, "over_forgetting")["ga"] == pytest.approx(0.21)
    assert any("that of a model that guesses" in note for note in block.notes)


@pytest.mark.parametrize(("target", "base"), [("oracle", 0.62), ("chance", 0.52)])
def test_where_the_base_model_is_at_the_target_nothing_is_claimed(target: str, base: float) -> None:
    references = (*row("base", base), *ORACLES)
    block = table(target, *row("ga", 0.3, target=target), *row("rl", 0.1, target=target), references=references)
    assert means(block, "trade_off") == {}
    assert "trade_off" not in block.pairs
    assert any("it is not defined how far a method has forgotten: trade-offs are left out" in n for n in block.notes)
    assert means(block, "over_forgetting")["rl"] > 0.3


def test_without_retrained_models_the_oracle_has_no_score() -> None:
    block = table("oracle", *row("ga", 0.3, target="oracle"), references=tuple(BASES))
    assert means(block, "trade_off") == {}
    assert any("run with `--oracle`" in note for note in block.notes)


def test_a_seed_without_a_retrained_model_leaves_its_row_without_a_score() -> None:
    block = table("oracle", *row("ga", 0.3, target="oracle"), references=(*BASES, *ORACLES[:2]))
    assert means(block, "trade_off") == {"retrain": 1.0}


def test_a_task_of_suppression_is_said_to_be_one() -> None:
    block = table("zero", *row("ga", 0.3), references=(*BASES, *row("retrain", 0.97)))
    assert any("answered as well by a model that never saw them (96.00 %; base model 97.00 %" in n for n in block.notes)
    assert means(block, "trade_off")["ga"] > 0.7


def test_tables_of_different_targets_share_their_references_and_nothing_else() -> None:
    tasks = [
        [*row("base", 0.98, task=task), *row("retrain", 0.6, task=task), entry("vanilla", 0.5, 0.5, None, task=task)]
        for task in ("sst2", "yelp")
    ]
    methods = [
        *(one for task in ("sst2", "yelp") for name in ("ga", "rl") for one in row(name, 0.2, task=task)),
        *(one for name in ("ga", "rl") for one in row(name, 0.5, task="sst2", target="oracle")),
        *(one for name in ("ga", "rl") for one in row(name, 0.5, task="yelp", target="oracle")),
    ]
    entries = [*tasks[0], *tasks[1], *methods]
    blocks = build_blocks(entries)
    assert [(block.task, block.target) for block in blocks] == [
        ("sst2", "oracle"), ("sst2", "zero"), ("yelp", "oracle"), ("yelp", "zero"),
    ]  # fmt: skip
    for block in blocks:
        assert [line.row for line in block.lines][:3] == ["vanilla", "base", "retrain"]
        assert {len(line.entries) for line in block.lines if line.row != "vanilla"} == {3}
    assert {(table.target, tuple(table.tasks)) for table in overall(blocks)} == {
        ("oracle", ("sst2", "yelp")), ("zero", ("sst2", "yelp")),
    }  # fmt: skip
    assert any("target zero instead of oracle" in note for note in blocks[1].notes)
    assert not [problem for problem in check_entries(entries) if "base model" in problem]
    markdown = to_markdown(blocks)
    assert "## All tasks / m (forget target oracle)" in markdown
    assert "forget target oracle)\n" in markdown
    assert [table_claims(block).target for block in blocks] == ["oracle", "zero", "oracle", "zero"]
    assert from_json(to_json(entries, blocks), "made") == entries
    # References alone make one table, whatever has been run before.
    assert len(build_blocks(tasks[0])) == 1


def test_results_of_different_targets_are_not_comparable() -> None:
    comparison = compare_entries(
        [*BASES, *ORACLES, *row("ga", 0.5)], [*BASES, *ORACLES, *row("ga", 0.5, target="oracle")]
    )
    (line,) = [line for line in comparison.lines if line.competes]
    assert {one.metric for one in line.differences} == {"test_retain_accuracy", "test_forget_accuracy", "trade_off"}
    assert any("target differs (zero and oracle)" in reason for reason in line.reasons)


@pytest.mark.parametrize("seed", range(6))
def test_gradients_are_those_of_finite_differences(seed: int) -> None:
    generator = np.random.default_rng(seed)
    oracle = generator.uniform(0.3, 0.6)
    base = generator.uniform(0.7, 1.0) if seed % 2 else generator.uniform(0.0, 0.2)
    inside = abs(base - oracle) * generator.uniform(0.1, 0.9) * (1 if seed < 3 else -1)
    values = np.array([oracle + inside, generator.uniform(0.3, 0.8), 0.9, oracle, base])

    def score(one: Floats) -> float:
        scale = forget_scale(one[3], one[4])
        assert scale is not None
        return trade_off(one[0], one[1], one[2], scale)

    means = Means(*(np.array([value]) for value in values))
    by = means.gradients()
    found = [by.forget[0], by.retain[0], by.base_retain[0], by.oracle[0], by.base_forget[0]]
    steps = np.eye(5) * 1e-6
    expected = [(score(values + step) - score(values - step)) / 2e-6 for step in steps]
    assert found == pytest.approx(expected, rel=1e-5, abs=1e-7)
    assert means.trade_offs()[0] == pytest.approx(score(values))


def test_interval_of_the_trade_off_knows_the_examples_of_all_three_models() -> None:
    """One seed: the variance is that of drawing examples again, for forget and retain rows on their own."""
    generator = np.random.default_rng(0)
    difficulty = generator.uniform(size=200)
    forget, oracle, base = ((difficulty < level).astype(float) for level in (0.7, 0.55, 0.95))
    flip = generator.uniform(size=200) < 0.2
    forget = np.where(flip, 1 - forget, forget)
    kept, base_kept = (
        (generator.uniform(size=300) < 0.85).astype(float),
        (generator.uniform(size=300) < 0.95).astype(float),
    )
    score = trade_off_score(forget[None], kept[None], base_kept[None], Level(oracle[None], base[None]))
    drawn = []
    for _ in range(4000):
        a, b = generator.integers(0, 200, 200), generator.integers(0, 300, 300)
        scale = forget_scale(float(oracle[a].mean()), float(base[a].mean()))
        assert scale is not None
        drawn.append(trade_off(float(forget[a].mean()), float(kept[b].mean()), float(base_kept[b].mean()), scale))
    assert estimate(score).variance == pytest.approx(np.var(drawn), rel=0.12)


def test_with_a_target_of_some_level_a_lower_forget_accuracy_is_not_better() -> None:
    """Nothing marks it, and no comparison calls a method worse that came up to the retrained model's level."""
    block = table("oracle", *row("spul", 0.6, target="oracle"), *row("ga", 0.1, target="oracle"))
    marked = {line.row: line.best | line.ties for line in block.lines}
    assert "test_forget_accuracy" not in marked["ga"] | marked["spul"]
    assert "trade_off" in marked["spul"]
    assert block.pairs["test_forget_accuracy"]
    zero = table("zero", *row("spul", 0.6), *row("ga", 0.1))
    assert "test_forget_accuracy" in next(line.best for line in zero.lines if line.row == "ga")
    for seeds in (3, 1):
        low, level = ([*BASES, *ORACLES, *row("spul", forget, target="oracle")[:seeds]] for forget in (0.2, 0.6))
        found = compare_entries(low, level)
        assert not found.failures
        assert any(one.metric == "test_forget_accuracy" for line in found.lines for one in line.differences)
        assert compare_entries(level, low).failures


def test_a_comparison_says_which_side_has_no_trade_off() -> None:
    """Such as one whose base model never learned its training rows."""
    methods = row("ga", 0.2)
    fresh = {"train_forget_accuracy": 0.5, "train_retain_accuracy": 0.5}
    unlearned = [one.model_copy(update={"metrics": {**one.metrics, **fresh}}) for one in BASES]
    for first, second, side in ((BASES, unlearned, "A"), ([], BASES, "B")):
        line = next(one for one in compare_entries([*first, *methods], [*second, *methods]).lines if one.row == "ga")
        assert f"trade-off only in {side}" in line.notes
    same = compare_entries([*BASES, *methods], [*BASES, *methods])
    assert not any("only in" in note for one in same.lines for note in one.notes)


def over_forgetting_of(right: Floats, oracle: Floats) -> tuple[float, float]:
    """Its interval for a row of these right answers, ``[seeds, examples]`` each."""

    def results(name: str, answers: Floats, **changes: Any) -> list[Entry]:
        found = []
        for seed, line in enumerate(answers):
            made = entry(name, float(line.mean()), 0.9, seed, size=len(line), **changes)
            found.append(made.model_copy(update={"right": {**made.right, "test_forget": as_flags(line)}}))
        return found

    bases = [entry("base", 0.98, 0.9, seed, size=right.shape[1]) for seed in range(len(right))]
    (block,) = build_blocks([*bases, *results("retrain", oracle), *results("ga", right, target="oracle")])
    return next(line.intervals["over_forgetting"] for line in block.lines if line.row == "ga")


def as_flags(line: Floats) -> str:
    return "".join(str(int(one)) for one in line)


def test_over_forgetting_that_chance_explains_is_not_said_to_be_there() -> None:
    """One seed, a few points below the retrained model or above: the interval is the paired t test's, raised to 0."""
    generator = np.random.default_rng(6)
    oracle, right = (generator.random((1, 60)) < 0.6).astype(float), (generator.random((1, 60)) < 0.6).astype(float)
    for lower, upper in ((oracle, right), (right, oracle)):
        expected = stats.ttest_1samp((upper - lower)[0], 0).confidence_interval(0.95)
        assert expected.low < 0 < expected.high
        low, high = over_forgetting_of(lower, upper)
        assert low == 0
        assert high >= min(1.0, expected.high) - 1e-9


@pytest.mark.slow
@pytest.mark.parametrize("forget", [0.45, 0.6, 0.65])
def test_intervals_of_over_forgetting_hold_their_level(forget: float) -> None:
    """Below the retrained model, beside it, and above; seeds do not differ, so that examples decide."""
    generator, runs, covered = np.random.default_rng(7), 60, 0
    for _ in range(runs):
        world = World(150, generator)
        low, high = over_forgetting_of(world.right(np.full(3, forget)), world.right(np.full(3, 0.6)))
        covered += low <= 0.6 - min(forget, 0.6) <= high
    assert covered / runs >= 0.9


def test_scores_without_single_predictions_are_the_same_and_less_sure() -> None:
    def plain(entries: list[Entry]) -> list[Entry]:
        return [one.model_copy(update={"right": {}}) for one in entries]

    methods = row("rl", 0.5, target="oracle")
    known = scores_of(methods, Yardstick({e.seed: e for e in BASES}, {e.seed: e for e in ORACLES}, "oracle", 2))
    bases, oracles = plain(BASES), plain(ORACLES)
    alone = scores_of(plain(methods), Yardstick({e.seed: e for e in bases}, {e.seed: e for e in oracles}, "oracle", 2))
    for metric in ("trade_off", "over_forgetting"):
        assert alone[metric].values == pytest.approx(known[metric].values)
        assert estimate(alone[metric]).variance > estimate(known[metric]).variance


def test_paired_examples_make_a_small_gap_visible() -> None:
    """Base and retrained model err on the same rows but for the last ones."""
    bases, oracles = row("base", 0.98), row("retrain", 0.92)
    assert flags(0.98, SIZE)[:92] == flags(0.92, SIZE)[:92]
    gap = Yardstick({e.seed: e for e in bases}, {e.seed: e for e in oracles}, "oracle", 2).gap
    differences = np.mean(
        [
            [int(a) - int(b) for a, b in zip(base.right["test_forget"], oracle.right["test_forget"], strict=True)]
            for base, oracle in zip(bases, oracles, strict=True)
        ],
        axis=0,
    )
    expected = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    assert gap == pytest.approx((expected.low, expected.high))
    assert gap[0] > 0
