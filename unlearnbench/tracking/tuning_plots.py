"""Draws Optuna's plots of a study."""

from __future__ import annotations

import math
import warnings
from pathlib import Path


def draw_study(storage: str, name: str, folder: Path) -> None:
    """Writes `history.png` (objective of each trial) and `slice.png` (objective against each tuned value).

    Draws nothing if no trial completed: Optuna leaves pruned trials out of both. Values that are the same in all
    trials have no slice.
    """
    import matplotlib
    import optuna

    matplotlib.use("agg")
    study = optuna.load_study(study_name=name, storage=storage)
    complete = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    trials = [trial for trial in complete if math.isfinite(trial.value)]
    if not trials:
        return
    folder.mkdir(parents=True)
    objective = "objective on training splits"
    with warnings.catch_warnings():
        # Optuna's plots may change, as it says at each call.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        plots = optuna.visualization.matplotlib
        plots.plot_optimization_history(study, target_name=objective)
        _save(folder / "history.png")
        if varied := _varied([trial.params for trial in trials]):
            plots.plot_slice(study, params=varied, target_name=objective)
            _save(folder / "slice.png")


def _varied(values: list[dict[str, object]]) -> list[str]:
    """Keys that have several values: the axis of a single one would have no extent, of which Matplotlib warns."""
    keys = {key for trial in values for key in trial}
    return sorted(key for key in keys if len({trial[key] for trial in values if key in trial}) > 1)


def _save(file: Path) -> None:
    import matplotlib.pyplot as plt

    plt.gcf().savefig(file, bbox_inches="tight")
    plt.close("all")
