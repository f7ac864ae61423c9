"""Reads leaderboards that anybody may have written: what is used has been checked as a whole first."""

from __future__ import annotations

from unlearnbench.errors import UserError
from unlearnbench.leaderboard.check import lacking, wrong
from unlearnbench.leaderboard.entry import Entry
from unlearnbench.leaderboard.files import open_entries


def read_leaderboard(where: str) -> tuple[list[Entry], list[str]]:
    """The entries of a results folder, a leaderboard file or an MLflow store, and what they lack (see `check.lacking`).

    Raises:
        UserError: it can't be read, or an entry is wrong; the message says which and why.
    """
    entries = open_entries(where)
    problems = wrong(entries)
    if problems:
        more = f" ({len(problems) - 1} more: see `unlearnbench leaderboard check`)" if len(problems) > 1 else ""
        raise UserError(f"{where}: {problems[0]}{more}")
    return entries, lacking(entries)
