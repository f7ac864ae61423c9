"""Splitting and subsampling: seeded, stratified, leak-free."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from tests.conftest import ToyTask, review
from unlearnbench.data.sampling import answered_rows, split_by_text, stratified_sample, subsample


def test_rows_with_the_same_text_get_the_same_side() -> None:
    texts = ["same", "Same ", "same"] * 10 + [f"text {i}" for i in range(70)]
    train, test = split_by_text(list(range(100)), texts, train=70, seed=0)
    assert sorted(train + test) == list(range(100))
    assert {texts[i].strip().lower() for i in train}.isdisjoint({texts[i].strip().lower() for i in test})
    assert 70 <= len(train) < 100


def test_split_depends_on_the_seed_alone() -> None:
    rows, texts = list(range(50)), [f"text {i}" for i in range(50)]
    assert split_by_text(rows, texts, 35, seed=1) == split_by_text(rows, texts, 35, seed=1)
    assert split_by_text(rows, texts, 35, seed=1) != split_by_text(rows, texts, 35, seed=2)


def test_sample_keeps_the_proportions_of_answers() -> None:
    examples = [review(f"text {i}", "positive" if i % 4 else "negative") for i in range(400)]
    sample = stratified_sample(examples, 40, seed=0)
    assert Counter(e.answer for e in sample) == {"positive": 30, "negative": 10}
    assert sample == stratified_sample(examples, 40, seed=0)
    assert sample != stratified_sample(examples, 40, seed=1)


def test_sample_has_the_requested_size_if_shares_are_not_integers() -> None:
    examples = [review(f"text {i}", "ABC"[i % 3]) for i in range(100)]
    for size in (1, 2, 7, 50, 99):
        assert len(stratified_sample(examples, size, seed=0)) == size


def test_sample_of_free_text_answers_is_random() -> None:
    examples = [review(f"text {i}", f"name {i:03}") for i in range(104)]
    samples = [stratified_sample(examples, 20, seed) for seed in range(200)]
    assert all(len(sample) == 20 for sample in samples)
    assert samples[0] == stratified_sample(examples, 20, seed=0)
    chosen = Counter(example.answer for sample in samples for example in sample)
    # Each is drawn with a chance of 20 in 104: 38 times in 200 samples, with a standard deviation of 5.6.
    assert len(chosen) == 104
    assert max(chosen.values()) < 38.5 + 4.5 * 5.6
    assert min(chosen.values()) > 38.5 - 4.5 * 5.6


def test_ties_between_answers_are_broken_at_random() -> None:
    examples = [review(f"text {i}", "ABC"[i % 3]) for i in range(99)]
    extra = Counter()
    for seed in range(300):
        ((answer, _),) = Counter(e.answer for e in stratified_sample(examples, 34, seed)).most_common(1)
        extra[answer] += 1
    assert all(60 < extra[answer] < 140 for answer in "ABC")


def test_tested_rows_are_a_sample_of_test_rows_in_random_order() -> None:
    rows = tuple(review(f"text {i}", "ab"[i % 2]) for i in range(60))
    splits = replace(ToyTask().splits(None, 0), test_forget=rows, test_retain=rows[:5])
    forget, retain = answered_rows(splits, 40, seed=0)
    assert (len(forget), len(retain)) == (40, 5)
    assert set(forget) == set(stratified_sample(rows, 40, 0))
    assert set(retain) == set(rows[:5])
    # Labels alternate in the data, so that every other row would have one label.
    assert {example.answer for example in forget[::2]} == {"a", "b"}
    assert answered_rows(splits, 40, seed=0) == (forget, retain)
    assert answered_rows(splits, 40, seed=1)[0] != forget


def test_limits_apply_to_their_own_splits() -> None:
    splits = subsample(ToyTask().splits(None, 0), max_train=2, max_test=None, seed=0)
    assert [len(examples) for _, examples in splits.items()] == [2, 2, 3, 5]
