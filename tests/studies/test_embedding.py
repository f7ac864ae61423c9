"""Separability of known clouds of points."""

from __future__ import annotations

import numpy as np
import pytest

from unlearnbench.studies.embedding import Embedding, project, separability


def cloud(distance: float) -> Embedding:
    """Two Gaussian clouds of 40 points in 8 dimensions, `distance` apart."""
    generator = np.random.default_rng(0)
    states = generator.normal(size=(80, 8))
    states[:40, 0] += distance
    return Embedding("x", states, np.arange(80) < 40, ["positive", "negative"] * 40)


def test_far_clouds_are_separable_and_near_ones_are_not() -> None:
    far, near = separability(cloud(50)), separability(cloud(0))
    assert far.probe == 1
    assert far.silhouette > 0.8
    assert near.probe == pytest.approx(0.5, abs=0.15)
    assert abs(near.silhouette) < 0.05
    assert abs(far.label_silhouette) < 0.1


def test_probe_is_tested_on_points_it_has_not_seen() -> None:
    """With more dimensions than points a probe that sees its test points would be right on all of them."""
    generator = np.random.default_rng(1)
    noise = Embedding("x", generator.normal(size=(40, 200)), np.arange(40) < 20, ["a", "b"] * 20)
    assert separability(noise).probe < 0.75


def test_projection_keeps_far_clouds_apart_and_is_repeatable() -> None:
    found = project(cloud(50))
    assert found.shape == (80, 2)
    gap = np.linalg.norm(found[:40].mean(0) - found[40:].mean(0))
    assert gap > 2 * max(found[:40].std(0).max(), found[40:].std(0).max())
    assert np.array_equal(found, project(cloud(50)))
