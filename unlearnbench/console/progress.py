"""Says on standard error how far a long preparation is: embedding, clustering, reading a data set."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

Item = TypeVar("Item")

# Whatever ends sooner says nothing.
SILENT_SECONDS = 3.0
LINE_EVERY_SECONDS = 10.0


def track(items: Sequence[Item], what: str) -> Iterator[Item]:
    """The items one by one; a preparation that takes long says how many are done and how long the rest will take.

    Args:
        what: the preparation in a few words, as in "yelp: sentence embeddings".
    """
    began = said = time.monotonic()
    for done, item in enumerate(items):
        now = time.monotonic()
        if done and now - began >= SILENT_SECONDS and (said == began or now - said >= LINE_EVERY_SECONDS):
            left = timedelta(seconds=round((now - began) / done * (len(items) - done)))
            _say(f"{what}: {100 * done // len(items)} % (about {left} left)")
            said = now
        yield item
    if said != began:
        _say(f"{what}: done in {timedelta(seconds=round(time.monotonic() - began))}")


@contextmanager
def working(what: str) -> Iterator[None]:
    """Says that a preparation without countable parts is going on, if it takes long."""
    over = threading.Event()
    began = time.monotonic()

    def remind() -> None:
        wait = SILENT_SECONDS
        while not over.wait(wait):
            _say(f"{what} ... ({timedelta(seconds=round(time.monotonic() - began))})")
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
