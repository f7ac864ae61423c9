"""Bad moments of an MLflow server: an answer that breaks off is asked for again, a silent server stops the run."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from unlearnbench.errors import UserError, first_line

ATTEMPTS = 5
PAUSE_SECONDS = 1.0

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
