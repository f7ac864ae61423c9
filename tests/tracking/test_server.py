"""Which troubles of a server are worth another attempt."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import requests
from mlflow.exceptions import MlflowException

from unlearnbench.tracking import server
from unlearnbench.tracking.server import ATTEMPTS, ServerDownError, patiently


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "PAUSE_SECONDS", 0.0)


class Client:
    """Raises what it is given, one after the other, as MLflow's client does: an error in the place of another."""

    def __init__(self, *troubles: Exception) -> None:
        self.troubles = list(troubles)
        self.asked = 0

    def search(self, query: str, *, page: int) -> str:
        self.asked += 1
        if not self.troubles:
            return f"{query}, page {page}"
        try:
            raise self.troubles.pop(0)
        except requests.RequestException as trouble:
            raise MlflowException(f"API request failed with exception {trouble}")  # noqa: B904 (as MLflow does)


def broken_off() -> Exception:
    return requests.exceptions.ChunkedEncodingError("IncompleteRead(0 bytes read, 2 more expected)")


def test_broken_answer_is_asked_for_again() -> None:
    client = Client(*(broken_off() for _ in range(ATTEMPTS - 1)))
    assert patiently(client.search, "cells", page=2) == "cells, page 2"
    assert client.asked == ATTEMPTS


def test_answer_that_always_breaks_off_ends_with_the_remedy() -> None:
    client = Client(*(broken_off() for _ in range(2 * ATTEMPTS)))
    with pytest.raises(ServerDownError, match=r"does not answer \(.*IncompleteRead.*the same command goes on"):
        patiently(client.search, "cells", page=1)
    assert client.asked == ATTEMPTS


@pytest.mark.parametrize(
    "trouble",
    [requests.ConnectionError, requests.Timeout, requests.exceptions.RetryError],
    ids=lambda one: one.__name__,
)
def test_what_mlflow_has_tried_again_itself_is_not_tried_again(trouble: Callable[[str], Exception]) -> None:
    client = Client(trouble("nobody there"))
    with pytest.raises(ServerDownError, match="nobody there"):
        patiently(client.search, "cells", page=1)
    assert client.asked == 1


def test_an_answer_that_says_no_is_no_broken_one() -> None:
    client = Client(MlflowException("no such experiment"))
    with pytest.raises(MlflowException, match="no such experiment"):
        patiently(client.search, "cells", page=1)
    assert client.asked == 1
