"""Presets, files and flags; what is wrong is named."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from unlearnbench.cli.options import merged, numbers, settings
from unlearnbench.config import build_config, dump_config, dump_experiment, preset_names, preset_statement, read_file
from unlearnbench.errors import UserError


def test_flags_win_over_the_file_and_the_file_over_the_preset() -> None:
    file = {"max_train": 10, "base": {"rank": 4}, "set": {"spul": {"alpha": 0.5}}}
    config = build_config(file, {"max_train": 20, "set": {"spul": {"beta": 0.0}}})
    assert config.max_train == 20
    assert config.base.rank == 4
    assert config.base.kind == build_config({}, {}).base.kind
    assert config.set["spul"] == {**build_config({}, {}).set["spul"], "alpha": 0.5, "beta": 0.0}


def test_saved_configuration_reads_back_equal(tmp_path: Path) -> None:
    config = build_config({}, {"tasks": ["sst2"], "set": {"ga": {"learning_rate": 1e-5}}, "data_root": "x"})
    file = tmp_path / "config.yaml"
    file.write_text(dump_config(config), encoding="utf-8")
    assert build_config(read_file(file), {}) == config


@pytest.mark.parametrize("preset", preset_names())
def test_presets_are_valid_and_say_what_they_are(preset: str) -> None:
    assert build_config({}, {"preset": preset}).preset == preset
    assert preset in preset_statement(preset).lower()


def test_paper_preset_is_the_protocol() -> None:
    config = build_config({}, {"preset": "paper"})
    baselines = ("ga", "rl", "ga-kl", "ga-gd", "npo-rt")
    assert (config.base.rank, config.base.alpha, config.base.dropout) == (16, 64, 0.1)
    assert (config.base.learning_rate, config.base.warmup_ratio, config.base.weight_decay) == (1e-4, 0.05, 0.001)
    assert (config.base.max_grad_norm, config.base.batch_size, config.model.context_length) == (0.3, 32, 1024)
    assert (config.max_train, config.max_test) == (None, None)
    assert config.base.target_modules == ("q_proj", "v_proj")
    assert all(config.set[task] == {"split": "authors"} for task in ("sst2", "yelp", "wmdp-sciq"))
    assert config.set["spul"]["learning_rate"] == 1e-4
    assert {config.set[method]["weight_decay"] for method in ("spul", *baselines)} == {0.001}
    assert {config.set[method]["warmup_ratio"] for method in baselines} == {0.05}
    assert {config.set[method]["max_grad_norm"] for method in baselines} == {0.3}


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ({"max_trian": 3}, "unknown setting 'max_trian': did you mean 'max_train'"),
        ({"base": {"rnk": 3}}, "unknown setting 'base.rnk': did you mean 'rank'"),
        ({"max_train": 0}, "setting 'max_train' is 0: input should be greater than or equal to 1"),
        ({"base": {"learning_rate": float("nan")}}, "setting 'base.learning_rate' is nan"),
        ({"base": {"kind": "qlra"}}, "setting 'base.kind' is 'qlra'"),
        ({"preset": "papper"}, "no preset is called 'papper': did you mean 'paper'"),
        ({"on_leakage": "ignore"}, "setting 'on_leakage' is 'ignore'"),
    ],
)
def test_wrong_settings_are_named(file: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        build_config(file, {})


@pytest.mark.parametrize(
    ("content", "message"), [("a: [", "not valid YAML"), ("- a", "must hold settings"), (None, "can't be read")]
)
def test_unreadable_files_are_named(tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "config.yaml"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        read_file(path)


def test_assignments_become_settings() -> None:
    given = ["spul.learning_rate=1e-4", "base.kind=lora", "yelp.clusters=5", "spul.reparametrise=false", "split_seed=1"]
    assert settings(given) == {
        "split_seed": 1,
        "base": {"kind": "lora"},
        "set": {"spul": {"learning_rate": 1e-4, "reparametrise": False}, "yelp": {"clusters": 5}},
    }


@pytest.mark.parametrize("assignment", ["spul", "spul.alpha", "=1", ".a=1", "spul.=1"])
def test_malformed_assignments_are_named(assignment: str) -> None:
    with pytest.raises(UserError, match=r"must read KEY=VALUE or NAME\.KEY=VALUE"):
        settings([assignment])


@pytest.mark.parametrize("number", ["1e-4", "1E-4", "1.e-4", "+1e-4", "1.0e-04", "0.0001"])
def test_files_and_assignments_read_numbers_alike(tmp_path: Path, number: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(f"set: {{spul: {{learning_rate: {number}}}}}", encoding="utf-8")
    assert read_file(path) == settings([f"spul.learning_rate={number}"]) == {"set": {"spul": {"learning_rate": 1e-4}}}


def test_top_level_settings_can_be_assigned() -> None:
    given = merged({}, ["forget_fraction=0.5", "split_seed=3", "checkpoint_seconds=9"], {})
    config = build_config({}, given)
    assert (config.forget_fraction, config.split_seed, config.checkpoint_seconds) == (0.5, 3, 9)
    with pytest.raises(UserError, match="unknown setting 'split_sed': did you mean 'split_seed'"):
        build_config({}, settings(["split_sed=3"]))


def test_flag_and_assignment_must_agree() -> None:
    assert merged({}, ["tuning.trials=3"], {"tuning": {"trials": 3}}) == {"tuning": {"trials": 3}}
    with pytest.raises(UserError, match=r"--trials is 3, but --set tuning\.trials is 2: give one of the two"):
        merged({}, ["tuning.trials=2"], {"tuning": {"trials": 3}})
    with pytest.raises(UserError, match="--max-train is 5, but --set max_train is 6"):
        merged({"max_train": 5}, ["max_train=6"], {})


@pytest.mark.parametrize("text", ["-1", "a", "1.5", "0,x", "٣"])
def test_seeds_are_whole_numbers(text: str) -> None:
    with pytest.raises(UserError, match="--seeds is"):
        numbers("--seeds", text)


def test_dumped_configuration_is_plain_yaml() -> None:
    assert yaml.safe_load(dump_config(build_config({}, {})))["preset"] == "quick"


def test_settings_of_an_experiment_say_nothing_of_this_machine() -> None:
    secret = {"tracking_uri": "postgresql://me:secret@host/mlflow", "optuna_storage": "postgresql://me:secret@host/x"}
    config = build_config({"tasks": ["sst2"], "results": "/home/me/results", **secret}, {})
    shared = dump_experiment(config)
    assert "secret" not in shared
    assert "/home/me" not in shared
    assert build_config(yaml.safe_load(shared), {}) == config.model_copy(
        update={"results": Path("results"), "tracking_uri": None, "optuna_storage": None}
    )
