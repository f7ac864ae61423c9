"""Tests with the lowest and the newest dependencies that the package allows.

    nox -s lowest newest-3.11 newest-3.12 newest-3.13

`make test` uses the versions of constraints.txt. Each session downloads up to some gigabytes, since torch from PyPI
brings CUDA along; options after `--` go to pytest, as in `nox -s lowest -- tests/test_config.py`.
"""

from __future__ import annotations

import nox

nox.options.default_venv_backend = "uv"
PYTHONS = ["3.11", "3.12", "3.13"]
TOOLS = ("pytest", "hypothesis", "playwright", "import-linter", "wheel", "pip")


def _test(session: nox.Session) -> None:
    session.run("python", "-m", "pytest", "-q", *(session.posargs or ["-m", "not slow"]))


@nox.session(python=PYTHONS)
def newest(session: nox.Session) -> None:
    """The newest release of everything."""
    session.install("--upgrade", "--editable", ".[dev]")
    _test(session)


@nox.session(python=PYTHONS[0])
def lowest(session: nox.Session) -> None:
    """The lowest release of each dependency that pyproject.toml names."""
    session.install("--resolution", "lowest-direct", "--editable", ".")
    session.install(*TOOLS)
    _test(session)
