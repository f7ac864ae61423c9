"""A folder of leaderboards as a site, in a real browser."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.conftest import invoke
from tests.leaderboard.entries import ENTRIES, entry
from unlearnbench.errors import UserError
from unlearnbench.leaderboard.files import from_json, to_json
from unlearnbench.leaderboard.page.site import read_boards, site_files, unwrapped

HOSTILE = "<img src=x onerror=\"document.title='broken'\">"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two leaderboards and a broken one."""
    boards = {
        "first": ENTRIES,
        "second board": [entry(row, 0.3, 0.7, task="yelp", model="other", transfer={"arc": "t"}) for row in
                         ("base", "spul")] + [entry("evil", 0.4, 0.6, task="yelp", model="other", title=HOSTILE)],
    }  # fmt: skip
    for name, entries in boards.items():
        (tmp_path / "boards" / name).mkdir(parents=True)
        (tmp_path / "boards" / name / "leaderboard.json").write_text(to_json(entries), encoding="utf-8")
    readme = "# Title\n\nMade up,\nand **not** to be quoted.\n\n- one\n  thing\n- another\n"
    (tmp_path / "boards" / "first" / "README.md").write_text(readme, encoding="utf-8")
    (tmp_path / "boards" / "broken").mkdir()
    (tmp_path / "boards" / "broken" / "leaderboard.json").write_text("{}", encoding="utf-8")
    return tmp_path / "boards"


def test_readme_as_text() -> None:
    text = "# Title\n\nMade up,\nand **not**.\n\n- one\n  thing\n- `two`\n\n    code\n    more\n"
    assert unwrapped(text) == "# Title\n\nMade up, and not.\n\n- one thing\n- two\n\n    code\n    more"


def test_a_folder_without_leaderboards_is_refused(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(UserError, match="has no folder with a leaderboard.json"):
        read_boards(tmp_path / "boards" / "broken")
    with pytest.raises(UserError, match="is not a folder"):
        read_boards(tmp_path / "none")


@pytest.mark.slow
def test_site_searches_filters_and_sorts(folder: Path, tmp_path: Path, browser: Browser) -> None:
    done = invoke("leaderboard", "serve", folder, "--output", tmp_path / "site")
    assert done.exit_code == 0, done.output
    assert "left out:" in done.output
    assert "schema_version None" in done.output
    context = browser.new_context(viewport={"width": 390, "height": 800}, offline=True)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto((tmp_path / "site" / "index.html").as_uri())

    def shown() -> list[str]:
        return [text.strip() for text in page.locator("tbody tr:visible th").all_inner_texts()]

    assert page.locator("#count").inner_text() == "7 of 7 rows"
    assert "Made up, and not to be quoted." in page.locator("main").inner_text()
    page.select_option("[data-filter=method]", "SPUL")
    assert shown() == ["SPUL", "SPUL"]
    page.select_option("[data-filter=task]", "yelp")
    assert page.locator("#count").inner_text() == "1 of 7 rows"
    page.select_option("[data-filter=method]", "")
    page.select_option("[data-filter=task]", "")
    page.select_option("[data-filter=audit]", "arc")
    assert shown() == ["BASE", "SPUL"]
    page.select_option("[data-filter=audit]", "")
    page.fill("#search", "second spul")
    assert shown() == ["SPUL"]
    page.fill("#search", "")
    page.click("button.sort:text('leaderboard')")
    assert page.locator("tbody tr td").first.inner_text() == "second board"
    assert page.title() == "unlearnbench leaderboards"
    # Nothing but the table, which scrolls by itself, is wider than a telephone.
    assert page.evaluate("document.documentElement.scrollWidth") == 390

    page.click("dl a:text('second board')")
    page.wait_for_selector(".chart svg")
    assert page.title() == "second board leaderboard"
    page.click("text=All leaderboards")
    assert page.title() == "unlearnbench leaderboards"
    assert errors == []
    context.close()
    held = (tmp_path / "site" / "first" / "leaderboard.json").read_text(encoding="utf-8")
    assert from_json(held, "first") == ENTRIES


@pytest.mark.slow
def test_site_is_served_until_interrupted(folder: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "unlearnbench", "leaderboard", "serve", str(folder), "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ)
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("2 leaderboards: http://127.0.0.1:")
        deadline = time.monotonic() + 30
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/first/leaderboard.json", timeout=10) as answer:
                    assert len(json.load(answer)["entries"]) == len(ENTRIES)
                break
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
    finally:
        process.kill()


def test_pages_share_one_script(folder: Path) -> None:
    files = site_files(read_boards(folder)[0])
    assert [name for name in files if len(files[name]) > 500_000] == ["vega.js"]
