"""A real browser."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium, the system's or Playwright's own. Without one, tests are skipped, or fail if it should be there."""
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
        names = ("chromium", "chromium-browser", "google-chrome")
        path = next(filter(None, map(shutil.which, names)), own if Path(own).exists() else None)
        if path is None:
            message = "no Chromium is installed (playwright install chromium, or apt install chromium)"
            if "chromium" in os.environ.get("UNLEARNBENCH_TESTS_NEED", "").split():
                pytest.fail(message)
            pytest.skip(message)
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()
