"""Draws Optuna's plots of a study."""

from __future__ import annotations

import warnings
from pathlib import Path


def draw_study(storage: str, name: str, folder: Path) -> None:
    """Writes `history.png` (objective of each trial) and `slice.png` (objective against each tuned value).

    Draws nothing if no trial completed: Optuna leaves pruned trials out of both.
    """
    import matplotlib
    import optuna

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    study = optuna.load_study(study_name=name, storage=storage)
    if not study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,)):
        return
    folder.mkdir(parents=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        plots = optuna.visualization.matplotlib
        for plot, file in ((plots.plot_optimization_history, "history.png"), (plots.plot_slice, "slice.png")):
            plot(study, target_name="objective on training splits")
            plt.gcf().savefig(folder / file, bbox_inches="tight")
            plt.close("all")
