"""Which errors of a server are retried."""

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
    """Raises the given errors, one per call; like MLflow's client, it raises its own error in place of requests'."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    def search(self, query: str, *, page: int) -> str:
        self.calls += 1
        if not self.errors:
            return f"{query}, page {page}"
        try:
            raise self.errors.pop(0)
        except requests.RequestException as error:
            raise MlflowException(f"API request failed with exception {error}")  # noqa: B904 (as MLflow does)


def truncated() -> Exception:
    return requests.exceptions.ChunkedEncodingError("IncompleteRead(0 bytes read, 2 more expected)")


def test_truncated_response_is_retried() -> None:
    client = Client(*(truncated() for _ in range(ATTEMPTS - 1)))
    assert patiently(client.search, "cells", page=2) == "cells, page 2"
    assert client.calls == ATTEMPTS


def test_retries_of_truncated_responses_end_with_a_remedy() -> None:
    client = Client(*(truncated() for _ in range(2 * ATTEMPTS)))
    with pytest.raises(ServerDownError, match=r"does not answer \(.*IncompleteRead.*the same command goes on"):
        patiently(client.search, "cells", page=1)
    assert client.calls == ATTEMPTS


@pytest.mark.parametrize(
    "error",
    [requests.ConnectionError, requests.Timeout, requests.exceptions.RetryError],
    ids=lambda one: one.__name__,
)
def test_requests_that_mlflow_has_retried_are_not_retried_again(error: Callable[[str], Exception]) -> None:
    client = Client(error("nobody there"))
    with pytest.raises(ServerDownError, match="nobody there"):
        patiently(client.search, "cells", page=1)
    assert client.calls == 1


def test_error_response_is_not_retried() -> None:
    client = Client(MlflowException("no such experiment"))
    with pytest.raises(MlflowException, match="no such experiment"):
        patiently(client.search, "cells", page=1)
    assert client.calls == 1
