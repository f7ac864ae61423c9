"""Which modules make numbers, and which tests belong to them."""

from __future__ import annotations

from pathlib import Path

# Rooms, and those of their modules that write tables or pages, or only describe.
ROOMS = {
    "methods": "methods",
    "tasks": "tasks",
    "contract": "unlearnbench/contract",
    "engine": "unlearnbench/engine",
    "cell": "unlearnbench/cell",
    "data": "unlearnbench/data",
    "identity": "unlearnbench/identity",
    "leaderboard": "unlearnbench/leaderboard",
    "storage": "unlearnbench/storage",
}
NO_NUMBERS = ("render", "markdown", "model_card", "reporter", "environment", "full_disk", "writing_text", "published")
# Tests of other rooms that hold a room's numbers: one row at a time in plain PyTorch, whole runs.
FURTHER = {"engine": ("tests/reference",), "methods": ("tests/reference",), "cell": ("tests/reference", "tests/grid")}


def modules(checkout: Path) -> list[str]:
    """The paths of the modules that mutants are made of."""
    return [
        str(file.relative_to(checkout))
        for folder in ROOMS.values()
        for file in sorted((checkout / folder).glob("*.py"))
        if file.name != "__init__.py" and not any(part in file.stem for part in NO_NUMBERS)
    ]


def room(module: str) -> str:
    """The room that a module lies in."""
    return next(name for name, folder in ROOMS.items() if str(Path(module).parent) == folder)


def stages(checkout: Path, module: str) -> list[list[str]]:
    """Arguments of pytest, nearest tests first: the module's own file, its room's fast tests, its room's slow ones."""
    name, fast, slow = room(module), ["-m", "not slow"], ["-m", "slow"]
    mirrored = f"tests/{name}/test_{Path(module).stem}.py"
    folders = [f"tests/{name}", *FURTHER.get(name, ())]
    nearest = [[mirrored]] if (checkout / mirrored).is_file() else []
    return [*nearest, [*fast, *folders], [*slow, *folders]]
