"""Checks that every method, task and metric must pass; for a plugin's own tests and for ``unlearnbench check``.

import pytest
from unlearnbench.testing import Check, method_checks

@pytest.mark.parametrize("check", method_checks(MyMethod), ids=str)
def test_my_method(check: Check) -> None:
    check()
"""

from unlearnbench.testing.check import Check, CheckFailedError
from unlearnbench.testing.methods import method_checks
from unlearnbench.testing.metrics import metric_checks
from unlearnbench.testing.tasks import task_checks

__all__ = ["Check", "CheckFailedError", "method_checks", "metric_checks", "task_checks"]
