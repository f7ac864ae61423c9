"""The engine against `plain`: a whole cell, from the pre-trained weights to the metrics of every split.

Base stage, each method and the evaluation run as a run runs them, with several passes per step, a last batch that is
smaller, and (where it says so) a training that dies in its middle and goes on from its snapshot.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import compress
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerFast
from unlearnbench_metrics.f1 import WeightedF1

from tests.conftest import (
    TEXTS,
    gpt2_tokenizer,
    llama_tokenizer,
    opt_tokenizer,
    review,
    tiny_gpt2,
    tiny_llama,
    tiny_opt,
)
from tests.reference import plain
from unlearnbench.cell.cell import Cell
from unlearnbench.cell.evaluation import Evaluation
from unlearnbench.cell.trainer import Trainer
from unlearnbench.config import build_config
from unlearnbench.contract.model_spec import ModelSpec
from unlearnbench.contract.rows import BASE, RETRAIN
from unlearnbench.contract.task import Example, Splits, Task
from unlearnbench.engine.checkpoint import Checkpoints
from unlearnbench.engine.training import OnStep, Progress
from unlearnbench.grid.grid import build_grid
from unlearnbench.plugins import Origin, Registered, Registry, registry

ORIGIN = Origin("test", "test", "0")
METHODS = ("ga", "rl", "ga-gd", "ga-kl", "npo-rt", "spul")
SEED = 3
# Four forget rows and four retain rows: the last batch is smaller, with and without the retain rows.
BATCH = 3
VALUES: dict[str, dict[str, Any]] = {
    "ga": {"learning_rate": 1e-3, "epochs": 2},
    "rl": {"learning_rate": 1e-3, "epochs": 3},
    "ga-gd": {"learning_rate": 1e-3, "epochs": 2},
    "ga-kl": {"learning_rate": 1e-3, "epochs": 2},
    "npo-rt": {"learning_rate": 1e-3, "epochs": 2, "beta": 0.3},
    "spul": {
        "learning_rate": 2e-2,
        "epochs": 3,
        "prompt_tokens": 5,
        "alpha": 0.7,
        "beta": 0.4,
        "reparametrise": True,
        "mlp_hidden": 16,
    },
}
RECIPE = {
    "kind": "full",
    "rank": 4,
    "alpha": 8,
    "dropout": 0.0,
    "learning_rate": 5e-3,
    "batch_size": BATCH,
    "epochs": 3,
    "warmup_ratio": 0.2,
    "weight_decay": 0.01,
    "max_grad_norm": 0.5,
}
TARGETS = {"llama": ("q_proj", "v_proj"), "opt": ("q_proj", "v_proj"), "gpt2": ("c_attn",)}


# Labels of one and of several tokens, two of which begin with the same ones.
LABELS = ("negative", "zygote quartz", "zygote zylon")
GENERIC = ("neutral", "none at all")


class ReferenceTask(Task):
    """Reviews with labels of different lengths."""

    name = "toy"
    title = "Toy"
    description = "Reviews for tests."
    labels = LABELS

    def splits(self, source: object, seed: int) -> Splits:
        made = [
            tuple(review(f"{text} {word}", LABELS[i % 3]) for i, text in enumerate(TEXTS))
            for word in ("again", "indeed")
        ]
        return Splits(made[0][:4], made[0][4:], made[1][:4], made[1][4:])


class KilledError(Exception):
    """Stands in for the end of a process."""


def network_of(family: str, vocabulary: int) -> PreTrainedModel:
    """A tiny random model without dropout, which would draw other masks for other passes."""
    made: PreTrainedModel = {"llama": tiny_llama, "opt": tiny_opt, "gpt2": tiny_gpt2}[family](vocabulary)
    for name in ("dropout", "attention_dropout", "resid_pdrop", "embd_pdrop", "attn_pdrop"):
        if hasattr(made.config, name):
            setattr(made.config, name, 0.0)
    return made


def tokenizer_of(family: str) -> PreTrainedTokenizerFast:
    return {"llama": llama_tokenizer, "opt": opt_tokenizer, "gpt2": gpt2_tokenizer}[family]()


@dataclass(frozen=True)
class Case:
    """One cell, by the engine and by the reference."""

    folder: Path
    family: str
    method: str
    low: bool = False
    dtype: str = "float32"
    base: str = "full"
    killed: bool = False
    reparametrise: bool = True

    @property
    def base_settings(self) -> dict[str, Any]:
        return {**RECIPE, "kind": self.base, "target_modules": TARGETS[self.family]}

    @property
    def values(self) -> dict[str, Any]:
        own = VALUES[self.method]
        return {**own, "reparametrise": self.reparametrise} if self.method == "spul" else own

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerFast:
        return tokenizer_of(self.family)

    @cached_property
    def cell(self) -> Cell:
        if not self.folder.is_dir():
            network_of(self.family, len(self.tokenizer)).save_pretrained(self.folder)
            self.tokenizer.save_pretrained(self.folder)
        spec = ModelSpec("mine", "Mine", "For tests.", str(self.folder))
        installed = Registry(
            {"toy": Registered(ReferenceTask, ORIGIN)}, registry().methods, {"mine": Registered(spec, ORIGIN)}
        )
        settings = {
            "tasks": ["toy"],
            "methods": [self.method],
            "models": ["mine"],
            "seeds": [SEED],
            "preset": "small",
            "checkpoint_seconds": 0,
            "generic_labels": GENERIC,
            # Two rows in a pass.
            "model": {
                "device": "cpu",
                "dtype": self.dtype,
                "compute_dtype": "bfloat16" if self.low else "float32",
                "tokens_per_pass": 80,
            },
            "base": self.base_settings,
            "tuning": {"trials": 0},
        }
        config = build_config({}, settings)
        values = {**self.values, "batch_size": BATCH, "warmup_ratio": 0.3, "weight_decay": 0.02, "max_grad_norm": 0.7}
        config = config.model_copy(update={"set": {self.method: values}, "max_train": None, "max_test": None})
        (found,) = [cell for cell in build_grid(config, installed) if cell.choice is not None]
        return found

    @property
    def schedule(self) -> plain.Schedule:
        return plain.Schedule(self.values["learning_rate"], self.values["epochs"], BATCH, 0.3, 0.02, 0.7)


@dataclass(frozen=True)
class Outcome:
    """What one side found.

    Attributes:
        trained: the weights, or the prompt, after the method.
        dtypes: precision of a layer's output in every forward pass of the method's training.
    """

    base: dict[str, torch.Tensor]
    base_scores: dict[str, Any]
    trained: dict[str, torch.Tensor]
    losses: list[float]
    scores: dict[str, Any]
    dtypes: tuple[torch.dtype, ...] = ()


def dying(step: int) -> OnStep:
    """Ends the process at a step."""

    def on_step(progress: Progress) -> None:
        if progress.step == step:
            raise KilledError

    return on_step


def weights(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """All weights but the keys' biases, which no softmax sees: their gradient is rounding, blown up by AdamW."""
    found = {name: parameter.detach().float() + 0.0 for name, parameter in network.named_parameters()}
    for name, value in found.items():
        if name.endswith("k_proj.bias"):
            value.zero_()
        if name.endswith("c_attn.bias"):
            value.chunk(3)[1].zero_()
    return found


