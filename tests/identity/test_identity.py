"""Which settings change which identities: every field of the configuration, tasks, models and methods is changed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pydantic import BaseModel

from tests.conftest import ToyTask, gpt2_tokenizer, tiny_opt
from unlearnbench.cell import identify
from unlearnbench.cell.cell import Cell, Scenario
from unlearnbench.config import RunConfig
from unlearnbench.contract.hyperparameters import Choice, Hyperparameter, LogUniform, declared
from unlearnbench.contract.metrics import Metric, Predictions
from unlearnbench.contract.model_spec import GGUFPackage, ModelSpec
from unlearnbench.contract.task import TransferTask
from unlearnbench.data.folder_task import FolderTask
from unlearnbench.data.store import TaskData
from unlearnbench.grid.grid import build_grid
from unlearnbench.identity.differences import differences, marked
from unlearnbench.identity.digest import CHANCE, SEED, SOFTWARE, digest
from unlearnbench.identity.ids import ModelId, TrainedId, values
from unlearnbench.models.loading import Architecture
from unlearnbench.models.resolve import resolve
from unlearnbench.plugins import Origin, Registered, Registry, registry

# What can change: the cache of base models, that of reference values, the training of a method, the keys of the
# method's cell and of the vanilla model's, and the machine that is recorded beside them.
BASE, REFERENCES, TRAINED, CELL, VANILLA, MACHINE = "base", "references", "trained", "cell", "vanilla", "machine"
NOTHING: frozenset[str] = frozenset()
METHOD = frozenset({TRAINED, CELL})
REFERENCED = METHOD | {REFERENCES}
WHOLE_BASE = REFERENCED | {BASE}
ALL = WHOLE_BASE | {VANILLA}


@dataclass(frozen=True)
class Change:
    """Another value of a setting, and what it must change.

    Attributes:
        beside: settings that let this one matter.
    """

    value: Any
    changes: frozenset[str]
    beside: Mapping[str, Any] | None = None


FULL = {"base.kind": "full"}
# Gradients through dropout, so that passes decide the random numbers.
CHANGES: dict[str, Change] = {
    # Names and places decide nothing.
    "preset": Change("small", NOTHING),
    "results": Change("elsewhere", NOTHING),
    "tracking_uri": Change("sqlite:///elsewhere.db", NOTHING),
    "optuna_storage": Change("sqlite:///elsewhere.db", NOTHING),
    "keep_models": Change(True, NOTHING),
    "checkpoint_seconds": Change(1.0, NOTHING),
    # One more row, which leaves the others alone.
    "oracle": Change(True, NOTHING),
    "cell_timeout": Change(1.0, NOTHING),
    "jobs": Change(2, NOTHING),
    # Recorded when a cell begins, as chance.
    "model.threads": Change(2, NOTHING),
    # Measured beside the training, without changing it.
    "tuning.curve_points": Change(0, NOTHING),
    # Either it stops the run, or rows are dropped, and rows are what counts.
    "on_leakage": Change("drop-from-train", NOTHING),
    # Own data has no other root; see the walk over tasks.
    "data_root": Change("hub", NOTHING),
    # What is run.
    "tasks": Change(("path:{other_data}",), ALL),
    "models": Change(("{other_model}",), ALL),
    "methods": Change(("ga",), METHOD),
    "seeds": Change((1,), WHOLE_BASE),
    "set": Change({"spul": {"alpha": 0.3}}, METHOD),
    # Rows.
    "max_train": Change(2, ALL),
    "max_test": Change(2, frozenset({VANILLA, CELL})),
    "forget_fraction": Change(1.0, METHOD),
    "split_seed": Change(5, METHOD),
    # What reference rows have measured is the same for every target.
    "forget_target": Change("chance", METHOD),
    "generic_labels": Change(("unknown", "none"), METHOD | {VANILLA}),
    # Numbers.
    "model.device": Change("cpu:0", frozenset({MACHINE})),
    "model.device_map": Change("auto", frozenset({MACHINE})),
    "model.dtype": Change("bfloat16", ALL),
    "model.compute_dtype": Change("bfloat16", ALL | {MACHINE}),
    "model.attention": Change("eager", ALL),
    "model.frozen_4bit": Change(True, REFERENCED),
    "model.gradient_checkpointing": Change(True, WHOLE_BASE),
    "model.optimiser": Change("adamw-8bit", WHOLE_BASE, {**FULL, "methods": ("ga",)}),
    "model.context_length": Change(64, ALL),
    "model.tokens_per_pass": Change(100, WHOLE_BASE | {MACHINE}, {"methods": ("ga",)}),
    # The base model.
    "base.kind": Change("lora", WHOLE_BASE),
    "base.rank": Change(4, WHOLE_BASE),
    "base.alpha": Change(4, WHOLE_BASE),
    "base.dropout": Change(0.2, WHOLE_BASE),
    "base.target_modules": Change(("q_proj",), WHOLE_BASE),
    "base.learning_rate": Change(2e-4, WHOLE_BASE),
    "base.warmup_ratio": Change(0.2, WHOLE_BASE),
    "base.weight_decay": Change(0.2, WHOLE_BASE),
    "base.max_grad_norm": Change(0.2, WHOLE_BASE),
    "base.batch_size": Change(4, WHOLE_BASE),
    "base.epochs": Change(4, WHOLE_BASE),
    # The search.
    "tuning.trials": Change(7, METHOD),
    "tuning.design": Change("random", METHOD),
    "tuning.scope": Change("grid", METHOD),
    "tuning.max_examples": Change(1, METHOD),
    "tuning.keep": Change("best", METHOD),
}
# Settings under which others change nothing, though they are set.
WITHOUT_EFFECT: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "adapters of a base without one": ("base.rank", 4, FULL),
    "modules of LoRA by name or by themselves": ("base.target_modules", ("q_proj", "v_proj"), {}),
    "recipe of a base model that is not fine-tuned": ("base.learning_rate", 2e-4, {"base.kind": "none"}),
    "its epochs": ("base.epochs", 4, {"base.kind": "none"}),
    "optimiser where only prompts and adapters are trained": ("model.optimiser", "adamw-8bit", {}),
    "trials that are one training": ("tuning.trials", 1, {"tuning.trials": 0}),
    "bfloat16 asked for by two names": ("model.compute_dtype", "bfloat16", {"model.compute_dtype": "auto"}),
}


def leaves(section: type[BaseModel], above: str = "") -> Iterator[str]:
    """Dotted names of all settings."""
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from leaves(field.annotation, f"{above}{name}.")
        else:
            yield f"{above}{name}"


def configured(settings: Mapping[str, Any]) -> RunConfig:
    """The configuration with dotted settings."""
    nested: dict[str, Any] = {}
    for name, value in settings.items():
        *sections, last = name.split(".")
        place = nested
        for section in sections:
            place = place.setdefault(section, {})
        place[last] = value
    return RunConfig.model_validate(nested)


def method_cell(config: RunConfig) -> Cell:
    return build_grid(config, registry())[-1]


def facets(config: RunConfig, known: Registry | None = None) -> dict[str, object]:
    """Keys of the caches, trainings and results of the first and the last cell."""
    vanilla, *_, cell = build_grid(config, known or registry())
    return {
        BASE: digest(cell.scenario.base_id),
        REFERENCES: cell.scenario.reference_key,
        TRAINED: cell.training,
        CELL: cell.key,
        VANILLA: vanilla.key,
        MACHINE: cell.identity.machine,
    }


def changed(before: Mapping[str, object], after: Mapping[str, object]) -> set[str]:
    return {name for name in before if before[name] != after[name]}


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    """A run on own data, on a model with dropout, of which part of the forget set is seen and judged."""
    for name, seed in (("model", 0), ("other_model", 1)):
        network = tiny_opt(len(gpt2_tokenizer()))
        torch.nn.init.normal_(network.lm_head.weight, generator=torch.Generator().manual_seed(seed))
        network.save_pretrained(tmp_path / name)
        gpt2_tokenizer().save_pretrained(tmp_path / name)
    for name, word in (("data", "again"), ("other_data", "anew")):
        (tmp_path / name).mkdir()
        for split, examples in ToyTask().splits(None, 0).items():
            rows = [json.dumps({"prompt": e.prompt.replace("again", word), "answer": e.answer}) for e in examples]
            (tmp_path / name / f"{split}.jsonl").write_text("\n".join(rows), encoding="utf-8")
    return {
        "tasks": (f"path:{tmp_path / 'data'}",),
        "models": (str(tmp_path / "model"),),
        "methods": ("spul",),
        "model.compute_dtype": "float32",
        "forget_fraction": 0.4,
        "tuning.max_examples": 2,
    }


def test_every_setting_has_its_line() -> None:
    assert set(CHANGES) == set(leaves(RunConfig))


@pytest.mark.parametrize("name", CHANGES)
def test_each_setting_changes_the_expected_identities(settings: dict[str, Any], tmp_path: Path, name: str) -> None:
    change = CHANGES[name]
    value = change.value
    if name in ("tasks", "models"):
        paths = {"other_data": tmp_path / "other_data", "other_model": tmp_path / "other_model"}
        value = tuple(text.format(**paths) for text in value)
    before = settings | dict(change.beside or {})
    assert before.get(name) != value
    found = changed(*(facets(configured(one)) for one in (before, before | {name: value})))
    assert found == change.changes


@pytest.mark.parametrize("case", WITHOUT_EFFECT)
def test_irrelevant_settings_change_no_identity(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.setattr("unlearnbench.models.loading._cpu_multiplies_bfloat16", lambda: True)
    name, value, beside = WITHOUT_EFFECT[case]
    before = settings | beside
    after = before | {name: value}
    assert configured(before) != configured(after)
    assert not changed(*(facets(configured(one)) for one in (before, after)))


def test_no_identity_contains_unresolved_settings(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Two machines, of which one multiplies bfloat16, share no key where the precision is left to them."""
    unset = {name: value for name, value in settings.items() if name != "model.compute_dtype"}
    found = []
    for able in (True, False):
        monkeypatch.setattr("unlearnbench.models.loading._cpu_multiplies_bfloat16", lambda able=able: able)
        assert "auto" not in json.dumps(asdict(method_cell(configured(unset)).identity))
        found.append(facets(configured(unset)))
    assert changed(*found) == ALL | {MACHINE}


