"""Writes a leaderboard in all its forms."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from unlearnbench.errors import UserError
from unlearnbench.leaderboard.blocks import build_blocks
from unlearnbench.leaderboard.columns import find_column
from unlearnbench.leaderboard.entry import Entry
from unlearnbench.leaderboard.files import to_csv, to_json
from unlearnbench.leaderboard.preview import Examples
from unlearnbench.leaderboard.render import to_markdown
from unlearnbench.storage.whole import write_whole
from unlearnbench.tracking.store import Failure

if TYPE_CHECKING:
    import pandas as pd

DEFAULT_SORT = "trade_off"


def write_leaderboard(
    entries: Sequence[Entry],
    folder: Path,
    *,
    with_paper: bool = False,
    sort: str = DEFAULT_SORT,
    all_settings: bool = False,
    page: Examples | None = None,
    samples: pd.DataFrame | None = None,
    latex: bool = False,
    failed: Sequence[Failure] = (),
) -> list[Path]:
    """Writes leaderboard.md, .csv and .json, and .html where `page` brings its examples; returns their paths.

    Args:
        samples: single answers to test examples, which the page filters.
        latex: whether to write leaderboard.tex, too.
        all_settings: whether a row that was run with several settings has a line for each, instead of the newest.
        failed: cells without a result, which the tables' readers should know of.

    Raises:
        UserError: there is nothing to write, `sort` is no column, or the folder can't be written.
    """
    if not entries:
        raise UserError("no cell has finished yet: run `unlearnbench run` first.")
    blocks = build_blocks(entries, all_settings=all_settings)
    if sort != DEFAULT_SORT:
        blocks = build_blocks(entries, find_column(sort, blocks).metric, all_settings)
    texts = {
        "leaderboard.md": to_markdown(blocks, with_paper, failed),
        "leaderboard.json": to_json(entries, blocks),
        "leaderboard.csv": to_csv(entries),
    }
    if page is not None:
        from unlearnbench.leaderboard.page.page import to_html

        texts["leaderboard.html"] = to_html(blocks, page, with_paper, failed, samples=samples)
    if latex:
        from unlearnbench.leaderboard.latex import to_latex

        texts["leaderboard.tex"] = to_latex(blocks)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole({folder / name: text for name, text in texts.items()})
    except OSError as error:
        raise UserError(f"{folder} can't be written ({error.strerror}): name another folder with --output.") from None
    return sorted(folder / name for name in texts)