def by_the_engine(case: Case) -> Outcome:
    """Base stage, method and evaluation on the trainer that a run uses; a killed one begins with a new trainer."""
    cell = case.cell
    assert cell.choice is not None
    method = cell.choice.build(cell.choice.defaults)
    trainer = Trainer(cell.scenario)
    if case.killed:
        with pytest.raises(KilledError):
            trainer.slot.made(BASE, dying(5))
        trainer = Trainer(cell.scenario)
    with trainer.slot.lent(BASE) as base:
        start, base_scores = weights(base.network), trainer.evaluate_all(base)[0]
    checkpoints = Checkpoints(case.folder.with_name(f"{case.folder.name}-checkpoints"), 0)
    if case.killed:
        with pytest.raises(KilledError), trainer.unlearn(method, dying(2), checkpoints):
            pass
        trainer = Trainer(cell.scenario)
    losses: list[float] = []
    dtypes: list[torch.dtype] = []
    with trainer.slot.lent(BASE) as base:
        modules = dict(base.network.named_modules())
    layer = next(module for name, module in modules.items() if name.endswith(TARGETS[case.family][0]))

    def record(_: torch.nn.Module, __: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        if torch.is_grad_enabled():
            dtypes.append(output.dtype)

    handle = layer.register_forward_hook(record)
    with trainer.unlearn(method, lambda progress: losses.append(progress.loss), checkpoints) as (model, _):
        handle.remove()
        trained = weights(model.network) if model.prompt is None else {"prompt": model.prompt}
        return Outcome(start, base_scores, trained, losses, trainer.evaluate_all(model)[0], tuple(dtypes))


def by_the_reference(case: Case) -> Outcome:
    splits = ReferenceTask().splits(None, 0)

    def rows(examples: Sequence[Example], answers: Sequence[str] = ()) -> list[plain.Row]:
        given = answers or [example.answer for example in examples]
        return [plain.tokens(case.tokenizer, e.prompt, answer) for e, answer in zip(examples, given, strict=True)]

    def scores(network: torch.nn.Module) -> dict[str, plain.Scores]:
        return {
            name: plain.evaluate(
                network, case.tokenizer, [(e.prompt, e.answer) for e in examples], [*LABELS, *GENERIC], case.low
            )
            for name, examples in splits.items()
        }

    draw = random.Random(SEED)
    parts = {
        "forget": rows(splits.train_forget),
        "generic": rows(splits.train_forget, [draw.choice(GENERIC) for _ in splits.train_forget]),
        "retain": rows(splits.train_retain),
    }
    lora = {
        "r": RECIPE["rank"],
        "lora_alpha": RECIPE["alpha"],
        "lora_dropout": 0.0,
        "target_modules": TARGETS[case.family],
    }
    base = plain.base_stage(
        AutoModelForCausalLM.from_pretrained(case.folder, dtype=case.dtype),
        parts["forget"] + parts["retain"],
        lora if case.base == "lora" else None,
        plain.Schedule(**{name: RECIPE[name] for name in plain.Schedule.__annotations__}),
        SEED,
        case.low,
    )
    start, base_scores = weights(base), scores(base)
    model, losses = plain.unlearn(case.method, base, parts, case.values, case.schedule, SEED, case.low)
    trained = {"prompt": model.get_prompt(1)[0].detach()} if case.method == "spul" else weights(model)
    return Outcome(start, base_scores, trained, losses, scores(model))


def error(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], start: dict[str, torch.Tensor]) -> float:
    """Norm of the difference as a share of the norm of what training changed."""
    assert found.keys() == expected.keys()
    wrong = sum(float((found[name] - expected[name]).square().sum()) for name in expected)
    moved = sum(float((expected[name] - start[name]).square().sum()) for name in expected)
    return (wrong / moved) ** 0.5