def test_passes_matter_only_with_dropout(settings: dict[str, Any]) -> None:
    """The tiny LLaMA has no dropout: the size of passes and recomputing them can only change rounding."""
    plain = settings | {"models": ("tiny",), "methods": ("ga",), **FULL}
    before = facets(configured(plain))
    for name, value, only in (("tokens_per_pass", 100, {MACHINE}), ("gradient_checkpointing", True, set())):
        assert changed(before, facets(configured(plain | {f"model.{name}": value}))) == only
    # LoRA's own dropout is drawn pass by pass.
    adapted = plain | {"base.kind": "lora"}
    passes = [facets(configured(adapted | {"model.tokens_per_pass": n})) for n in (100, 200)]
    assert changed(*passes) == WHOLE_BASE | {MACHINE}


def test_points_of_a_curve_matter_if_the_best_of_them_is_kept(settings: dict[str, Any]) -> None:
    best = settings | {"tuning.keep": "best"}
    assert changed(*(facets(configured(best | {"tuning.curve_points": points})) for points in (8, 4))) == METHOD


def test_split_seed_changes_all_kinds_of_rows(settings: dict[str, Any]) -> None:
    fewer = settings | {"max_train": 2, "max_test": 2}
    assert changed(*(facets(configured(fewer | {"split_seed": seed})) for seed in (0, 5))) == ALL


