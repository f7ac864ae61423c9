"""What the rounds found, kept in a JSON file after each of them, so that a later call goes on."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from unlearnbench.storage.whole import write_whole

Round = dict[str, Any]
# What rounds try: the figures themselves change with each of them.
TRIED = ("unlearnbench", "methods", "metrics", "tasks", "benchmarks/faults")


def play(kind: str, rounds: int, first_seed: int, file: Path, one_round: Callable[[int], Round]) -> list[Round]:
    """Plays the rounds that `file` does not have yet, one for each seed; returns all of them."""
    known: dict[str, list[Round]] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    found = known.setdefault(kind, [])
    done = {one["seed"] for one in found}
    for seed in range(first_seed, first_seed + rounds):
        if seed in done:
            continue
        found.append({"seed": seed, "commit": commit(), **one_round(seed)})
        print(kind, found[-1], flush=True)
        write_whole({file: json.dumps(known, indent=1) + "\n"})
    return found


def commit() -> str:
    """The commit that is tried; "?" if this is no checkout."""

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments, "--", *TRIED], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        return git("log", "-1", "--format=%h") + ("-dirty" if git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return "?"


def summary(rounds: list[Round]) -> str:
    """Rounds, faults by kind, and problems, in a line or more."""
    faults = sum((Counter(one["faults"]) for one in rounds), Counter())
    problems = [f"seed {one['seed']}: {problem}" for one in rounds for problem in one["problems"]]
    counts = ", ".join(f"{kind} {count}" for kind, count in sorted(faults.items()))
    return "\n".join([f"{len(rounds)} rounds; {counts}; {len(problems)} problems", *problems])


def page_lines(kind: str, rounds: list[Round]) -> str:
    """The figures as the page on reliability has them."""
    faults = sum((Counter(one["faults"]) for one in rounds), Counter())
    problems = sum(bool(one["problems"]) for one in rounds)
    commits = ", ".join(f"{name} ({count})" for name, count in Counter(one["commit"] for one in rounds).items())
    lines = [
        f"{kind.capitalize()}: {len(rounds)} rounds, {problems} with a problem. At commit (rounds): {commits}.",
        "",
        "| what | times |",
        "| --- | ---: |",
    ]
    lines += [f"| {fault} | {count:,} |" for fault, count in sorted(faults.items())]
    return "\n".join(lines)


def write_page(page: Path, known: dict[str, list[Round]]) -> None:
    """Puts the figures into the page, between the marks of each kind."""
    text = page.read_text(encoding="utf-8")
    for kind, rounds in known.items():
        before, _, rest = text.partition(f"<!-- {kind} -->\n")
        _, _, after = rest.partition(f"<!-- end of {kind} -->\n")
        text = f"{before}<!-- {kind} -->\n\n{page_lines(kind, rounds)}\n\n<!-- end of {kind} -->\n{after}"
    write_whole({page: text})
