"""Every command of README and docs is one that the program understands, and every file that they name is there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main

from unlearnbench.cli import app

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "leaderboards").glob("*.md")])
COMMAND: Any = typer.main.get_command(app)
# Lines that show a form instead of a command: choices, options in brackets, things left out.
FORM = re.compile(r"\[--|\[PATTERN|\.\.\.|\w\|\w|…")
# Files that a command writes, or that a reader has, not this repository.
ELSEWHERE = re.compile(
    r"^(results/|community/|configs/|gpu/|RESULTS|DIR|FILE|root/|MLFLOW|site/|my-|studies/NAME|https?:)|^(table|plot|leaderboard)\.|README\.md$"
)


def commands(page: Path, program: str = "unlearnbench") -> list[str]:
    """Lines of the page's code blocks that call the program, without comments."""
    found = []
    shell = False
    for line in page.read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
        if line.startswith("```"):
            shell = line == "```sh"
        text = re.sub(r"^\s+(- run: )?", "", line)
        if (shell or line.startswith("    ")) and text.startswith(f"{program} "):
            found.append(" ".join(re.split(r"\s+#|\s+>>?\s|\s+&", text)[0].split()))
    return found


FOUND = [(page.name, line) for page in PAGES for line in commands(page)]


def parse(words: list[str]) -> None:
    """Parses a command line down to the last subcommand, as the program would, and runs nothing.

    Raises:
        Exception: Typer's own, whose kind depends on its version: the line is not understood.
    """
    command: Any = COMMAND
    context: Any = None
    while True:
        context = command.make_context(command.name or "unlearnbench", list(words), parent=context)
        rest = [*context._protected_args, *context.args] if hasattr(command, "resolve_command") else []
        if not rest:
            return
        _, inner, words = command.resolve_command(context, rest)
        assert inner is not None, rest
        command = inner


def test_pages_show_many_commands() -> None:
    assert len(FOUND) > 40


@pytest.mark.parametrize(("page", "line"), FOUND, ids=[f"{page}: {line[:60]}" for page, line in FOUND])
def test_command_is_understood(page: str, line: str) -> None:
    if FORM.search(line):
        pytest.skip("shows a form, with choices or things left out")
    words = shlex.split(line)[1:]
    if "--help" not in words:
        parse(words)


@pytest.mark.parametrize("line", ["run --task sst2", "explain results", "study alpha", "leaderboard merg a --output b"])
def test_wrong_commands_are_noticed(line: str) -> None:
    with pytest.raises(Exception, match="(?i)no such|missing|no study is called"):
        parse(shlex.split(line))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_paths_lead_to_files(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    made = {"commands.md", "settings.md", "leaderboards/index.html"}  # when the site is built
    for link in re.findall(r"\]\(([^)#\s]+)", text):
        if not link.startswith(("http", "mailto")) and link not in made:
            assert (page.parent / link).exists(), f"{page.name} links to {link}"
    for path in re.findall(r"`([\w.-]+/[\w./-]+\.(?:md|py|json|yaml|csv|svg|png|toml))`", text):
        if not ELSEWHERE.search(path):
            places = (ROOT / path, ROOT / "unlearnbench" / path, page.parent / path)
            assert any(place.exists() for place in places), f"{page.name} names {path}"