OPTIONS: dict[str, dict[str, tuple[Any, frozenset[str]]]] = {
    "sst2": {
        "base_epochs": (3, WHOLE_BASE),
        "forget_target": ("chance", METHOD),
        "split": ("authors", ALL),
        "personalities": ("half", ALL),
    },
    "yelp": {
        "base_epochs": (3, WHOLE_BASE),
        "forget_target": ("oracle", METHOD),
        "split": ("authors", ALL),
        "max_words": (20, ALL),
        "train_size": (150, ALL),
        "test_size": (80, frozenset({VANILLA, CELL})),
        "clusters": (6, ALL),
        "forget_clusters": (2, ALL),
    },
    "wmdp-sciq": {
        "base_epochs": (3, WHOLE_BASE),
        "forget_target": ("chance", METHOD),
        "split": ("authors", ALL),
    },
    # Transfer tasks train nothing.
    "arc": {"base_epochs": (3, NOTHING), "forget_target": ("chance", NOTHING)},
}
SMALL_TASKS: dict[str, dict[str, Any]] = {
    "sst2": {"personalities": "fictional"},
    "yelp": {"train_size": 200, "test_size": 100, "clusters": 4},
}


def test_every_option_of_a_task_has_its_line() -> None:
    built_in = {name: item.item for name, item in registry().tasks.items() if item.origin.package == "unlearnbench"}
    assert {name: set(task.Options.model_fields) for name, task in built_in.items()} == {
        name: set(options) for name, options in OPTIONS.items()
    }


