"""Leaderboards as LaTeX tables for papers; they need the package booktabs."""

from __future__ import annotations

from collections.abc import Sequence

from unlearnbench.console.safe_text import printable
from unlearnbench.contract.rows import REFERENCE_ROWS
from unlearnbench.leaderboard.blocks import Block, Line
from unlearnbench.leaderboard.columns import Column, columns
from unlearnbench.leaderboard.overall import Overall, overall
from unlearnbench.leaderboard.overall_render import heads, ranks
from unlearnbench.leaderboard.render import judged
from unlearnbench.leaderboard.scores import TRADE_OFF
from unlearnbench.leaderboard.statistics import FEWEST_SEEDS

PREAMBLE = "% Needs \\usepackage{booktabs}. Made by unlearnbench from the same results as leaderboard.md."
SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': "''", "[": "{[}", "]": "{]}", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "±": r"$\pm$",
    "≈": r"$\approx$",
}  # fmt: skip


def escape(text: str) -> str:
    """Text that LaTeX prints as it is."""
    return "".join(SPECIAL.get(character, character) for character in printable(text))


def to_latex(blocks: Sequence[Block]) -> str:
    """The table over all tasks, then each task's, with the columns that are judged and their intervals."""
    return "\n\n".join([PREAMBLE, *map(_answer, overall(blocks)), *map(_table, blocks)]) + "\n"


def _table(block: Block) -> str:
    shown = judged(block)
    cost = [column for column in columns(block) if column.metric == "trainable_parameters"]
    titles = [*(column.title.replace(" acc ", " ") for column in shown), *(column.title for column in cost)]
    anchors = [_line(line, shown, cost) for line in block.lines if line.row in REFERENCE_ROWS]
    methods = [_line(line, shown, cost) for line in block.lines if line.row not in REFERENCE_ROWS]
    seeds = f"{len(block.seeds)} seed{'' if len(block.seeds) == 1 else 's'}"
    caption = (
        f"{escape(block.task)}, {escape(block.model)}. Percent, mean over {seeds}, 95\\,\\% intervals in brackets."
    )
    if len(block.seeds) >= FEWEST_SEEDS:
        caption += r" Bold: the best method; $\approx$: not shown to differ from it (Games--Howell, 5\,\%)."
    elif len(block.seeds) == 1:
        caption += " Intervals know of test examples only; nothing is claimed between methods."
    else:
        caption += " With so few seeds nothing is claimed between methods."
    return _floated(caption, titles, [anchors, methods])


def _line(line: Line, shown: Sequence[Column], cost: Sequence[Column]) -> list[str]:
    return [escape(line.title), *(_cell(column, line) for column in shown), *(escape(one.text(line)) for one in cost)]


def _cell(column: Column, line: Line) -> str:
    if column.metric not in line.mean:
        return ""
    mean = f"{100 * line.mean[column.metric]:.1f}"
    if column.is_best(line):
        mean = rf"\textbf{{{mean}}}"
    elif column.mark(line):
        mean = rf"{mean}$^{{\approx}}$"
    if column.metric not in line.intervals:
        return mean
    low, high = line.intervals[column.metric]
    return rf"{mean} {{\scriptsize [{100 * low:.1f}, {100 * high:.1f}]}}"


def _answer(found: Overall) -> str:
    titles = [title for title in heads(found)[1:] if title != "95 % interval"]
    rows = []
    for one in found.standings:
        values = [f"{100 * found.line(task, one.name).mean[TRADE_OFF]:.1f}" for task in found.tasks]
        score, rank, groups = f"{100 * one.score:.1f}", f"{one.rank:.2f}", "--"
        if found.judged:
            low, high = one.interval
            score += rf" {{\scriptsize [{100 * low:.1f}, {100 * high:.1f}]}}"
            rank += rf" {{\scriptsize [{ranks(one.ranks).replace(' to ', ', ')}]}}"
            groups = one.groups
        rows.append([escape(found.titles[one.name]), *values, score, rank, groups])
    caption = f"Trade-off over all tasks, {escape(found.model)}. Percent, 95\\,\\% intervals in brackets."
    if found.judged:
        caption += " Methods that share a letter can't be told apart (Games--Howell, 5\\,\\%)."
    return _floated(caption, titles, [rows])


def _floated(caption: str, titles: Sequence[str], parts: Sequence[Sequence[Sequence[str]]]) -> str:
    """A floating table; `parts` are set apart by rules."""
    bodies = ["\n".join(f"{' & '.join(row)} \\\\" for row in part) for part in parts if part]
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{caption}}}",
            rf"\begin{{tabular}}{{@{{}}l{'r' * len(titles)}@{{}}}}",
            r"\toprule",
            f"{' & '.join(['Method', *map(escape, titles)])} \\\\",
            r"\midrule",
            "\n\\midrule\n".join(bodies),
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
    )
