"""Runs and leaderboards as data frames, for notebooks and scripts."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pandas as pd

    from unlearnbench.leaderboard.entry import Entry

LISTS = ("tasks", "methods", "models", "seeds", "generic_labels")


def load_leaderboard(source: str | PathLike[str]) -> pd.DataFrame:
    """The results of a leaderboard, one line for each model, task, row and seed, oldest first.

    Columns are those of `leaderboard.csv`: `task`, `model`, `row` (a method, or `vanilla` or `base`), `title`, `seed`,
    `preset`, `trial_budget`, then `metrics.*` (accuracies and F1 as shares, seconds, bytes, counts),
    `hyperparameters.*`, `versions.*`, `hardware.*` and `data.*`; and `metrics.trade_off`, relative to the base model of
    the same seed (protocol, stage 4), which tables show and files do not hold.

    Args:
        source: a results folder, a folder with `leaderboard.json`, a `.json` or `.csv` file, or the URI of an MLflow
            store.

    Raises:
        UserError: it can't be read, or an entry can't be true.
    """
    from unlearnbench.leaderboard.reading import read_leaderboard

    return _frame(read_leaderboard(str(source))[0])


def run(
    settings: str | PathLike[str] | Mapping[str, Any] | None = None,
    *,
    again: Literal["nothing", "failed", "all"] = "nothing",
    quiet: bool = False,
    **changes: Any,
) -> pd.DataFrame:
    """Runs a grid as the command `unlearnbench run` does, and returns its results as `load_leaderboard` does.

    Cells that have a result are not run again, so that the same call continues an interrupted one. The results folder
    gets its leaderboard, too.

        unlearnbench.run(tasks="sst2", methods=["spul", "ga-gd"], seeds=[0, 1, 2], tuning={"trials": 4})

    Args:
        settings: a YAML file (what `--save-config` writes), or settings as a mapping.
        again: which cells are run though they have ended before: none, those that failed, or all.
        quiet: one line for each cell.
        changes: settings by name, which win over `settings`: `preset`, `tasks`, `methods`, `models`, `seeds`,
            `results`, `tuning={...}`, `set={"spul": {...}}` and all others. Names may be one text with commas.

    Returns:
        The results of the grid's cells. Cells that failed are missing there; each is told in a warning, and
        `frame.attrs["failed"]` has the reasons by name.

    Raises:
        UserError: a setting, a name, data or a model can't be used.
    """
    from rich.console import Console

    from unlearnbench.config import build_config, read_file
    from unlearnbench.console.say import say
    from unlearnbench.grid.choosing import check_names, with_own_names
    from unlearnbench.models.threads import wait_passively
    from unlearnbench.plugins import registry
    from unlearnbench.storage.cache import check_cache

    wait_passively()
    given = read_file(Path(settings)) if isinstance(settings, str | PathLike) else _listed(settings or {})
    config = build_config(given, _listed(changes))
    known, console = registry(), Console(quiet=quiet)
    for problem in known.problems:
        warnings.warn(problem, stacklevel=2)
    config, renamed = with_own_names(config, known)
    for sentence in renamed:
        say(console, sentence)
    check_names(config, known)
    from unlearnbench.console.quiet import quiet_libraries
    from unlearnbench.grid.display import make_display
    from unlearnbench.grid.plan import plan_run
    from unlearnbench.leaderboard.stored import read_entries
    from unlearnbench.leaderboard.write import write_leaderboard
    from unlearnbench.processes.run import run_cells

    quiet_libraries()
    check_cache()
    plan = plan_run(config, known, again=again)
    display = make_display(console, list(plan.todo.values()), quiet, plan.processes.count)
    outcome = run_cells(
        plan.config, plan.store, plan.cells, plan.todo, display, plan.processes.count, force=again == "all"
    )
    entries = read_entries(plan.store)
    if entries:
        write_leaderboard(entries, plan.store.results, failed=list(plan.store.failed_cells().values()))
    failed = {**plan.unusable, **plan.failed_names, **outcome.failed}
    for name, reason in failed.items():
        warnings.warn(f"failed: {name}: {reason}", stacklevel=2)
    frame = _frame([entry for entry in entries if entry.key in plan.keys])
    frame.attrs["failed"] = failed
    return frame


def _frame(entries: Sequence[Entry]) -> pd.DataFrame:
    from unlearnbench.leaderboard.files import to_frame

    return to_frame(_with_trade_offs(entries))


def _with_trade_offs(entries: Sequence[Entry]) -> list[Entry]:
    from unlearnbench.leaderboard.blocks import with_scores
    from unlearnbench.leaderboard.grouping import group_entries

    found = {
        entry.key: with_scores(entry, group.yardstick)
        for group in group_entries(entries, all_settings=True)
        for row in group.rows.values()
        for entry in row.entries
    }
    return [found.get(entry.key, entry) for entry in entries]


def _listed(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings in which a single name, or names with commas between them, are a list."""
    listed = dict(settings)
    for name in LISTS:
        value = listed.get(name)
        if isinstance(value, str):
            listed[name] = [part.strip() for part in value.split(",") if part.strip()]
        elif isinstance(value, int):
            listed[name] = [value]
        elif isinstance(value, range):
            listed[name] = list(value)
    return listed
