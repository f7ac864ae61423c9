"""``unlearnbench explain``: why a method stands where it stands."""

from __future__ import annotations

from typing import Annotated

import typer

from unlearnbench.console.safe_text import printable
from unlearnbench.errors import UserError, nearest


def explain(
    source: Annotated[str, typer.Argument(metavar="RESULTS", help="Results folder, leaderboard, or MLflow URI.")],
    method: Annotated[str, typer.Argument(help="A method's name, as in --methods.")],
    task: Annotated[str | None, typer.Option(help="One task; default: all that the method has results on.")] = None,
    model: Annotated[str | None, typer.Option(help="One model; default: all.")] = None,
    seed: Annotated[int | None, typer.Option(help="The seed to look at; default: the first.")] = None,
    examples: Annotated[int, typer.Option(min=0, help="Examples of each kind to show.")] = 3,
) -> None:
    """Show why a method won or lost: its trials, forgetting curve, answers, and the examples that flipped."""
    from unlearnbench.leaderboard.blocks import build_blocks
    from unlearnbench.leaderboard.explanation import explain_line
    from unlearnbench.leaderboard.reading import read_leaderboard
    from unlearnbench.leaderboard.samples import samples_of

    entries, _ = read_leaderboard(source)
    rows = {entry.row for entry in entries}
    if method not in rows:
        raise UserError(f"{source} has no results of {method!r}: {nearest(method, rows)}")
    found = []
    for block in build_blocks(entries):
        if (task or block.task) != block.task or (model or block.model) != block.model:
            continue
        for line in block.lines:
            by_seed = {entry.seed: entry for entry in line.entries if seed in (None, entry.seed)}
            if line.row == method and by_seed:
                entry = next(iter(by_seed.values()))
                bases = [one.key for one in block.entries if one.row == "base" and one.seed == entry.seed]
                samples = samples_of(source, {entry.key, *bases})
                found.append(explain_line(block, line, entry, samples, examples))
    if not found:
        raise UserError(
            f"{source} has results of {method!r}, but none with "
            f"{', '.join(f'{k} {v}' for k, v in (('task', task), ('model', model), ('seed', seed)) if v is not None)}."
        )
    typer.echo(printable("\n".join(found), lines=True))