def task_settings(name: str, options: Mapping[str, Any]) -> RunConfig:
    task = registry().task(name)
    tasks = (task.unlearned_on, name) if issubclass(task, TransferTask) else (name,)
    options = {**SMALL_TASKS.get(name, {}), **options}
    return configured({"tasks": tasks, "methods": ("ga",), "data_root": "bundled", "set": {name: options}})


@pytest.mark.slow
@pytest.mark.parametrize(("task", "option"), [(task, option) for task in OPTIONS for option in OPTIONS[task]])
def test_each_task_option_changes_the_expected_identities(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: str, option: str
) -> None:
    half_the_people(tmp_path, monkeypatch)
    # The authors' data sets are on the hub.
    monkeypatch.setattr("unlearnbench.contract.source._revision", lambda dataset: "newest")
    for module in ("sst2", "yelp", "wmdp_sciq"):
        monkeypatch.setattr(f"unlearnbench_tasks.{module}.authors_splits", lambda *_: ToyTask().splits(None, 0))
    # Sentence embeddings take long, and any will do.
    monkeypatch.setattr("unlearnbench_tasks.yelp.embed", letters)
    value, changes = OPTIONS[task][option]
    before, after = (facets(task_settings(task, given)) for given in ({}, {option: value}))
    assert changed(before, after) == changes


def letters(texts: Sequence[str]) -> NDArray[np.float64]:
    """How often each letter occurs, as unit vectors."""
    counts = np.array([[text.lower().count(letter) for letter in "abcdefghijklmnopqrstuvwxyz"] for text in texts])
    unit: NDArray[np.float64] = counts / np.linalg.norm(counts, axis=1, keepdims=True)
    return unit


