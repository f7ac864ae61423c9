"""The package that users install: built, checked, and used in an environment outside any checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
SOURCES = ("unlearnbench", "methods", "metrics", "tasks")
FILES = ("pyproject.toml", "README.md", "LICENSE")
# Small enough for every task and method to train in seconds.
SMALL = [
    *("--max-train", "24", "--max-test", "16", "--trials", "1", "--set", "base.epochs=1", "--quiet"),
    *("--set", "yelp.train_size=120", "--set", "yelp.test_size=80", "--set", "yelp.clusters=4"),
]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source distribution, and the wheel that was built from it."""
    source = tmp_path_factory.mktemp("source")
    for name in SOURCES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, source / name)
    _run([sys.executable, "-m", "build", "--no-isolation", "--outdir", str(source / "dist"), str(source)])
    return source / "dist"


@pytest.fixture(scope="module")
def environment(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an environment that has the wheel, and sees the dependencies that are installed here."""
    home = tmp_path_factory.mktemp("home")
    venv.create(home / "environment", with_pip=True, symlinks=True)
    library = home / "environment" / "lib" / f"python{sysconfig.get_python_version()}" / "site-packages"
    here = sysconfig.get_paths()["purelib"]
    (library / "here.pth").write_text(f"import site; site.addsitedir({here!r})\n", encoding="utf-8")
    install = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--ignore-installed"]
    _run([str(home / "environment" / "bin" / "python"), *install, str(next(built.glob("*.whl")))])
    return home


def _run(command: list[str], cwd: Path | None = None, **variables: str) -> str:
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1"} | variables,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_index_would_accept_both_distributions(built: Path) -> None:
    assert "PASSED" in _run([sys.executable, "-m", "twine", "check", "--strict", *map(str, sorted(built.iterdir()))])


def test_wheel_holds_the_sources_and_the_license(built: Path) -> None:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        names = set(wheel.namelist())
    modules = {f"{_imported(path)}" for name in SOURCES for path in (ROOT / name).rglob("*.py")}
    assert modules <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    data = {"unlearnbench/models/tiny/model.safetensors", "unlearnbench/presets/quick.yaml", "unlearnbench/py.typed"}
    assert data <= names
    with tarfile.open(next(built.glob("*.tar.gz"))) as source:
        assert any(name.endswith("/LICENSE") for name in source.getnames())


def _imported(path: Path) -> str:
    """Where the wheel has a source file."""
    first, *rest = path.relative_to(ROOT).parts
    return "/".join([first if first == "unlearnbench" else f"unlearnbench_{first}", *rest])


def test_commands_of_the_readme_work_outside_a_checkout(environment: Path) -> None:
    python = str(environment / "environment" / "bin" / "python")
    command = str(environment / "environment" / "bin" / "unlearnbench")
    own = {"UNLEARNBENCH_CACHE": str(environment / "cache"), "HF_HUB_OFFLINE": "1"}

    def call(*arguments: str) -> str:
        return _run([command, *arguments], environment, **own)

    where = _run([python, "-c", "import unlearnbench; print(unlearnbench.__file__)"], environment)
    assert str(environment) in where
    assert "spul" in call("list", "methods")
    call("run", "--tasks", "all", "--methods", "all", *SMALL)
    assert (environment / "results" / "leaderboard.md").is_file()
    call("leaderboard", "--html")
    assert "<html" in (environment / "results" / "leaderboard.html").read_text(encoding="utf-8")
    call("new", "method", "half-ascent")
    package = str(environment / "unlearnbench-half-ascent")
    _run([python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation", package])
    assert "0 failed" in call("check", "half-ascent")
