"""One table over all tasks of a model: trade-off by task, mean rank, and which methods can't be told apart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from unlearnbench.identity.ids import ZERO, ForgetTarget
from unlearnbench.leaderboard.blocks import Block, Line
from unlearnbench.leaderboard.scores import TRADE_OFF
from unlearnbench.leaderboard.standings import Standing, standings
from unlearnbench.leaderboard.statistics import FEWEST_SEEDS


@dataclass(frozen=True)
class Overall:
    """The answer over several tasks.

    Attributes:
        target: of forgetting, that of every task.
        tasks: the table of each task.
        standings: methods that have a trade-off on every task, best mean rank first.
        titles: by method, as tables show it.
        left_out: titles of methods that lack a task.
    """

    model: str
    target: ForgetTarget
    tasks: Mapping[str, Block]
    standings: tuple[Standing, ...]
    titles: Mapping[str, str]
    left_out: tuple[str, ...]

    def line(self, task: str, row: str) -> Line:
        """The method's line on that task."""
        return next(line for line in self.tasks[task].lines if line.row == row)

    @property
    def title(self) -> str:
        """The table in a few words."""
        target = "" if self.target == ZERO else f" (forget target {self.target})"
        return f"All tasks / {self.model}{target}"

    @property
    def seeds(self) -> int:
        """The fewest seeds that a method has on a task."""
        return min(len(self.line(task, one.name).entries) for task in self.tasks for one in self.standings)

    @property
    def judged(self) -> bool:
        """Whether there are seeds enough to tell methods apart."""
        return self.seeds >= FEWEST_SEEDS


def overall(blocks: Sequence[Block]) -> list[Overall]:
    """A table for each model with several tasks that have one target of forgetting.

    Of several tables of one task (from other base models, say) the one with the most methods counts. A task without
    trade-offs, such as one whose base model never learned it, is left out.
    """
    by_model: dict[tuple[str, ForgetTarget], dict[str, Block]] = defaultdict(dict)
    for block in blocks:
        if not _methods(block):
            continue
        known = by_model[block.model, block.target].get(block.task)
        if known is None or len(_methods(block)) > len(_methods(known)):
            by_model[block.model, block.target][block.task] = block
    found = [_overall(*key, tasks) for key, tasks in by_model.items() if len(tasks) > 1]
    return [one for one in found if one is not None]


def _methods(block: Block) -> dict[str, Line]:
    return {line.row: line for line in block.lines if line.competes and TRADE_OFF in line.scores}


def _overall(model: str, target: ForgetTarget, tasks: Mapping[str, Block]) -> Overall | None:
    lines = [_methods(block) for block in tasks.values()]
    everywhere = [row for row in lines[0] if all(row in of_task for of_task in lines)]
    if len(everywhere) < 2:
        return None
    titles = {row: line.title for of_task in lines for row, line in of_task.items()}
    return Overall(
        model,
        target,
        tasks,
        tuple(standings([{row: of_task[row].scores[TRADE_OFF] for row in everywhere} for of_task in lines])),
        titles,
        tuple(title for row, title in titles.items() if row not in everywhere),
    )
