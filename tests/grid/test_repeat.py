"""From results back to the configurations that run them again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.leaderboard.entries import entry
from unlearnbench.config import RunConfig, read_file
from unlearnbench.errors import UserError
from unlearnbench.grid.repeat import choose, repeats
from unlearnbench.leaderboard.files import open_entries

QUICK = Path(__file__).parents[2] / "leaderboards" / "quick"


def test_one_configuration_runs_the_whole_quick_leaderboard_again() -> None:
    (repeat,) = repeats(open_entries(str(QUICK)), {"results": "elsewhere"})
    written = RunConfig.model_validate({**read_file(QUICK / "config.yaml"), "results": "elsewhere"})
    assert repeat.config.model_copy(update={"tasks": ("all",), "methods": ("all",)}) == written
    assert set(repeat.config.tasks) == {"sst2", "yelp", "wmdp-sciq", "arc"}
    assert set(repeat.config.methods) == {"ga", "rl", "ga-kl", "ga-gd", "npo-rt", "spul"}
    assert repeat.config.seeds == tuple(range(10))


def test_row_comes_with_its_base_models_and_transfer_sets() -> None:
    chosen = choose(open_entries(str(QUICK)), rows=["rl"], tasks=["wmdp-sciq"], seeds=[3])
    assert sorted(one.row for one in chosen) == ["base", "rl"]
    (repeat,) = repeats(chosen, {})
    assert repeat.config.tasks == ("wmdp-sciq", "arc")
    assert repeat.config.methods == ("rl",)
    # Its values were found on seed 0, which has to come first.
    assert repeat.config.seeds == (0, 3)


def test_unknown_names_are_refused() -> None:
    entries = [entry("base", 1, 1), entry("spul", 0, 1)]
    for given in ({"rows": ["spull"]}, {"tasks": ["sst3"]}, {"seeds": [4]}):
        with pytest.raises(UserError, match="the leaderboard has no"):
            choose(entries, **given)  # type: ignore[arg-type]


def test_settings_of_several_runs_give_several_configurations() -> None:
    other = RunConfig(tasks=("sst2",), max_train=10).model_dump(mode="json")
    found = repeats([entry("base", 1, 1), entry("ga", 0, 1, block="c", config=other)], {})
    assert [len(repeat.entries) for repeat in found] == [1, 1]
    assert [repeat.config.max_train for repeat in found] == [None, 10]


def test_each_seed_that_others_took_their_values_from_leads_a_grid() -> None:
    def config(*seeds: int) -> dict[str, object]:
        return RunConfig(tasks=("sst2",), seeds=seeds, tuning={"scope": "grid"}).model_dump(mode="json")  # type: ignore[arg-type]

    entries = [
        entry("base", 1, 1, 1, config=config(1)),
        entry("ga", 0, 1, 1, tuned_on=0, config=config(0, 1)),
        entry("spul", 0, 1, 1, tuned_on=2, config=config(2, 1)),
    ]
    found = repeats(entries, {})
    assert [repeat.config.seeds for repeat in found] == [(0, 1), (2, 1)]
    assert [[one.row for one in repeat.entries] for repeat in found] == [["base", "ga"], ["spul"]]


def test_threads_and_passes_that_the_machine_chose_are_those_of_then() -> None:
    (repeat,) = repeats([entry("spul", 0, 1)], {})
    assert (repeat.config.model.threads, repeat.config.model.tokens_per_pass) == (1, 768)


def test_results_without_settings_are_refused() -> None:
    with pytest.raises(UserError, match=r"has no settings.*config\.yaml"):
        repeats([entry("spul", 0, 1, config=None)], {})
    with pytest.raises(UserError, match="not valid now: max_train"):
        repeats([entry("spul", 0, 1, config={"max_train": -1})], {})
