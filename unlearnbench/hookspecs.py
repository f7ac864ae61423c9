"""The hooks a plugin implements. An entry point of group "unlearnbench" names the module that holds them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from unlearnbench.contract.method import Method
    from unlearnbench.contract.metrics import Metric
    from unlearnbench.contract.model_spec import ModelSpec
    from unlearnbench.contract.task import Task, TransferTask

PROJECT = "unlearnbench"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def register_tasks() -> list[type[Task] | type[TransferTask]]:  # type: ignore[empty-body]
    """Task classes this plugin adds."""


@hookspec
def register_methods() -> list[type[Method]]:  # type: ignore[empty-body]
    """Method classes this plugin adds."""


@hookspec
def register_models() -> list[ModelSpec]:  # type: ignore[empty-body]
    """Models this plugin gives a short name."""


@hookspec
def register_metrics() -> list[type[Metric]]:  # type: ignore[empty-body]
    """Metrics, computed on every split beside accuracy and weighted F1."""
