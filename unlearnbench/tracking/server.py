"""Retries truncated MLflow responses; stops the run if the server does not respond."""

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
# The user is told if the server has not responded for this long.
SILENCE_SECONDS = 4.0

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


class ServerDownError(UserError):
    """The server did not respond, in spite of all retries."""


def patiently(call: Callable[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
    """Calls a method of an MLflow client, and retries it if the server's response is truncated.

    MLflow itself retries while a server refuses connections or returns a transient error, but not if a response is
    truncated, as it may be while the server is being stopped. By then the server may have carried out the request, so
    the call must be safe to repeat. (A run that is created twice leaves an empty one.)

    Raises:
        ServerDownError: the server does not respond.
    """
    from mlflow.exceptions import MlflowException
    from requests import RequestException
    from requests.exceptions import ChunkedEncodingError, ConnectionError, RetryError, Timeout

    attempts = ATTEMPTS
    while True:
        try:
            with _warn_if_silent(call):
                return call(*args, **kwargs)
        except (MlflowException, RequestException) as error:
            cause = error if isinstance(error, RequestException) else error.__context__
            if not isinstance(cause, (ChunkedEncodingError, ConnectionError, RetryError, Timeout)):
                raise
            attempts = attempts - 1 if isinstance(cause, ChunkedEncodingError) else 0
            if attempts == 0:
                raise ServerDownError(
                    f"the MLflow server does not answer ({first_line(error).rstrip('.')}): "
                    "the same command goes on once it does; finished cells are safe."
                ) from error
        time.sleep(PAUSE_SECONDS)


@contextmanager
def _warn_if_silent(call: Callable[..., Any]) -> Iterator[None]:
    """Warns that the server does not respond, and for how long it is retried, if the block takes a few seconds."""
    uri = str(getattr(getattr(call, "__self__", None), "tracking_uri", ""))
    if not is_server(uri):
        yield
        return
    text = safe(
        f"waiting for the MLflow server {uri}, which has not answered for {SILENCE_SECONDS:.0f} seconds: "
        f"requests are retried for about {patience_seconds() / 60:.1f} minutes (MLFLOW_HTTP_REQUEST_MAX_RETRIES)"
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
    """How long, by its settings, MLflow retries requests to a server that refuses connections."""
    from mlflow.environment_variables import MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR, MLFLOW_HTTP_REQUEST_MAX_RETRIES

    # urllib3 waits before every attempt but the first two, twice as long each time, at most two minutes.
    factor, retries = MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR.get(), MLFLOW_HTTP_REQUEST_MAX_RETRIES.get()
    return float(sum(min(120, factor * 2**number) for number in range(1, retries)))