def errors(case: Case, found: Outcome, expected: Outcome) -> tuple[float, float]:
    """Those of the base model and of what the method trained (of a prompt: as a share of the prompt itself)."""
    vanilla = weights(AutoModelForCausalLM.from_pretrained(case.folder))
    zero = {name: torch.zeros_like(value) for name, value in expected.trained.items()}
    start = zero if case.method == "spul" else expected.base
    return error(found.base, expected.base, vanilla), error(found.trained, expected.trained, start)


def same_scores(found: dict[str, Evaluation], expected: dict[str, plain.Scores], tolerance: float) -> None:
    """Log-probabilities, predictions and metrics; of the latter what does not hang on less than `tolerance`."""
    assert found.keys() == expected.keys()
    for split, scores in expected.items():
        ours = found[split]
        assert ours.predictions.log_probabilities == pytest.approx(scores.log_probability, abs=tolerance)
        sure = [margin > tolerance for margin in scores.margins]
        for answer, mine, theirs in zip(
            compress(ours.predictions.answers, sure),
            compress(ours.predictions.predicted, sure),
            compress(scores.predicted, sure),
            strict=True,
        ):
            assert mine == theirs if theirs else mine not in {answer, *LABELS, *GENERIC}
        if all(sure):
            assert (ours.accuracy, WeightedF1().compute(ours.predictions)) == pytest.approx(
                (scores.accuracy, scores.f1)
            )


def check(case: Case) -> None:
    """In float32 the engine agrees to rounding."""
    ours, theirs = by_the_engine(case), by_the_reference(case)
    assert set(ours.dtypes) == {torch.float32}
    assert len(ours.dtypes) > len(ours.losses), "several passes in some steps"
    assert ours.losses == pytest.approx(theirs.losses[-len(ours.losses) :], rel=1e-4, abs=1e-5)
    base, method = errors(case, ours, theirs)
    assert base < 1e-4
    assert method < 1e-3
    for found, expected in ((ours.base_scores, theirs.base_scores), (ours.scores, theirs.scores)):
        same_scores(found, expected, 1e-4)
        margins = [margin for scores in expected.values() for margin in scores.margins]
        assert sum(margin > 1e-4 for margin in margins) >= 0.9 * len(margins), "nearly all were compared"


