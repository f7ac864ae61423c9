"""The picture of a leaderboard is an SVG that stands alone and shows every task and row."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

from tests.conftest import invoke
from tests.leaderboard.entries import entry
from unlearnbench.errors import UserError
from unlearnbench.leaderboard.blocks import build_blocks
from unlearnbench.leaderboard.files import to_json
from unlearnbench.leaderboard.page.picture import INK, to_svg

ENTRIES = [
    entry(row, forget, retain, seed, task=task)
    for task in ("sst2", "yelp")
    for row, forget, retain in (("vanilla", 0.5, 0.5), ("base", 0.9, 0.9), ("ga", 0.3, 0.4), ("spul", 0.1, 0.8))
    for seed in ((None,) if row == "vanilla" else (0, 1, 2))
]


def test_picture_names_every_task_and_row_and_loads_nothing() -> None:
    svg = to_svg(build_blocks(ENTRIES))
    ElementTree.fromstring(svg)
    for text in ("sst2", "yelp", "GA", "SPUL", "BASE", "VANILLA"):
        assert f">{text}<" in svg
    assert "currentColor" not in svg
    # Vega's own ink would vanish on a dark page.
    assert not re.findall(r'fill="(?:#000|black)"', svg)
    assert svg.count(INK) > 20
    assert not re.findall(r"(?:href|src)=", svg)


def test_command_writes_the_picture(tmp_path: Path) -> None:
    (tmp_path / "leaderboard.json").write_text(to_json(ENTRIES, build_blocks(ENTRIES)), encoding="utf-8")
    made = tmp_path / "plane.svg"
    outcome = invoke("leaderboard", "picture", tmp_path, "--output", made)
    assert outcome.exit_code == 0, outcome.output
    assert made.read_text(encoding="utf-8").startswith("<svg")
    outcome = invoke("leaderboard", "picture", tmp_path, "--output", tmp_path / "leaderboard.json" / "x.svg")
    assert isinstance(outcome.exception, UserError)


def test_missing_source_is_named() -> None:
    assert "nothing" in str(invoke("leaderboard", "picture", "nothing").exception)
