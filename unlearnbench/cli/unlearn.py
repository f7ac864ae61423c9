"""``unlearnbench unlearn``: a model of one's own forgets texts of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from unlearnbench.cli.listing import print_problems
from unlearnbench.cli.options import Assignments, Device, Preset, Quiet, Results, Trials, merged
from unlearnbench.config import build_config
from unlearnbench.console.say import say
from unlearnbench.data.own_task import PREFIX, check_file, shown_name
from unlearnbench.errors import UserError
from unlearnbench.grid.choosing import check_names, with_own_names
from unlearnbench.plugins import registry

if TYPE_CHECKING:
    from unlearnbench.config import RunConfig


def unlearn(
    model: Annotated[str, typer.Option(help="Model to unlearn: a folder, a hub id or a short name.")],
    output: Annotated[Path, typer.Option(help="New folder for the unlearned model and its card.")],
    method: Annotated[str, typer.Option(help="Unlearning method.")] = "spul",
    forget: Annotated[Path | None, typer.Option(help="File of the rows to forget: prompt and answer.")] = None,
    retain: Annotated[Path | None, typer.Option(help="File of rows to keep: prompt and answer.")] = None,
    data: Annotated[
        Path | None, typer.Option(help="Instead: a table with a column that marks what to forget, or a folder.")
    ] = None,
    fine_tune: Annotated[
        bool, typer.Option("--fine-tune", help="Fine-tune the model on all rows first, if it does not know them.")
    ] = False,
    preset: Preset = None,
    seed: Annotated[int, typer.Option(min=0, help="Of training and tuning.")] = 0,
    trials: Trials = None,
    device: Device = None,
    set_: Assignments = None,
    results: Results = None,
    quiet: Quiet = False,
) -> None:
    """Let a model of your own forget texts of your own; writes an adapter or checkpoint with a card of its scores."""
    task, options = _rows(forget, retain, data)
    flags = {
        "preset": preset,
        "tasks": [task],
        "models": [model],
        "methods": [method],
        "seeds": [seed],
        "results": results,
    }
    given = merged(flags, set_, {"tuning": {"trials": trials}, "model": {"device": device}})
    own = given.get("set", {})
    given["set"] = {**own, **{name: {**values, **own.get(name, {})} for name, values in options.items()}}
    # All rows of one's own count, whatever a preset's sizes are.
    given = {"max_train": None, "max_test": None, **given}
    if not fine_tune:
        given["base"] = {"kind": "none", **given.get("base", {})}
    raise typer.Exit(_run(build_config({}, given), output, Console(), quiet))


def _rows(forget: Path | None, retain: Path | None, data: Path | None) -> tuple[str, dict[str, Any]]:
    """The task of the rows that were named, and its options: all that are to be forgotten are trained on, and tested.

    Raises:
        UserError: they are not named, or named twice, or are not files.
    """
    if (data is None) == (forget is None) or (forget is None) != (retain is None):
        raise UserError("name what to forget: --forget FILE and --retain FILE, or --data with a table or a folder.")
    path = (forget or data or Path()).resolve()
    if path.is_dir():
        return f"{PREFIX}{path}", {}
    check_file(path)
    options: dict[str, Any] = {"test_forget": "training"}
    if retain is not None:
        check_file(retain)
        options["retain"] = str(retain.resolve())
    return f"{PREFIX}{path}", {shown_name(path): options}


def _run(config: RunConfig, output: Path, console: Console, quiet: bool) -> int:
    """Returns the exit code: 0, 1 if the unlearning failed, or 130 after Ctrl-C."""
    from unlearnbench.console.quiet import quiet_libraries
    from unlearnbench.grid.unlearn import check_output, deliver, plan_unlearning

    known = registry()
    print_problems(known)
    config, renamed = with_own_names(config, known)
    for sentence in renamed:
        say(console, sentence)
    check_names(config, known)
    check_output(output)
    quiet_libraries()
    from unlearnbench.cli.plan import plan_table
    from unlearnbench.grid.display import make_display
    from unlearnbench.processes.run import run_cells
    from unlearnbench.storage.cache import check_cache

    check_cache()
    plan, force = plan_unlearning(config, known)
    if not quiet:
        console.print(plan_table(plan.cells, plan.todo, plan.failed, plan.estimator))
    try:
        count = plan.processes.count
        display = make_display(console, list(plan.todo.values()), quiet, count)
        outcome = run_cells(plan.config, plan.store, plan.cells, plan.todo, display, count, force=force)
    except KeyboardInterrupt:
        console.print("interrupted; the same command continues where it stopped.")
        return 130
    for name, reason in outcome.failed.items():
        say(console, f"failed: {name}: {reason}")
    if outcome.failed:
        return 1
    card = deliver(plan, output)
    scores = card[card.index("| rows |") :].partition("\n\n")[0]
    console.print(scores, markup=False, highlight=False, soft_wrap=True)
    say(console, f"written: {output}, {output / 'README.md'}")
    return 0
