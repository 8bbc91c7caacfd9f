"""Draws docs/rooms.svg from the code: which room imports which, row by row as `lint-imports` holds them.

`make rooms` writes it, `make lint` calls it with `--check`, which ends with 1 where the picture and the code differ.
An arrow that follows from others (cli → models, by way of evaluation) is left out.
"""

import ast
import sys
import textwrap
import tomllib
from html import escape
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "rooms.svg"
WIDTH, BOX_WIDTH, BOX_HEIGHT, ROW, MARGIN = 1080, 244, 74, 124, 20
CHARACTERS, LINES = 38, 3  # of a room's sentence

Arrows = set[tuple[str, str]]


def layers() -> list[list[str]]:
    """Give the rows of rooms from top to bottom; the modules of the ground floor are the last."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    rows = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    named = [[name.strip() for name in row.split("|")] for row in rows]
    rooms = [[name for name in row if (ROOT / "src/hviskd" / name).is_dir()] for row in named]
    ground = [name for row, kept in zip(named, rooms, strict=True) for name in row if name not in kept]
    return [*(row for row in rooms if row), ground]


def arrows(rooms: set[str]) -> Arrows:
    """Give which room imports which, without what follows from others."""
    graph = grimp.build_graph("hviskd", cache_dir=None)
    direct: dict[str, set[str]] = {room: set() for room in rooms}
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            here, there = (name.split(".")[1] if "." in name else "" for name in (module, imported))
            if here != there and {here, there} <= rooms:
                direct[here].add(there)

    def reached(room: str) -> set[str]:
        return direct[room].union(*(reached(other) for other in direct[room]))

    return {
        (room, other)
        for room, others in direct.items()
        for other in others
        if not any(other in reached(between) for between in others - {other})
    }


def places(rows: list[list[str]], drawn: Arrows) -> dict[str, tuple[float, float]]:
    """Give each room's upper left corner; in a row, rooms stand below those that import them."""
    corner: dict[str, tuple[float, float]] = {}
    for number, row in enumerate(rows):
        pulls = {
            room: [corner[above][0] for above, below in drawn if below == room and above in corner] or [WIDTH / 2]
            for room in row
        }
        ordered = sorted(row, key=lambda room: (sum(pulls[room]) / len(pulls[room]), room))
        step = (WIDTH - 2 * MARGIN) / len(row)
        for place, room in enumerate(ordered):
            corner[room] = (MARGIN + (place + 0.5) * step - BOX_WIDTH / 2, MARGIN + number * ROW)
    return corner


def sentence(room: str) -> list[str]:
    """Give the first sentence of a room's docstring, in lines."""
    source = (ROOT / "src/hviskd" / room / "__init__.py").read_text(encoding="utf-8")
    first = (ast.get_docstring(ast.parse(source)) or "").split("\n\n")[0].replace("`", "")
    return textwrap.wrap(first, CHARACTERS, max_lines=LINES, placeholder=" …")


def svg() -> str:
    """Draw the picture."""
    *rows, ground = layers()
    drawn = arrows({room for row in rows for room in row})
    corner = places(rows, drawn)
    height = MARGIN + len(rows) * ROW + 66
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif">',
        '<title>The rooms of hviskd; an arrow points to the room that is imported</title>',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 8 4 0 8z" fill="#5b6770"/></marker></defs>',
    ]  # fmt: skip
    for room, other in sorted(drawn):
        x, y = corner[room][0] + BOX_WIDTH / 2, corner[room][1] + BOX_HEIGHT
        to_x, to_y = corner[other][0] + BOX_WIDTH / 2, corner[other][1]
        bend = (to_y - y) / 2
        path = f"M{x:.0f} {y:.0f} C{x:.0f} {y + bend:.0f} {to_x:.0f} {to_y - bend:.0f} {to_x:.0f} {to_y:.0f}"
        parts.append(f'<path d="{path}" fill="none" stroke="#5b6770" stroke-width="1.4" marker-end="url(#tip)"/>')
    for room in sorted(corner):
        x, y = corner[room]
        parts.append(
            f'<rect x="{x:.0f}" y="{y:.0f}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="6" '
            'fill="#f3f6f8" stroke="#2f4858"/>'
        )
        parts.append(f'<text x="{x + 10:.0f}" y="{y + 19:.0f}" font-size="14" font-weight="bold">{room}/</text>')
        parts += [
            f'<text x="{x + 10:.0f}" y="{y + 36 + 14 * number:.0f}" font-size="11" fill="#333333">{escape(line)}</text>'
            for number, line in enumerate(sentence(room))
        ]
    y = MARGIN + len(rows) * ROW
    parts.append(
        f'<rect x="{MARGIN}" y="{y}" width="{WIDTH - 2 * MARGIN}" height="46" rx="6" fill="#eef1e6" stroke="#59652f"/>'
    )
    parts += [
        f'<text x="{MARGIN + 10}" y="{y + 19 + 17 * number}" font-size="12">{line}</text>'
        for number, line in enumerate(("the ground floor, which every room may use:", " · ".join(ground)))
    ]
    return "\n".join([*parts, "</svg>", ""])


def main() -> int:
    """Write the picture, or check that it is up to date."""
    picture = svg()
    if "--check" in sys.argv[1:]:
        if not PICTURE.is_file() or PICTURE.read_text(encoding="utf-8") != picture:
            sys.stderr.write("docs/rooms.svg does not show the code; run `make rooms`\n")
            return 1
        return 0
    PICTURE.write_text(picture, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
