"""Whether the Hugging Face hub answers: asked once per process, so that an unreachable one is said at once."""

from __future__ import annotations

import os
import sys
import threading
from functools import cache

from unlearnbench.errors import first_line

# Of a name that is looked up, and of the server: together less than five.
SECONDS = 4.0


@cache
def trouble() -> str | None:
    """Why the hub can't be asked, or None if it can.

    The Hugging Face libraries would each try it for many seconds, telling so. If it does not answer they are told to be
    offline from here on, this process and those that it starts: what was downloaded before is still found.
    """
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    found = _asked(constants.ENDPOINT)
    if found is not None:
        os.environ["HF_HUB_OFFLINE"] = "1"
        constants.HF_HUB_OFFLINE = True
        if "datasets" in sys.modules:
            import datasets

            datasets.config.HF_HUB_OFFLINE = True
    return found


def _asked(endpoint: str) -> str | None:
    from huggingface_hub.utils import get_session  # type: ignore[attr-defined]

    found = [f"{endpoint} does not answer within {SECONDS:g} seconds"]

    def ask() -> None:
        try:
            get_session().head(endpoint, timeout=SECONDS)
        except Exception as error:  # the hub client's transport raises its own errors
            found[0] = f"{endpoint} can't be reached: {first_line(error).rstrip('.')}"
        else:
            found.clear()

    # Looking up a name knows no timeout.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(SECONDS)
    return found[0] if found else None


def reason(error: BaseException) -> str:
    """Why something could not be had from the hub: that it does not answer, else what the error says."""
    return trouble() or first_line(error).rstrip(".")
