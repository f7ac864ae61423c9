"""Draws `rooms.svg`: the folders of the package, each above all that it imports.

    python docs/rooms.py

What a box says is the first sentence of the folder's docstring. A line that follows from others is left out; one that
passes behind a floor is dashed.
"""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Mapping
from functools import cache
from html import escape
from pathlib import Path

import grimp

PACKAGE = "unlearnbench"
PICTURE = Path(__file__).with_name("rooms.svg")
# Looked up when they are used, so that `import unlearnbench` loads nothing.
LATE = {(PACKAGE, f"{PACKAGE}.notebook"), (PACKAGE, f"{PACKAGE}.leaderboard.samples")}
WIDTH, MARGIN = 960, 16
BOX_WIDTH, BOX_HEIGHT, FLOOR_HEIGHT = 268, 62, 92
LETTERS_OF_A_LINE = 40

Imports = Mapping[str, frozenset[str]]


def room_imports() -> Imports:
    """The rooms that each room imports: folders and modules directly below the package."""
    graph = grimp.build_graph(PACKAGE, cache_dir=None)
    found: dict[str, set[str]] = {}
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            room, other = _room(module), _room(imported)
            if room and other and room != other and (module, imported) not in LATE:
                found.setdefault(room, set()).add(other)
    rooms = {*found, *(other for others in found.values() for other in others)} - {"__main__"}
    return {room: frozenset(found.get(room, ())) for room in sorted(rooms)}


def _room(module: str) -> str | None:
    return module.split(".")[1] if "." in module else None


def floors(imports: Imports) -> dict[str, int]:
    """Each room's floor: one above the highest room that it imports."""

    @cache
    def floor(room: str) -> int:
        return max((1 + floor(other) for other in imports[room]), default=0)

    return {room: floor(room) for room in imports}


def direct(imports: Imports) -> list[tuple[str, str]]:
    """Imports that do not follow from others."""

    @cache
    def below(room: str) -> frozenset[str]:
        return imports[room].union(*(below(other) for other in imports[room]))

    return [
        (room, other)
        for room, others in imports.items()
        for other in sorted(others)
        if not any(other in below(between) for between in others)
    ]


def described(room: str) -> str:
    """The beginning of a room's docstring, up to its first stop."""
    folder = Path(__file__).parents[1] / PACKAGE / room
    file = folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
    docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return docstring.split("\n")[0].split(". ")[0].split("; ")[0].rstrip(".")


def drawing() -> str:
    """The picture as SVG."""
    imports = room_imports()
    floor = floors(imports)
    highest = max(floor.values())
    place: dict[str, tuple[float, float]] = {}
    for level in range(highest + 1):
        below = {room: _mean_place(imports[room], place) for room in imports if floor[room] == level}
        row = sorted(below, key=lambda room: (below[room], room))
        for position, room in enumerate(row):
            x = WIDTH / 2 + (position - (len(row) - 1) / 2) * (BOX_WIDTH + 2 * MARGIN)
            place[room] = x, MARGIN + (highest - level) * FLOOR_HEIGHT
    height = 2 * MARGIN + highest * FLOOR_HEIGHT + BOX_HEIGHT
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif">',
        "<title>The folders of the package, each above all that it imports</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        *(_line(place[room], place[other], floor[room] - floor[other] > 1) for room, other in direct(imports)),
        *(line for room in imports for line in _box(room, *place[room])),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _mean_place(rooms: frozenset[str], place: Mapping[str, tuple[float, float]]) -> float:
    found = [place[room][0] for room in rooms]
    return sum(found) / len(found) if found else WIDTH / 2


def _line(start: tuple[float, float], end: tuple[float, float], passes: bool) -> str:
    (x, y), (to_x, to_y) = (start[0], start[1] + BOX_HEIGHT), end
    half = (to_y - y) / 2
    path = f"M{x:.0f} {y:.0f}C{x:.0f} {y + half:.0f} {to_x:.0f} {to_y - half:.0f} {to_x:.0f} {to_y:.0f}"
    dashes = ' stroke-dasharray="4 4"' if passes else ""
    return f'<path d="{path}" fill="none" stroke="#8a94a6" stroke-width="1.5"{dashes}/>'


def _box(room: str, x: float, y: float) -> list[str]:
    is_folder = (Path(__file__).parents[1] / PACKAGE / room).is_dir()
    left = x - BOX_WIDTH / 2
    fill = "#e8eef9" if is_folder else "#f4f4f0"
    name = f"{room}/" if is_folder else f"{room}.py"
    texts = textwrap.wrap(described(room), LETTERS_OF_A_LINE)[:2]
    return [
        f'<rect x="{left:.0f}" y="{y:.0f}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="6" fill="{fill}" '
        'stroke="#44546a"/>',
        f'<text x="{x:.0f}" y="{y + 20:.0f}" text-anchor="middle" font-size="15" font-weight="bold" '
        f'fill="#1c2836">{name}</text>',
        *(
            f'<text x="{x:.0f}" y="{y + 37 + 15 * number:.0f}" text-anchor="middle" font-size="12" '
            f'fill="#3b4756">{escape(text)}</text>'
            for number, text in enumerate(texts)
        ),
    ]


if __name__ == "__main__":
    PICTURE.write_text(drawing(), encoding="utf-8")
