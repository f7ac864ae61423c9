"""The folders of the package: imports go one way, and the page that shows them tells the truth."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "architecture.md"
LINT = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"


@pytest.fixture(scope="module")
def rooms() -> ModuleType:
    """The script that draws the picture."""
    spec = importlib.util.spec_from_file_location("rooms", ROOT / "docs" / "rooms.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_imports_go_one_way() -> None:
    # In a process of its own: import-linter switches off the loggers that other tests read.
    found = subprocess.run([sys.executable, "-c", LINT], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "line", "broken"),
    [
        ("unlearnbench/storage/lease.py", "import unlearnbench.grid.grid", "Imports go down"),
        ("unlearnbench/data/sampling.py", "import unlearnbench.models.resolve", "Imports go down"),
        ("unlearnbench/cell/cost.py", "import unlearnbench.cell.trainer", "No circles"),
        ("unlearnbench/new_module.py", "", "Imports go down"),
        ("methods/ga.py", "import unlearnbench.engine.forward", "Methods, metrics and tasks know the plugin API alone"),
        (
            "metrics/f1.py",
            "import unlearnbench.cell.evaluation",
            "Methods, metrics and tasks know the plugin API alone",
        ),
        (
            "unlearnbench/grid/grid.py",
            "import unlearnbench_tasks.sst2",
            "The core knows no method, no metric and no task",
        ),
        (
            "unlearnbench/grid/grid.py",
            "import unlearnbench_metrics.f1",
            "The core knows no method, no metric and no task",
        ),
    ],
)
def test_wrong_import_is_found(tmp_path: Path, file: str, line: str, broken: str) -> None:
    package_of = {"unlearnbench": "unlearnbench"}
    package_of |= {folder: f"unlearnbench_{folder}" for folder in ("methods", "metrics", "tasks")}
    for folder, package in package_of.items():
        shutil.copytree(ROOT / folder, tmp_path / package)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    folder, _, rest = file.partition("/")
    place = tmp_path / package_of[folder] / rest
    with place.open("a", encoding="utf-8") as opened:
        opened.write(f"\n{line}\n")
    # Ahead of the installed package, which an editable installation would otherwise point elsewhere.
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {LINT}"
    found = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert found.returncode == 1, found.stdout + found.stderr
    assert f"{broken} BROKEN" in found.stdout


def test_picture_is_drawn_from_the_imports(rooms: ModuleType) -> None:
    assert rooms.PICTURE.read_text(encoding="utf-8") == rooms.drawing(), "run `python docs/rooms.py`"


def test_picture_has_every_folder_above_what_it_imports(rooms: ModuleType) -> None:
    imports, floors = rooms.room_imports(), rooms.floors(rooms.room_imports())
    folders = {path.name for path in (ROOT / "unlearnbench").iterdir() if (path / "__init__.py").is_file()}
    assert folders - {"presets", "templates"} <= set(imports)
    assert all(floors[room] > floors[other] for room, others in imports.items() for other in others)
    assert all(rooms.described(room) for room in imports)


def test_page_names_files_that_exist() -> None:
    named = re.findall(r"`([\w/]+(?:\.py|/))`", PAGE.read_text(encoding="utf-8"))
    assert len(named) > 30
    missing = [name for name in named if not ((ROOT / "unlearnbench" / name).exists() or (ROOT / name).exists())]
    assert not missing
