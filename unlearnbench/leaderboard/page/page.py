"""A leaderboard as one HTML page that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import jinja2
import vl_convert

from unlearnbench.console.private import without_places
from unlearnbench.console.safe_text import printable
from unlearnbench.leaderboard.blocks import Block
from unlearnbench.leaderboard.overall import overall
from unlearnbench.leaderboard.page.answers import answers_view
from unlearnbench.leaderboard.page.view import chart_specs, overall_view, view
from unlearnbench.leaderboard.preview import Examples
from unlearnbench.leaderboard.published import SOURCE
from unlearnbench.leaderboard.render import NOTE
from unlearnbench.tracking.store import Failure

if TYPE_CHECKING:
    import pandas as pd

CAPTIONS = {
    "ranks": "Mean rank over tasks. Joined in orange: methods that can't be told apart.",
    "trade-off": "Forgetting against keeping. Bars: 95 % intervals; dashed: the methods that no other beats in both; "
    "dotted: the target of forgetting.",
    "fronts": "Fronts: forget accuracy where so much is kept, mean over seeds with 95 % intervals (equal footing).",
    "curves": "Forgetting curves: best trials on training examples, mean over seeds, from base to the end (large).",
    "tuning": "Tuning, trial by trial; a line for each seed (a row's name opens its trials, seed by seed).",
    "forgotten": "What test forget examples were answered with.",
    "seconds": "Time on the clock.",
    "parameters": "Size of what was trained.",
    "memory": "Peak memory.",
}


@dataclass(frozen=True)
class Board:
    """A leaderboard as part of a site.

    Attributes:
        about: the text of its README.
        vega: address of the script that draws charts, which the pages of a site share.
    """

    name: str
    about: str
    vega: str


def to_html(
    blocks: Sequence[Block],
    examples: Examples,
    with_paper: bool = False,
    failed: Sequence[Failure] = (),
    board: Board | None = None,
    samples: pd.DataFrame | None = None,
) -> str:
    """The page. Names and texts of plugins, data and runs are escaped.

    Args:
        board: what a page that is one of a site says beside its tables.
        samples: single answers to test examples, as `unlearnbench.load_samples` gives them, to be filtered.
    """
    views = [view(block, number, examples, with_paper) for number, block in enumerate(blocks)]
    overviews = [overall_view(table, number) for number, table in enumerate(overall(blocks))]
    found = {} if samples is None else {one.id: answers_view(b, samples) for one, b in zip(views, blocks, strict=True)}
    return render(
        "page.html.j2",
        blocks=views,
        failed=[replace(failure, reason=without_places(failure.reason)) for failure in failed],
        overall=overviews,
        answers={name: answers for name, answers in found.items() if answers is not None},
        charts=chart_specs([*overviews, *views]),
        captions=CAPTIONS,
        note=NOTE.split("\n\n"),
        source=SOURCE,
        board=board,
        script="\n".join(map(resource, ("sort.js", "answers.js", "page.js"))),
        vega=None if board else vega(),
    )


def render(template: str, **values: Any) -> str:
    """A template with the page's style and the package's version; values are escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(resource),
        autoescape=True,
        trim_blocks=True,
        undefined=jinja2.StrictUndefined,
        finalize=_printable,
    )
    shared = {"css": resource("page.css"), "version": version("unlearnbench")}
    return environment.get_template(template).render(**shared, **values)


@cache
def vega() -> str:
    """The library that draws charts in the browser."""
    return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")


def _printable(value: Any) -> Any:
    """Spells control characters out in all that is not the page's own code."""
    return printable(value, lines=True) if isinstance(value, str) and not hasattr(value, "__html__") else value


def resource(name: str) -> str:
    """The text of one of the page's own files."""
    return (files("unlearnbench.leaderboard.page") / name).read_text(encoding="utf-8")