@pytest.mark.parametrize("method", METHODS)
def test_cell_is_that_of_plain_pytorch(method: str, tmp_path: Path) -> None:
    check(Case(tmp_path / "model", "llama", method))


@pytest.mark.parametrize(("family", "base"), [("llama", "full"), pytest.param("opt", "lora", marks=pytest.mark.slow)])
def test_retrained_model_is_the_base_recipe_of_plain_pytorch_on_the_retain_set_alone(
    family: str, base: str, tmp_path: Path
) -> None:
    case = Case(tmp_path / "model", family, "ga", base=base)
    trainer = Trainer(case.cell.scenario)
    expected = retrained_by_the_reference(case)
    with pytest.raises(KilledError):
        trainer.slot.made(RETRAIN, dying(2))
    trainer = Trainer(case.cell.scenario)
    vanilla = weights(AutoModelForCausalLM.from_pretrained(case.folder))
    with trainer.slot.lent(BASE) as model:
        start = weights(model.network)
    assert error(start, expected, vanilla) > 0.1, "the base model is another one"
    with trainer.slot.lent(RETRAIN) as model:
        assert error(weights(model.network), expected, vanilla) < 1e-4
    # One set of weights in memory, whichever was there before.
    with trainer.slot.lent(BASE) as model:
        assert error(weights(model.network), start, vanilla) == 0
    assert case.cell.choice is not None
    with trainer.unlearn(case.cell.choice.build(case.cell.choice.defaults), lambda progress: None):
        pass
    with trainer.slot.lent(RETRAIN) as model:
        assert error(weights(model.network), expected, vanilla) < 1e-4


def retrained_by_the_reference(case: Case) -> dict[str, torch.Tensor]:
    rows = [plain.tokens(case.tokenizer, e.prompt, e.answer) for e in ReferenceTask().splits(None, 0).train_retain]
    lora = {
        "r": RECIPE["rank"],
        "lora_alpha": RECIPE["alpha"],
        "lora_dropout": 0.0,
        "target_modules": TARGETS[case.family],
    }
    schedule = plain.Schedule(**{name: RECIPE[name] for name in plain.Schedule.__annotations__})
    network = AutoModelForCausalLM.from_pretrained(case.folder, dtype=case.dtype)
    return weights(plain.base_stage(network, rows, lora if case.base == "lora" else None, schedule, SEED, case.low))


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("family", "base"), [("gpt2", "full"), ("opt", "lora")])
def test_cell_that_was_killed_in_both_stages_is_that_of_plain_pytorch(
    family: str, base: str, method: str, tmp_path: Path
) -> None:
    check(Case(tmp_path / "model", family, method, base=base, killed=True))


@pytest.mark.parametrize("family", ["llama", pytest.param("gpt2", marks=pytest.mark.slow)])
def test_prompt_without_an_mlp_is_that_of_plain_peft(family: str, tmp_path: Path) -> None:
    check(Case(tmp_path / "model", family, "spul", reparametrise=False))


def check_low(case: Case) -> None:
    """In bfloat16 the engine agrees but for rounding: other sums are rounded in other places.

    AdamW makes steps of full size of the smallest gradients. So weights can't agree better than to a few times what
    rounding does to the reference's own weights.
    """
    ours, theirs = by_the_engine(case), by_the_reference(case)
    exact = by_the_reference(replace(case, low=False, dtype="float32"))
    assert set(ours.dtypes) == {torch.bfloat16}, "in every pass"
    rounding = errors(case, exact, theirs)
    for mine, own in zip(errors(case, ours, theirs), rounding, strict=True):
        assert mine < 2 * own
    assert ours.losses == pytest.approx(theirs.losses, rel=0.05, abs=0.05)
    same_scores(ours.base_scores, theirs.base_scores, 0.15)
    same_scores(ours.scores, theirs.scores, 0.15)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_low_precision_is_plain_autocast(family: str, method: str, tmp_path: Path) -> None:
    check_low(Case(tmp_path / "model", family, method, low=True))


@pytest.mark.slow
@pytest.mark.parametrize("method", ["ga-gd", "npo-rt", "spul"])
def test_weights_in_bfloat16_are_updated_as_their_float32_copies_would_be(method: str, tmp_path: Path) -> None:
    check_low(Case(tmp_path / "model", "llama", method, dtype="bfloat16"))
