"""Bad moments of an MLflow server: an answer that breaks off is asked for again, a silent server stops the run."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

from unlearnbench.console.safe_text import safe
from unlearnbench.errors import UserError, first_line

logger = logging.getLogger(__name__)
ATTEMPTS = 5
PAUSE_SECONDS = 1.0
# A silence of this length is told to the user.
SILENCE_SECONDS = 4.0

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class ServerDownError(UserError):
    """The server did not answer, however often it was asked."""


def patiently(call: Callable[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
    """Calls a method of an MLflow client, again where the server broke its answer off.

    MLflow itself asks again while a server refuses connections or answers with a passing error, but not where an answer
    ends too early, as that of a server which is being stopped may. The server may have done what it was asked for by
    then: the call must bear being made twice. (A run that is created twice leaves an empty one.)

    Raises:
        ServerDownError: the server does not answer.
    """
    from mlflow.exceptions import MlflowException
    from requests import RequestException
    from requests.exceptions import ChunkedEncodingError, ConnectionError, RetryError, Timeout

    attempts = ATTEMPTS
    while True:
        try:
            with _silence_told(call):
                return call(*args, **kwargs)
        except (MlflowException, RequestException) as error:
            trouble = error if isinstance(error, RequestException) else error.__context__
            if not isinstance(trouble, (ChunkedEncodingError, ConnectionError, RetryError, Timeout)):
                raise
            attempts = attempts - 1 if isinstance(trouble, ChunkedEncodingError) else 0
            if attempts == 0:
                raise ServerDownError(
                    f"the MLflow server does not answer ({first_line(error).rstrip('.')}): "
                    "the same command goes on once it does; finished cells are safe."
                ) from error
        time.sleep(PAUSE_SECONDS)


@contextmanager
def _silence_told(call: Callable[..., Any]) -> Iterator[None]:
    """Says that a server is waited for, and for how long, if the block takes more than a few seconds."""
    uri = str(getattr(getattr(call, "__self__", None), "tracking_uri", ""))
    if not is_server(uri):
        yield
        return
    text = safe(
        f"waiting for the MLflow server {uri}, which has not answered for {SILENCE_SECONDS:.0f} seconds: "
        f"it is asked again for about {patience_seconds() / 60:.1f} minutes (MLFLOW_HTTP_REQUEST_MAX_RETRIES)"
    )
    timer = threading.Timer(SILENCE_SECONDS, logger.warning, [text])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def is_server(uri: str) -> bool:
    """Whether an MLflow store is a server, rather than a database that this process opens itself."""
    return uri.startswith(("http://", "https://"))


def patience_seconds() -> float:
    """How long MLflow asks a server again that refuses connections, by its settings."""
    from mlflow.environment_variables import MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR, MLFLOW_HTTP_REQUEST_MAX_RETRIES

    # urllib3 waits before all attempts but the first two, twice as long each time, and never longer than two minutes.
    factor, retries = MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR.get(), MLFLOW_HTTP_REQUEST_MAX_RETRIES.get()
    return float(sum(min(120, factor * 2**number) for number in range(1, retries)))
