"""Reports the progress of long preparations on standard error: embedding, clustering, reading a data set."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

Item = TypeVar("Item")

# Shorter preparations report nothing.
SILENT_SECONDS = 3.0
LINE_EVERY_SECONDS = 10.0


def track(items: Sequence[Item], what: str) -> Iterator[Item]:
    """Yields the items; if the preparation takes long, reports how much is done and how long the rest will take.

    Args:
        what: the preparation in a few words, such as "yelp: sentence embeddings".
    """
    start = reported = time.monotonic()
    for done, item in enumerate(items):
        now = time.monotonic()
        if done and now - start >= SILENT_SECONDS and (reported == start or now - reported >= LINE_EVERY_SECONDS):
            left = timedelta(seconds=round((now - start) / done * (len(items) - done)))
            _say(f"{what}: {100 * done // len(items)} % (about {left} left)")
            reported = now
        yield item
    if reported != start:
        _say(f"{what}: done in {timedelta(seconds=round(time.monotonic() - start))}")


@contextmanager
def working(what: str) -> Iterator[None]:
    """Reports that a preparation without countable steps is still running, if it takes long."""
    over = threading.Event()
    start = time.monotonic()

    def remind() -> None:
        wait = SILENT_SECONDS
        while not over.wait(wait):
            _say(f"{what} ... ({timedelta(seconds=round(time.monotonic() - start))})")
            wait = 3 * LINE_EVERY_SECONDS

    reminder = threading.Thread(target=remind, daemon=True)
    reminder.start()
    try:
        yield
    finally:
        over.set()
        reminder.join()


def _say(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stderr.flush()
