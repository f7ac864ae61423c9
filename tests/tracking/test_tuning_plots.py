"""Pictures of a tuning study."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import optuna
import pytest
from PIL import Image

from unlearnbench.tracking.tuning_plots import draw_study

RATES = optuna.distributions.FloatDistribution(1e-5, 1e-1, log=True)
EPOCHS = optuna.distributions.IntDistribution(1, 8)
KINDS = optuna.distributions.CategoricalDistribution(["text", "random"])


def stored(folder: Path, values: list[dict[str, object]], states: list[str] | None = None) -> str:
    """The storage of a study with a trial for each of the values."""
    storage = f"sqlite:///{folder / 'studies.db'}"
    study = optuna.create_study(study_name="study", storage=storage)
    kinds = {"learning_rate": RATES, "epochs": EPOCHS, "initialised": KINDS}
    for number, value in enumerate(values):
        state = optuna.trial.TrialState[states[number] if states else "COMPLETE"]
        given = 0.1 * number if state == optuna.trial.TrialState.COMPLETE else None
        distributions = {key: kinds[key] for key in value}
        study.add_trial(optuna.trial.create_trial(params=value, distributions=distributions, value=given, state=state))
    return storage


def drawn(folder: Path, storage: str, caplog: pytest.LogCaptureFixture) -> set[str]:
    """Names of the pictures; warnings of libraries are errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw_study(storage, "study", folder / "tuning")
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    return {file.name for file in (folder / "tuning").glob("*")}


@pytest.mark.parametrize(
    ("values", "slices"),
    [
        ([{"learning_rate": 1e-3, "epochs": 2, "initialised": "text"}], False),
        ([{"learning_rate": 1e-3, "epochs": 2, "initialised": "text"}] * 2, False),
        ([{"learning_rate": rate, "epochs": 2, "initialised": "text"} for rate in (1e-4, 1e-3)], True),
        ([{"learning_rate": rate, "epochs": 2} for rate in (1e-4, 1e-3)] + [{"learning_rate": 1e-2}], True),
        ([{}, {}], False),
    ],
)
def test_studies_are_drawn_without_a_warning(
    values: list[dict[str, object]], slices: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = drawn(tmp_path, stored(tmp_path, values), caplog)
    assert names == ({"history.png", "slice.png"} if slices else {"history.png"})
    for name in names:
        with Image.open(tmp_path / "tuning" / name) as picture:
            assert len(set(picture.convert("L").getdata())) > 2


def test_each_value_that_was_tuned_has_a_slice(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Three panels are wider than one."""
    tried = [(1e-4, 2, "text"), (1e-3, 4, "random")]
    three = [{"learning_rate": rate, "epochs": epochs, "initialised": kind} for rate, epochs, kind in tried]
    one = [{"learning_rate": rate, "epochs": 2, "initialised": "text"} for rate, *_ in tried]
    shapes = []
    for name, values in (("one", one), ("three", three)):
        (tmp_path / name).mkdir()
        drawn(tmp_path / name, stored(tmp_path / name, values), caplog)
        with Image.open(tmp_path / name / "tuning" / "slice.png") as picture:
            shapes.append(picture.width / picture.height)
    assert shapes[1] > 1.2 * shapes[0]


def test_a_study_without_a_complete_trial_is_not_drawn(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    storage = stored(tmp_path, [{"learning_rate": 1e-3}], ["PRUNED"])
    assert drawn(tmp_path, storage, caplog) == set()
