"""Checks of every method, on a tiny random model."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, get_args

from unlearnbench.contract.batch import Part, PartName, ReferenceKind
from unlearnbench.contract.hyperparameters import Choice, LogUniform, declared
from unlearnbench.contract.method import Method
from unlearnbench.testing.check import Check, require, require_texts
from unlearnbench.testing.rig import STEPS, Rig

if TYPE_CHECKING:
    from torch import Tensor

    from unlearnbench.contract.batch import Batch


def method_checks(method: type[Method]) -> list[Check]:
    """All checks of a method class."""
    checks: dict[str, Callable[[type[Method]], None]] = {
        "declares what it is": _declares,
        "hyper-parameters can be sampled": _samples,
        "loss is finite and differentiable": _finite,
        "reads the parts it declares": _reads_declared_parts,
        "lowers its own objective": _lowers,
        "trains only what it declares": _trains_declared,
        "is deterministic under a seed": _deterministic,
        "survives a batch without forget or without retain examples": _survives_empty,
        "passes add up to the step": _adds_up,
    }
    name = getattr(method, "name", method.__name__)
    return [Check(str(name), title, partial(check, method)) for title, check in checks.items()]


def _declares(method: type[Method]) -> None:
    require_texts(method, method.__name__)
    name = method.name
    require(name == name.strip().lower() and " " not in name and "/" not in name, f"name {name!r} must be lower case")
    uses = getattr(method, "uses", ())
    known = get_args(PartName)
    require(uses and set(uses) <= set(known), f"{name}.uses is {uses!r}, but must name some of {', '.join(known)}")
    for part, kind in method.references.items():
        require(part in uses, f"{name}.references names {part!r}, which is not in uses {uses!r}")
        kinds = get_args(ReferenceKind)
        require(kind in kinds, f"{name}.references[{part!r}] is {kind!r}, but must be one of {', '.join(kinds)}")
    instance = method()
    for layers in (2, 12, 32):
        layer = instance.hidden_layer(layers)
        require(
            layer is None or 1 <= layer <= layers,
            f"{name}.hidden_layer is {layer} for a model of {layers} layers, but must be from 1 to {layers}",
        )
    needs_layer = "hidden_states" in method.references.values()
    require(
        not needs_layer or instance.hidden_layer(2) is not None,
        f"{name} refers to hidden states, but names no hidden_layer",
    )


def _samples(method: type[Method]) -> None:
    generator = random.Random(0)
    for _ in range(10):
        values = {}
        for name, parameter in declared(method).items():
            if isinstance(parameter, Choice):
                values[name] = generator.choice(parameter.choices)
            elif isinstance(parameter, LogUniform):
                low, high = math.log(parameter.low), math.log(parameter.high)
                values[name] = min(parameter.high, max(parameter.low, math.exp(generator.uniform(low, high))))
        instance = method(**values)
        for name, value in values.items():
            actual = getattr(instance, name)
            require(actual == value, f"{method.name}.{name} was set to {value!r}, but is {actual!r}")


def _finite(method: type[Method]) -> None:
    rig = Rig(method())
    loss, gradients = rig.gradients(rig.everything)
    require(math.isfinite(loss), f"{method.name}.loss is {loss}")
    require(bool(gradients.isfinite().all()), f"{method.name}.loss has gradients that are not finite")
    require(float(gradients.norm()) > 0, f"{method.name}.loss has no gradient on what the method trains")


def _reads_declared_parts(method: type[Method]) -> None:
    read: set[str] = set()

    class Recording(dict[PartName, Part]):
        def __getitem__(self, name: PartName) -> Part:
            require(name in self, f"{method.name}.loss reads batch.{name}, but uses is {method.uses!r}")
            read.add(name)
            return super().__getitem__(name)

    instance = method()
    original = instance.loss

    def loss(batch: Batch) -> Tensor:
        batch.parts = Recording(batch.parts)
        return original(batch)

    instance.loss = loss  # type: ignore[method-assign]
    rig = Rig(instance)
    rig.step(rig.everything)
    unused = set(method.uses) - read
    require(not unused, f"{method.name}.uses names {', '.join(sorted(unused))}, but loss never reads it")


def _lowers(method: type[Method]) -> None:
    losses = Rig(method()).train()
    require(
        losses[-1] < losses[0], f"{method.name}.loss went from {losses[0]:.4f} to {losses[-1]:.4f} in {STEPS} steps"
    )


def _trains_declared(method: type[Method]) -> None:
    instance = method()
    rig = Rig(instance)
    before = {name: parameter.detach().clone() for name, parameter in rig.network.named_parameters()}
    rig.train()
    changed = [name for name, parameter in rig.network.named_parameters() if not parameter.equal(before[name])]
    if rig.prompt is not None:
        require(not changed, f"{method.name} trains a soft prompt, but the model's weights changed")
        return
    require(changed, f"{method.name} trains the weights, but none of them changed")
    layers = int(rig.network.config.num_hidden_layers)
    unexpected = [name for name in changed if not instance.trains(name, layers)]
    require(not unexpected, f"{method.name} does not train {', '.join(unexpected)}, but they changed")


def _deterministic(method: type[Method]) -> None:
    first, second = Rig(method()), Rig(method())
    require(first.train() == second.train(), f"{method.name} has other losses when it is trained a second time")
    same = all(a.equal(b) for a, b in zip(first.trained, second.trained, strict=True))
    require(same, f"{method.name} ends with other weights when it is trained a second time")


def _survives_empty(method: type[Method]) -> None:
    rig = Rig(method())
    sides = {"forget": rig.everything[: rig.data.forget_size], "retain": rig.everything[rig.data.forget_size :]}
    for side, items in sides.items():
        if items and len(items) < rig.data.size:
            loss, gradients = rig.gradients(items)
            require(
                math.isfinite(loss) and bool(gradients.isfinite().all()),
                f"{method.name}.loss is {loss} in a batch of only {side} examples; use the part's own means",
            )


def _adds_up(method: type[Method]) -> None:
    whole, cut = Rig(method()), Rig(method(), budget=12)
    (loss, gradients), (loss_cut, gradients_cut) = (rig.gradients(rig.everything) for rig in (whole, cut))
    error = float((gradients - gradients_cut).norm() / gradients.norm())
    require(
        math.isclose(loss, loss_cut, rel_tol=1e-3, abs_tol=1e-5) and error < 1e-3,
        f"{method.name}.loss is {loss:.5f} in one pass and {loss_cut:.5f} in several, gradients differ by {error:.1%}: "
        "take means with mean_over_tokens, mean_over_examples or mean_over_input_tokens",
    )
