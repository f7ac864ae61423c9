"""``unlearnbench explain``: why a method stands where it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from unlearnbench.console.safe_text import printable
from unlearnbench.errors import UserError, nearest

if TYPE_CHECKING:
    from unlearnbench.leaderboard.blocks import Block
    from unlearnbench.leaderboard.entry import Entry


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
    found = [
        (block, line, entry)
        for block in build_blocks(entries)
        if task in (None, block.task) and model in (None, block.model)
        for line in block.lines
        if line.row == method
        for entry in [one for one in line.entries if seed in (None, one.seed)][:1]
    ]
    if not found:
        raise UserError(
            f"{source} has results of {method!r}, but none with "
            f"{', '.join(f'{k} {v}' for k, v in (('task', task), ('model', model), ('seed', seed)) if v is not None)}."
        )
    keys = [{entry.key, *_base(block, entry)} for block, _, entry in found]
    samples = samples_of(source, set.union(*keys))
    texts = [
        explain_line(block, line, entry, samples[samples["key"].isin(beside)], examples)
        for (block, line, entry), beside in zip(found, keys, strict=True)
    ]
    typer.echo(printable("\n".join(texts), lines=True))


def _base(block: Block, entry: Entry) -> list[str]:
    """The key of the base model of the entry's seed, if there is one."""
    base = block.yardstick.bases.get(entry.seed)
    return [] if base is None else [base.key]
