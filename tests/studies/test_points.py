"""The settings that a study compares."""

from __future__ import annotations

from unlearnbench.config import RunConfig
from unlearnbench.studies.points import STUDIES, alpha_beta, forget_size, models, prompt_length

CONFIG = RunConfig(methods=("spul",), models=("a", "b"), set={"spul": {"prompt_tokens": 20, "alpha": 0.5}, "ga": {}})


def test_alpha_beta_is_the_papers_grid() -> None:
    points = alpha_beta(CONFIG)
    pairs = [(point.values["alpha"], point.values["beta"]) for point in points]
    assert pairs == [(alpha, beta) for alpha in (0.1, 0.5, 1.0) for beta in (0.0, 0.1, 0.5, 1.0)]
    assert points[-1].config.set["spul"] == {"prompt_tokens": 20, "alpha": 1.0, "beta": 1.0}
    assert points[-1].config.set["ga"] == {}


def test_prompt_length_fixes_the_weights() -> None:
    settings = [point.config.set["spul"] for point in prompt_length(CONFIG)]
    assert [values["prompt_tokens"] for values in settings] == [10, 20, 30, 40, 50]
    assert all(values["alpha"] == values["beta"] == 1.0 for values in settings)


def test_forget_size_and_models() -> None:
    assert [point.config.forget_fraction for point in forget_size(CONFIG)] == [0.25, 0.5, 1.0]
    assert [point.config.models for point in models(CONFIG)] == [("a",), ("b",)]


def test_every_study_names_the_columns_of_its_points() -> None:
    for study in STUDIES.values():
        assert all(tuple(point.values) == tuple(study.columns) for point in study.points(CONFIG))
