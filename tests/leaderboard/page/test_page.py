"""The leaderboard page in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.leaderboard.entries import ENTRIES, entry
from unlearnbench.leaderboard.blocks import build_blocks
from unlearnbench.leaderboard.entry import TrialEntry
from unlearnbench.leaderboard.page.charts import charts
from unlearnbench.leaderboard.page.page import to_html
from unlearnbench.leaderboard.preview import ExamplePreview

HOSTILE = "<img src=x onerror=\"document.title='broken'\">"
TRIALS = (
    TrialEntry(
        number=0, values={"learning_rate": "0.1"}, objective=0.4, forget_accuracy=0.5, retain_accuracy=0.5, pruned=None
    ),
    TrialEntry(number=1, values={}, objective=None, forget_accuracy=None, retain_accuracy=None, pruned="diverged"),
)


def page_text() -> str:
    evil = entry("evil", 0.5, 0.6, title=HOSTILE, hyperparameters={HOSTILE: "</script>"})
    entries = [*ENTRIES[1:], ENTRIES[0].model_copy(update={"trials": TRIALS}), evil]
    shown = {ENTRIES[0].key: [ExamplePreview("test forget", f"a film {HOSTILE}", "positive", "positive", "neutral")]}
    return to_html(build_blocks(entries), shown, with_paper=True)


@pytest.fixture
def page(browser: Browser, tmp_path: Path) -> Iterator[Page]:
    """The page from a file, without network; any error of its scripts fails the test."""
    file = tmp_path / "leaderboard.html"
    file.write_text(page_text(), encoding="utf-8")
    context = browser.new_context(viewport={"width": 390, "height": 800}, offline=True)
    page = context.new_page()
    errors: list[str] = []
    asked: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type in ("error", "warning") else None)
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    page.wait_for_selector(".chart svg")
    yield page
    assert errors == []
    assert asked == [file.as_uri()]
    context.close()


def rows(page: Page) -> list[str]:
    return [text.strip() for text in page.locator("main table").first.locator("tbody th").all_inner_texts()]


def test_rows_and_charts_are_there(page: Page) -> None:
    assert rows(page)[:3] == ["VANILLA", "BASE", "SPUL"]
    assert "SPUL (paper)" in rows(page)
    assert page.locator(".chart svg").count() == 6
    drawn = page.locator(".chart svg").first.text_content()
    assert "test forget accuracy" in (drawn or "")


def test_headings_sort_by_mouse_and_keyboard(page: Page) -> None:
    heading = page.get_by_role("columnheader", name="test retain acc").first
    heading.get_by_role("button").click()
    assert heading.get_attribute("aria-sort") == "descending"
    shares = [float(t) for t in page.locator("main table").first.locator("tbody td:nth-child(3)").evaluate_all(
        "cells => cells.map(cell => cell.dataset.value)")]  # fmt: skip
    assert shares == sorted(shares, reverse=True)
    heading.get_by_role("button").press("Enter")
    assert heading.get_attribute("aria-sort") == "ascending"
    trade_off = page.get_by_role("columnheader", name="trade-off").first
    trade_off.get_by_role("button").press(" ")
    # Rows without a trade-off stay at the end in either direction.
    assert rows(page)[0] == "SPUL"


def test_row_opens_its_provenance_by_keyboard_and_closes_again(page: Page) -> None:
    opener = page.get_by_role("button", name="SPUL", exact=True).first
    opener.press("Enter")
    dialog = page.get_by_role("dialog")
    assert dialog.is_visible()
    text = dialog.inner_text()
    for expected in (
        "value of learning_rate",
        "data fingerprint",
        "unlearnbench run --config cell.yaml",
        "tasks:",
        "neutral",
    ):
        assert expected in text
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0
    assert opener.evaluate("element => element === document.activeElement")


def test_trials_are_shown_with_their_seed(page: Page) -> None:
    page.get_by_role("button", name="SPUL", exact=True).first.press("Enter")
    text = page.get_by_role("dialog").inner_text()
    for expected in ("Trials of seed 0", "2 of at most 2 trials", "learning_rate = 0.1", "40.00", "diverged"):
        assert expected in text


def test_names_and_texts_are_text(page: Page) -> None:
    assert page.title() == "unlearnbench leaderboard"
    assert page.locator("img").count() == 0
    assert HOSTILE in rows(page)


def test_fits_a_phone(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


PAGE_OF_MANY = [
    entry(row, min(1.0, forget + 0.003 * seed), retain, seed=seed, size=300, task=task, block=task, title=row.upper())
    for task in ("sst2", "yelp", "wmdp-sciq")
    for row, forget, retain in [("base", 0.9, 0.9), *((f"method-{n}", 0.1 * n, 0.85) for n in range(6))]
    for seed in range(10)
]


@pytest.mark.slow
def test_answer_is_on_the_first_screen_and_no_column_behind_a_scroll_bar(browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "leaderboard.html"
    file.write_text(to_html(build_blocks(PAGE_OF_MANY), {}), encoding="utf-8")
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(file.as_uri())
    page.wait_for_selector("#overall-0-ranks svg")
    box = page.locator("#overall-0").bounding_box()
    assert box is not None
    assert box["y"] + 400 < 900
    assert page.locator("#overall-0 tbody th").all_inner_texts() == [f"METHOD-{n}" for n in range(6)]
    hidden = page.eval_on_selector_all(
        "section > .scroll, .answer .scroll", "boxes => boxes.filter(box => box.scrollWidth > box.clientWidth).length"
    )
    assert hidden == 0
    page.close()


def test_published_points_are_drawn_only_if_asked_for() -> None:
    blocks = build_blocks(ENTRIES)
    assert "(paper)" not in to_html(blocks, {}).split("<script>")[0]
    assert "(paper)" in to_html(blocks, {}, with_paper=True).split("<script>")[0]


def test_points_have_no_labels_that_could_cover_each_other() -> None:
    chart = charts(build_blocks(ENTRIES)[0], with_paper=False)["trade-off"]
    assert all(layer["mark"]["type"] != "text" for layer in chart["layer"])


@pytest.mark.parametrize(
    ("change", "said"),
    [({"trial_budget": 0}, "none: declared values"), ({"trial_budget": 4}, "2 of at most 4 trials")],
)
def test_number_of_trials_reads_well(change: dict[str, int], said: str) -> None:
    assert said in to_html(build_blocks([ENTRIES[3], entry("spul", 0.1, 0.8, **change)]), {})


@pytest.mark.parametrize(("scheme", "dark"), [("light", False), ("dark", True)])
def test_text_stands_out_in_either_scheme(browser: Browser, tmp_path: Path, scheme: str, dark: bool) -> None:
    file = tmp_path / "leaderboard.html"
    file.write_text(page_text(), encoding="utf-8")
    page = browser.new_page(color_scheme=scheme)  # type: ignore[arg-type]
    page.goto(file.as_uri())
    page.wait_for_selector(".chart svg text")
    colours = [
        page.eval_on_selector("body", "element => getComputedStyle(element).backgroundColor"),
        page.eval_on_selector("body", "element => getComputedStyle(element).color"),
        page.eval_on_selector(".chart svg text", "element => getComputedStyle(element).fill"),
    ]
    background, ink, chart = (sum(int(part) for part in colour[4:-1].split(",")) / 3 for colour in colours)
    assert (background < 60) == dark
    assert abs(background - ink) > 180
    assert abs(background - chart) > 180
    page.close()


@pytest.mark.slow
def test_page_holds_no_address_to_load_from() -> None:
    head = page_text().split("<script")[0]
    assert "http" not in head.replace("https://", "http://").split("<body>")[0]
