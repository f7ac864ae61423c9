"""Single answers on the page: two rows beside each other, filtered, by mouse and keyboard."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import Browser, Page

from tests.leaderboard.entries import ENTRIES, entry
from unlearnbench.leaderboard.blocks import Block, build_blocks
from unlearnbench.leaderboard.entry import Entry
from unlearnbench.leaderboard.page.answers import MOST_EXAMPLES, answers_view
from unlearnbench.leaderboard.page.page import to_html

HOSTILE = "<img src=x onerror=\"document.title='broken'\">"
OTHER = [entry("spul", 0.3, 0.6, 1), entry("base", 0.9, 0.9, 1), entry("ga", 0.5, 0.9, 1)]


def samples(entries: list[Entry], size: int = 10) -> pd.DataFrame:
    """Answers that make the flags of the entries."""
    frames = []
    for one in entries:
        for split in ("test_forget", "test_retain"):
            right = [flag == "1" for flag in one.right[split]][:size]
            frames.append(
                pd.DataFrame(
                    {
                        "split": split,
                        "example": range(len(right)),
                        "text": [f"film {number} {HOSTILE}" for number in range(len(right))],
                        "group": [("ann", "bob")[number % 2] for number in range(len(right))],
                        "answer": "good",
                        "predicted": ["good" if flag else f"bad {one.row}" for flag in right],
                        "right": right,
                        "key": one.key,
                    }
                )
            )
    return pd.concat(frames, ignore_index=True)


def blocks() -> list[Block]:
    return build_blocks([*ENTRIES, *OTHER])


@pytest.fixture
def page(browser: Browser, tmp_path: Path) -> Iterator[Page]:
    file = tmp_path / "leaderboard.html"
    file.write_text(to_html(blocks(), {}, samples=samples([*ENTRIES, *OTHER])), encoding="utf-8")
    context = browser.new_context(viewport={"width": 390, "height": 800}, offline=True)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(file.as_uri())
    yield page
    assert errors == []
    assert page.title() == "unlearnbench leaderboard"
    context.close()


def shown(page: Page) -> list[list[str]]:
    rows = page.locator(".answers tbody tr")
    return [[text.strip() for text in row.locator("td").all_inner_texts()] for row in rows.all()]


def choose(page: Page, **values: str) -> None:
    for name, value in values.items():
        page.locator(f".answers [name={name}]").select_option(value)


def test_examples_that_flipped_against_the_base_model_come_first(page: Page) -> None:
    page.locator(".answers summary").click()
    # Of ten the base model answers nine, and SPUL one.
    assert page.locator(".answers [role=status]").inner_text() == "8 of 10 examples"
    assert [row[0] for row in shown(page)] == [str(number) for number in range(1, 9)]
    assert shown(page)[0] == ["1", f"film 1 {HOSTILE}", "bob", "good", "✓ good", "✗ bad spul"]
    heads = page.locator(".answers thead th").all_inner_texts()
    assert heads[-2:] == ["BASE answers", "SPUL answers"]


def test_filters_by_row_split_seed_group_kind_and_words(page: Page) -> None:
    page.locator(".answers summary").click()
    choose(page, here="spul", there="ga", kind="won")
    assert shown(page) == []
    choose(page, kind="lost")
    assert [row[0] for row in shown(page)] == ["1", "2", "3", "4"]
    choose(page, group="ann")
    assert [row[0] for row in shown(page)] == ["2", "4"]
    choose(page, group="", seed="1")
    assert [row[0] for row in shown(page)] == ["3", "4"]
    choose(page, split="1", there="base")
    assert [row[0] for row in shown(page)] == ["6", "7", "8"]
    choose(page, kind="wrong")
    assert [row[0] for row in shown(page)] == ["6", "7", "8", "9"]
    choose(page, kind="all")
    assert len(shown(page)) == 10
    # The vanilla model has one result for all seeds.
    choose(page, here="vanilla")
    assert page.locator(".answers [role=status]").inner_text() == "10 of 10 examples"
    page.locator(".answers [name=search]").fill("film 7")
    assert [row[0] for row in shown(page)] == ["7"]


def test_keyboard_opens_and_filters(page: Page) -> None:
    summary = page.locator(".answers summary")
    summary.focus()
    page.keyboard.press("Enter")
    names = []
    for _ in range(7):
        page.keyboard.press("Tab")
        names.append(page.evaluate("document.activeElement.name"))
    assert names == ["split", "seed", "here", "there", "kind", "group", "search"]
    page.keyboard.type("film 3")
    assert [row[0] for row in shown(page)] == ["3"]
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("ArrowDown")
    assert shown(page) == []
    page.keyboard.press("ArrowDown")
    assert [row[0] for row in shown(page)] == ["3"]


def test_fits_a_phone(page: Page) -> None:
    page.locator(".answers summary").click()
    choose(page, kind="all")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_marks_stand_out(browser: Browser, tmp_path: Path, scheme: str) -> None:
    file = tmp_path / "leaderboard.html"
    file.write_text(to_html(blocks(), {}, samples=samples([*ENTRIES, *OTHER])), encoding="utf-8")
    context = browser.new_context(color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(file.as_uri())
    page.locator(".answers summary").click()
    colour = "(e) => getComputedStyle(e).%s.match(/[\\d.]+/g).map(Number)"
    paper = page.locator("body").evaluate(colour % "backgroundColor")
    for mark in ("td.right abbr", "td.wrong abbr"):
        ink = page.locator(f".answers {mark}").first.evaluate(colour % "color")
        high, low = sorted((luminance(ink), luminance(paper)), reverse=True)
        assert (high + 0.05) / (low + 0.05) >= 4.5
    context.close()


def luminance(colour: list[float]) -> float:
    """By WCAG 2."""
    parts = [c / 255 / 12.92 if c / 255 <= 0.04045 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), parts, strict=True))


def test_more_examples_than_a_page_takes_are_a_sample_that_is_said(browser: Browser, tmp_path: Path) -> None:
    size = 2 * MOST_EXAMPLES + 2
    large = [entry("spul", 0.1, 0.8, size=size), entry("base", 0.9, 0.9, size=size)]
    (block,) = build_blocks(large)
    found = answers_view(block, samples(large, size))
    assert found is not None
    assert found["splits"][0]["examples"] == list(range(0, size, 3))
    file = tmp_path / "leaderboard.html"
    file.write_text(to_html([block], {}, samples=samples(large, size)), encoding="utf-8")
    page = browser.new_page()
    page.goto(file.as_uri())
    page.locator(".answers summary").click()
    choose(page, kind="all")
    assert page.locator(".answers [role=status]").inner_text() == f"334 of 334 examples (evenly spaced among {size})"
    assert len(shown(page)) == 50
    page.get_by_role("button", name="Show 50 more").click()
    assert len(shown(page)) == 100
    page.close()


def test_without_texts_nothing_is_offered() -> None:
    (block,) = blocks()
    known = samples([*ENTRIES, *OTHER])
    assert answers_view(block, known.assign(text=None)) is None
    assert "Single answers" not in to_html([block], {}).split("<script")[0]
    assert 'id="answers"' in to_html([block], {})
