"""What became of the mutants, kept in a JSON file after each of them, and the table that the docs show."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.mutants.sample import Mutant
from benchmarks.mutants.trial import SURVIVED
from unlearnbench.storage.whole import write_whole

Judged = dict[str, Any]


@dataclass
class Figures:
    """The judged mutants of one commit.

    Attributes:
        mutants: what `record` was given.
        equal: reasons by mutant's name why a survivor changes no behaviour, written by whoever looked at it.
        open: reasons by name why a survivor that does is left.
    """

    file: Path
    commit: str = ""
    mutants: list[Judged] = field(default_factory=list)
    equal: dict[str, str] = field(default_factory=dict)
    open: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, file: Path) -> Figures:
        """Those of an earlier call; none if there is no file."""
        return cls(file, **json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else cls(file)

    def outcome(self, mutant: Mutant) -> str | None:
        """What became of the mutant in an earlier call."""
        return next((one["outcome"] for one in self.mutants if one["name"] == name_of(mutant)), None)

    def record(self, mutant: Mutant, room: str, code: str, outcome: str) -> None:
        """Keeps the outcome; an earlier one of the same mutant goes."""
        name = name_of(mutant)
        self.mutants = [one for one in self.mutants if one["name"] != name]
        self.mutants.append({"name": name, "room": room, "line": mutant.line, "code": code, "outcome": outcome})
        kept = {"commit": self.commit, "mutants": self.mutants, "equal": self.equal, "open": self.open}
        write_whole({self.file: json.dumps(kept, indent=1) + "\n"})


def name_of(mutant: Mutant) -> str:
    """Module, operator and place."""
    return f"{mutant.module} {mutant.operator.removeprefix('core/')} {mutant.occurrence}"


def page_lines(figures: Figures) -> str:
    """The score by room, and every survivor with its reason."""
    rooms: dict[str, list[Judged]] = defaultdict(list)
    for found in figures.mutants:
        if found["name"] not in figures.equal:
            rooms[found["room"]].append(found)
    everywhere = [found for judged in rooms.values() for found in judged]
    lines = ["| room | mutants | noticed | share |", "| --- | ---: | ---: | ---: |"]
    lines += [_row(room, judged) for room, judged in sorted(rooms.items())]
    lines += [_row("all", everywhere), ""]
    lines += [f"{len(figures.equal)} more change no behaviour and do not count."]
    survivors = [found for found in everywhere if found["outcome"] == SURVIVED]
    if survivors:
        lines += ["", "| survivor | line now | reason |", "| --- | --- | --- |"]
        lines += [
            f"| `{found['name']}` | `{found['code'].replace('|', chr(92) + '|')}` | "
            f"{figures.open.get(found['name'], 'not looked at')} |"
            for found in survivors
        ]
    return "\n".join(lines)


def _row(room: str, judged: list[Judged]) -> str:
    noticed = sum(found["outcome"] != SURVIVED for found in judged)
    return f"| {room} | {len(judged)} | {noticed} | {100 * noticed / max(len(judged), 1):.0f} % |"


def write_page(page: Path, figures: Figures) -> None:
    """Puts the table between the page's marks."""
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition("<!-- mutants -->\n")
    _, _, after = rest.partition("<!-- end of mutants -->\n")
    write_whole({page: f"{before}<!-- mutants -->\n\n{page_lines(figures)}\n\n<!-- end of mutants -->\n{after}"})
