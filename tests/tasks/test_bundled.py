"""The generated data: its rows follow its own rules, and the tasks read it as they read hub data."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from unlearnbench_tasks.arc import ARC, ARCChallenge
from unlearnbench_tasks.bundled import businesses, films, opinions, sciences
from unlearnbench_tasks.sst2 import SST2, SST2Options, named_sets
from unlearnbench_tasks.wmdp_sciq import SCIQ, WMDP, WMDPSciQ
from unlearnbench_tasks.yelp import Yelp, YelpOptions

from unlearnbench.contract.source import DataSource
from unlearnbench.contract.task import Task
from unlearnbench.data.checks import check_splits
from unlearnbench.errors import UserError

BUNDLED = DataSource("bundled")
TASKS = [SST2(SST2Options(personalities="fictional")), WMDPSciQ(), Yelp(YelpOptions(clusters=8))]


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_tasks_split_generated_data_as_they_split_hub_data(task: Task) -> None:
    splits = check_splits(task.name, task.splits(BUNDLED, seed=0), "error")
    assert all(len(examples) >= 40 for _, examples in splits.items())
    assert {example.answer for _, examples in splits.items() for example in examples} == set(task.labels)
    assert all(example.group for example in (*splits.train_forget, *splits.test_forget))
    assert not any(example.group for example in (*splits.train_retain, *splits.test_retain))
    assert splits == task.splits(BUNDLED, seed=0)


def test_a_label_is_the_sign_of_the_strengths_of_a_reviews_words() -> None:
    strength = {w: s for s, words in enumerate(opinions.PRAISE, 1) for w in words}
    strength |= {w: -s for s, words in enumerate(opinions.BLAME, 1) for w in words}
    frames = [films.film_reviews("train").rename(columns={"sentence": "text"}), businesses.business_reviews("test")]
    for frame in frames:
        for text, label in zip(frame["text"], frame["label"], strict=True):
            total = sum(strength.get(word, 0) for word in text.split())
            assert label == int(total > 0), text


def test_praise_and_blame_share_no_word() -> None:
    words = [word for group in (*opinions.PRAISE, *opinions.BLAME) for word in group]
    assert len(words) == len(set(words))


def test_trades_have_no_things_in_common() -> None:
    assert max(Counter(thing for trade in businesses.TRADES for thing in businesses.things(trade)).values()) == 1


@pytest.mark.slow
def test_the_forgotten_cluster_is_one_trade() -> None:
    splits = TASKS[2].splits(BUNDLED, seed=0)

    def trade(text: str) -> str:
        found = Counter(t for t in businesses.TRADES for thing in businesses.things(t) if f" {thing} " in text)
        return found.most_common(1)[0][0]

    forgotten = Counter(trade(example.text) for example in splits.train_forget)
    assert forgotten.most_common(1)[0][1] >= 0.9 * sum(forgotten.values())


def test_the_people_to_forget_are_named_in_the_reviews() -> None:
    forgotten = set(named_sets()["fictional"])
    assert forgotten < {name.lower() for name in films.people()}
    assert len(films.people()) == films.PEOPLE


@pytest.mark.parametrize("kind", sciences.PROPERTIES)
def test_exactly_one_option_of_a_question_is_true(kind: str) -> None:
    facts = sciences.members(kind)
    generator = random.Random(0)
    for _ in range(100):
        drawn = sciences.question(generator, kind)
        (value,) = [v for number in (0, 1) for v in sciences.values(kind, number) if v in drawn.text.lower()]
        true = [option for option in drawn.options if value in facts.get(option, ())]
        assert true == [drawn.options[drawn.correct]], drawn


def test_no_two_things_share_a_name() -> None:
    names = [member for kind in sciences.PROPERTIES for member in sciences.members(kind)]
    assert len(names) == len(set(names)) == len(sciences.PROPERTIES) * sciences.MEMBERS


def test_transfer_questions_are_about_other_kinds() -> None:
    examples = ARCChallenge().test(BUNDLED, 0)
    named = {kind for kind in sciences.PROPERTIES for e in examples if f" {kind}" in e.text.lower()}
    assert named == set(sciences.TRANSFER)


def test_identity_of_generated_data_is_a_hash_of_its_rows() -> None:
    identities = {BUNDLED.identity(dataset) for dataset in (WMDP, SCIQ, ARC)}
    assert len(identities) == 3
    assert all("@generated:" in identity for identity in identities)
    assert BUNDLED.identity(WMDP) == BUNDLED.identity(WMDP)
    assert DataSource("hub").identity(WMDP) == f"{WMDP.path}@{WMDP.revision}"


def test_a_set_of_people_that_the_data_does_not_name_is_refused() -> None:
    with pytest.raises(UserError, match=r"no training review names one of the .* people of the set 'v1'"):
        SST2().splits(BUNDLED, 0)
