"""``unlearnbench reproduce``: does a leaderboard come back if it is run again?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from unlearnbench.cli import completion
from unlearnbench.cli.listing import print_problems
from unlearnbench.cli.options import DataRoot, DryRun, Jobs, Quiet, names, number_or_word, numbers
from unlearnbench.console.say import say
from unlearnbench.errors import UserError
from unlearnbench.storage.whole import write_whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unlearnbench.grid.repeat import Repeat
    from unlearnbench.leaderboard.entry import Entry
    from unlearnbench.leaderboard.reproduction import Reproduction

FILE = "reproduction.md"


def reproduce(
    source: Annotated[str, typer.Argument(help="Folder with leaderboard.json, as leaderboards/quick, or that file.")],
    row: Annotated[
        str | None,
        typer.Option(
            help="Methods, separated by commas, with their base models; default: everything.",
            autocompletion=completion.methods,
        ),
    ] = None,
    tasks: Annotated[
        str | None, typer.Option(help="Tasks, separated by commas; default: all.", autocompletion=completion.tasks)
    ] = None,
    seeds: Annotated[str | None, typer.Option(help="Seeds, separated by commas; default: all of it.")] = None,
    results: Annotated[Path | None, typer.Option(help="Folder for the new results; default: reproduced/NAME.")] = None,
    data_root: DataRoot = None,
    at: Annotated[
        list[str] | None, typer.Option("--at", help="NAME=PATH: where own data or a model's folder of that name lies.")
    ] = None,
    jobs: Jobs = None,
    exactly: Annotated[
        bool, typer.Option("--exactly", help="Exit with 1 unless everything comes back exactly.")
    ] = False,
    dry_run: DryRun = False,
    quiet: Quiet = False,
) -> None:
    """Run a leaderboard's configuration again, and show number by number what comes back.

    Exit code 0 if every number with an interval comes back exactly or within it, 1 if one does not.
    """
    from unlearnbench.grid.repeat import choose, repeats
    from unlearnbench.leaderboard.reading import read_leaderboard

    entries, _ = read_leaderboard(source)
    chosen = choose(entries, names(row), names(tasks), numbers("--seeds", seeds))
    elsewhere = [entry for entry in chosen if entry.config is None]
    if len(elsewhere) < len(chosen):
        for entry in elsewhere:
            typer.echo(f"left out, as it has no settings that make it again: {entry.name}", err=True)
        chosen = [entry for entry in chosen if entry.config is not None]
    folder = results or Path("reproduced") / (Path(source).parent if Path(source).is_file() else Path(source)).name
    changes: dict[str, Any] = {"results": str(folder), "jobs": number_or_word(jobs) or "auto"}
    if data_root is not None:
        changes["data_root"] = data_root
    console = Console()
    try:
        now, failed = _run_again(repeats(chosen, changes, _places(at or [])), console, quiet, dry_run)
    except KeyboardInterrupt:
        console.print("interrupted; the same command continues where this run stopped.")
        raise typer.Exit(130) from None
    if dry_run:
        return
    for name, reason in failed.items():
        say(console, f"failed: {name}: {reason}")
    raise typer.Exit(0 if _shown(console, chosen, now, folder, exactly) else 1)


def _places(given: Sequence[str]) -> dict[str, Path]:
    """`NAME=PATH` texts as paths by name."""
    places = {}
    for text in given:
        name, equals, path = text.partition("=")
        if not (name and equals and Path(path).expanduser().exists()):
            raise UserError(f"--at {text!r} must read NAME=PATH, with the path of something that is there.")
        places[name] = Path(path).expanduser()
    return places


def _run_again(
    planned: Sequence[Repeat], console: Console, quiet: bool, dry_run: bool
) -> tuple[dict[str, Entry], dict[str, str]]:
    """New results by the keys of those of then, and the reason of each cell that failed."""
    from unlearnbench.grid.choosing import check_names
    from unlearnbench.plugins import registry

    known = registry()
    print_problems(known)
    for repeat in planned:
        check_names(repeat.config, known)
    from unlearnbench.cli.plan import plan_table
    from unlearnbench.console.quiet import quiet_libraries
    from unlearnbench.grid.display import duration, make_display
    from unlearnbench.grid.plan import plan_run
    from unlearnbench.grid.repeat import place_of
    from unlearnbench.leaderboard.stored import read_entries
    from unlearnbench.processes.run import run_cells
    from unlearnbench.storage.cache import check_cache

    quiet_libraries()
    check_cache()
    now: dict[str, Entry] = {}
    failed: dict[str, str] = {}
    for repeat in planned:
        plan = plan_run(repeat.config, known, again="failed", chosen=repeat.of)
        if not quiet:
            console.print(plan_table(plan.cells, plan.todo, plan.failed, plan.estimator))
        text = (
            f"{len(plan.todo)} cells to run, {len(plan.cells) - len(plan.todo)} finished before; "
            f"estimated time {duration(sum(plan.todo.values()))}{plan.processes.statement}."
        )
        say(console, text)
        if dry_run:
            continue
        display = make_display(console, list(plan.todo.values()), quiet, plan.processes.count)
        outcome = run_cells(repeat.config, plan.store, plan.cells, plan.todo, display, plan.processes.count)
        failed |= outcome.failed
        found = {place_of(entry): entry for entry in read_entries(plan.store) if entry.key in plan.keys}
        now |= {entry.key: found[place_of(entry)] for entry in repeat.entries if place_of(entry) in found}
    return now, failed


def _shown(console: Console, then: Sequence[Entry], now: dict[str, Entry], folder: Path, exactly: bool) -> bool:
    """Prints and writes what came back; whether that is enough."""
    from unlearnbench.leaderboard.reproduction import reproduce as held_against
    from unlearnbench.leaderboard.reproduction_render import statements, to_markdown, to_terminal

    found: Reproduction = held_against(then, now)
    console.print(to_terminal(found))
    for text in statements(found):
        say(console, text)
    try:
        write_whole({folder / FILE: to_markdown(found)})
    except OSError as error:
        raise UserError(f"{folder} can't be written ({error.strerror}): name another folder with --results.") from None
    say(console, f"written: {folder / FILE}")
    return found.is_exact if exactly else found.holds