def half_the_people(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Adds a set of people to SST-2's, half of the fictional one."""
    import unlearnbench_tasks.sst2 as sst2

    sets = json.loads(sst2.PERSONALITIES.read_text(encoding="utf-8"))
    sets["half"] = {**sets["fictional"], "names": sets["fictional"]["names"][::2]}
    (folder / "people.json").write_text(json.dumps(sets), encoding="utf-8")
    monkeypatch.setattr(sst2, "PERSONALITIES", folder / "people.json")


@pytest.mark.slow
def test_edited_names_change_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if a set of the same name has been read, and cached, before."""
    import unlearnbench_tasks.sst2 as sst2

    before = facets(task_settings("sst2", {}))
    half_the_people(tmp_path, monkeypatch)
    sets = json.loads(sst2.PERSONALITIES.read_text(encoding="utf-8"))
    sets["fictional"] = sets["half"]
    sst2.PERSONALITIES.write_text(json.dumps(sets), encoding="utf-8")
    assert changed(before, facets(task_settings("sst2", {}))) == ALL


@pytest.mark.slow
def test_transfer_tasks_and_metrics_do_not_change_the_training() -> None:
    alone = facets(task_settings("wmdp-sciq", {}))
    assert changed(alone, facets(task_settings("arc", {}))) == {VANILLA, CELL}
    known = replace(registry(), metrics={"length": Registered(Length, Origin("lengths", "lengths", "1"))})
    assert changed(alone, facets(task_settings("wmdp-sciq", {}), known)) == {VANILLA, CELL}


class Length(Metric):
    name, title, description = "length", "Length", "Mean length of the predictions."

    def compute(self, predictions: Predictions) -> float:
        return sum(map(len, predictions.predicted)) / len(predictions.predicted)


def parameters() -> list[tuple[str, str]]:
    methods = registry().methods
    return [(name, parameter) for name in sorted(methods) for parameter in declared(methods[name].item)]


@pytest.mark.parametrize(("method", "parameter"), parameters())
def test_each_hyper_parameter_changes_the_training(settings: dict[str, Any], method: str, parameter: str) -> None:
    declaration = declared(registry().method(method).item)[parameter]
    default = declaration.default
    # A value for one that is searched fixes it, so that even the default is another setting.
    value = default if isinstance(declaration, Choice | LogUniform) else other_than(declaration)
    before = settings | {"methods": (method,)}
    after = before | {"set": {method: {parameter: value}}}
    assert changed(*(facets(configured(one)) for one in (before, after))) == METHOD


def other_than(declaration: Hyperparameter[Any]) -> bool | float | str:
    default = declaration.default
    for choice in getattr(declaration, "choices", ()):
        if choice != default:
            return choice
    if isinstance(default, bool):
        return not default
    return default + 1 if isinstance(default, int | float) else f"{default}s"


RANGE = {"spul": {"learning_rate": LogUniform(1e-3, 1e-2, default=4e-3)}}
SPECS: dict[str, Change] = {
    "name": Change("other", frozenset({TRAINED, CELL, VANILLA})),
    "title": Change("Other", NOTHING),
    "description": Change("Other.", NOTHING),
    "access": Change("Ask for it.", NOTHING),
    "location": Change("owner/other", ALL),
    "revision": Change("def", ALL),
    # Installed packages are looked into first; this one is not there.
    "gguf": Change(GGUFPackage("not-there", "not_there", "x.gguf"), NOTHING),
    "hyperparameters": Change(RANGE, METHOD),
}


def test_every_fact_of_a_model_has_its_line() -> None:
    assert set(SPECS) == {field.name for field in fields(ModelSpec)}


@pytest.mark.parametrize("fact", SPECS)
def test_each_fact_of_a_model_changes_the_expected_identities(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch, fact: str
) -> None:
    """As a package registers it: the name is a table's, so that results are kept apart, but caches are shared."""
    monkeypatch.setattr(identify, "architecture", lambda model: Architecture("packed", drops_out=False))
    for module in ("grid.grid", "cell.identify"):
        size = SimpleNamespace(parameters=1_000_000)
        monkeypatch.setattr(f"unlearnbench.{module}.model_size", lambda model, size=size: size)
    settings |= {"base.target_modules": ("q_proj",)}
    before = ModelSpec("some", "Some", "A model.", "owner/some", "abc")
    after = replace(before, **{fact: SPECS[fact].value})
    found = []
    for spec in (before, after):
        known = replace(registry(), models={spec.name: Registered(spec, Origin("models", "models", "1"))})
        found.append(facets(configured(settings | {"models": (spec.name,)}), known))
    assert changed(*found) == SPECS[fact].changes


def test_two_copies_of_own_data_are_two_cells_and_share_the_base_model(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    import shutil

    shutil.copytree(tmp_path / "data", tmp_path / "copy")
    both = settings | {"tasks": (*settings["tasks"], f"path:{tmp_path / 'copy'}")}
    cells = build_grid(configured(both), registry())
    assert len({cell.key for cell in cells}) == len(cells) == 6
    assert len({cell.training for cell in cells}) == 6
    assert len({digest(cell.scenario.base_id) for cell in cells}) == 1


def test_retrained_model_depends_only_on_retain_set_and_recipe(settings: dict[str, Any], tmp_path: Path) -> None:
    def cells(**changes: Any) -> dict[str, Cell]:
        return {cell.row: cell for cell in build_grid(configured(settings | {"oracle": True} | changes), registry())}

    def weights(cells: Mapping[str, Cell]) -> str:
        return digest(cells["retrain"].scenario.retrain_id.weights)

    before = cells()
    assert list(before) == ["vanilla", "base", "retrain", "spul"]
    assert before["retrain"].identity.table == before["spul"].identity.table
    assert len({cell.key for cell in before.values()}) == 4
    assert weights(before) != digest(before["base"].scenario.base_id)
    assert weights(cells(**{"base.learning_rate": 0.5})) != weights(before)
    assert weights(cells(seeds=(1,))) != weights(before)
    for split, same in (("train_forget", True), ("train_retain", False)):
        file = tmp_path / "data" / f"{split}.jsonl"
        kept = file.read_text(encoding="utf-8")
        file.write_text(kept.replace("again", "anew"), encoding="utf-8")
        after = cells()
        assert digest(after["base"].scenario.base_id) != digest(before["base"].scenario.base_id)
        assert (weights(after) == weights(before)) is same
        assert after["retrain"].key != before["retrain"].key, "it stands beside another base model"
        file.write_text(kept, encoding="utf-8")


def test_four_bit_models_have_their_own_references_and_base_row(settings: dict[str, Any]) -> None:
    keys = []
    for four_bit in (False, True):
        vanilla, base, _ = build_grid(configured(settings | {"model.frozen_4bit": four_bit}), registry())
        keys.append((vanilla.key, base.key, base.scenario.reference_key, digest(base.scenario.base_id)))
    (vanilla, base, reference, weights), others = keys
    assert (vanilla, weights) == (others[0], others[3])
    assert base != others[1]
    assert reference != others[2]


def test_chance_fields_are_recorded_but_in_no_key(settings: dict[str, Any]) -> None:
    cell = method_cell(configured(settings))
    machine = cell.identity.machine
    for field in fields(machine):
        assert field.metadata.get(CHANCE), field.name
        other = replace(cell.identity, machine=replace(machine, **{field.name: "other"}))
        assert other != cell.identity
        assert other.key == cell.key
        assert list(differences(cell.identity, other, (CHANCE,))) == []
        ((name, before, after),) = marked(cell.identity, other, CHANCE)
        assert (name, after) == (f"machine.{field.name}", "other")
        assert before == str(getattr(machine, field.name))


def test_differences_name_the_field_and_both_values(settings: dict[str, Any]) -> None:
    one, other = (
        method_cell(configured(settings | changes)).identity.subject
        for changes in ({}, {"base.rank": 4, "seeds": (3,), "set": {"spul": {"alpha": 0.3}}})
    )
    assert isinstance(one, TrainedId)
    assert isinstance(other, TrainedId)
    found = {name: (a, b) for name, a, b in differences(one, other, (SEED,))}
    assert found.pop("start.base.recipe.lora.rank") == ("16", "4")
    assert found.pop("method.fixed.alpha") == ("none", "0.3")
    assert found.pop("method.space.alpha")[1] == "none"
    assert found.pop("method.defaults.alpha")[1] == "none"
    assert found == {}
    upgraded = replace(one, libraries=values({**dict(one.libraries), "torch": "9"}))
    ((name, _, after),) = differences(one, upgraded)
    assert (name, after) == ("libraries.torch", "9")
    assert list(differences(one, upgraded, (SOFTWARE,))) == []
    assert digest(one) != digest(upgraded)


def test_new_field_with_a_default_does_not_change_keys() -> None:
    """Otherwise a field that is added later would invalidate existing results."""

    @dataclass(frozen=True)
    class Today:
        value: int

    @dataclass(frozen=True)
    class Tomorrow:
        value: int
        further: str = "as before"

    Tomorrow.__name__ = "Today"
    assert digest(Today(1)) == digest(Tomorrow(1))
    assert digest(Tomorrow(1)) != digest(Tomorrow(1, "otherwise"))


def test_order_of_rows_changes_the_base_model(settings: dict[str, Any], tmp_path: Path) -> None:
    """Training on the same rows in another order is another training."""
    task = FolderTask(tmp_path / "data")
    splits = task.splits(None, 0)  # type: ignore[arg-type]
    turned = replace(splits, train_retain=splits.train_retain[::-1])
    config = configured(settings)
    model = resolve(ModelSpec("m", "M", "", settings["models"][0]))
    keys = {digest(Scenario(model, TaskData(task, one), (), 0, config).base_id) for one in (splits, turned)}
    assert len(keys) == 2
    assert digest(ModelId(model.identity)) not in keys
