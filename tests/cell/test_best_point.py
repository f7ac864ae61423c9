"""The best point's parameters are those of that moment, whatever the training does afterwards."""

from __future__ import annotations

from typing import Any

import torch

from unlearnbench.cell.best_point import Best


def keeps_more(forget: float, retain: float) -> float:
    """An objective."""
    return retain - forget


def test_best_parameters_are_put_back() -> None:
    parameter = torch.nn.Parameter(torch.zeros(2))
    notes: dict[str, Any] = {}
    kept: list[torch.Tensor] = []
    best = Best([parameter], keeps_more, notes, kept)
    for step, retain in enumerate((0.5, 0.9, 0.7), start=1):
        parameter.data.fill_(step)
        best.consider(step, 0.0, retain)
    assert parameter.tolist() == [3, 3]
    # A process that goes on with the snapshot finds what was best before.
    other = torch.nn.Parameter(torch.full((2,), 4.0))
    resumed = Best([other], keeps_more, notes, [values.clone() for values in kept])
    resumed.consider(4, 0.0, 0.8)
    assert resumed.put_back() == 2
    assert other.tolist() == [2, 2]
    assert other.requires_grad


def test_of_equal_points_the_latest_is_kept() -> None:
    parameter = torch.nn.Parameter(torch.ones(1))
    best = Best([parameter], keeps_more, {}, [])
    best.consider(1, 0.2, 0.9)
    parameter.data.fill_(2)
    best.consider(2, 0.2, 0.9)
    assert best.put_back() == 2
    assert parameter.item() == 2
