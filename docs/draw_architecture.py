"""Draw docs/architecture.svg from the imports of core/compete. Run it with `make docs`.

Parts (the core's folders and top-level files) stand in the order of imports, what imports nothing last. An arc leads
from a part to one that it imports; an arc that others imply is left out.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from html import escape
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
CORE = FOLDER.parent / "core/compete"
LINE, LEFT, TOP, WIDTH = 32, 160, 30, 980  # pixels


def order() -> list[list[str]]:
    """Return the order of imports that docs/architecture.md states, from what imports nothing on."""
    line = re.search(r"```text\n(.* < .*)\n```", (FOLDER / "architecture.md").read_text(encoding="utf-8"))
    assert line
    return [parts.split() for parts in line[1].split(" < ")]


def modules() -> dict[str, Path]:
    """Return the core's modules by their name below `compete`; a folder's own name is its `__init__`."""
    found = {}
    for path in sorted(CORE.rglob("*.py")):
        parts = path.relative_to(CORE).with_suffix("").parts
        if not parts[0].startswith("_"):  # what the package itself exports is for plugins
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path) -> set[str]:
    """Return the modules that a file imports, those for type checkers included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def arrows() -> dict[str, set[str]]:
    """Return which modules of the core each of them imports."""
    known = modules()
    names = {f"compete.{name}": name for name in known}
    return {name: {names[other] for other in imports(path) & names.keys()} - {name} for name, path in known.items()}


def part_arrows() -> dict[str, set[str]]:
    """Return which parts each part imports."""
    found: dict[str, set[str]] = {}
    for name, others in arrows().items():
        own = name.partition(".")[0]
        found.setdefault(own, set()).update({other.partition(".")[0] for other in others} - {own})
    return found


def reduced(graph: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Leave out each arrow that a longer way implies."""

    def reached(part: str) -> set[str]:
        return graph[part].union(*(reached(other) for other in graph[part]))

    return {part: others - set().union(*(reached(other) for other in others)) for part, others in graph.items()}


def caption(part: str) -> str:
    """Return the first sentence of a part's docstring."""
    path = CORE / part / "__init__.py" if (CORE / part).is_dir() else CORE / f"{part}.py"
    first = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0]
    return re.split(r"[.;](?= |$)", first)[0].replace("`", "")


def draw() -> str:
    """Return the picture as SVG."""
    parts = [part for line in order() for part in line][::-1]
    height = {part: TOP + LINE * number for number, part in enumerate(parts)}
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{TOP + LINE * len(parts)}" '
        'font-family="sans-serif" font-size="13">',
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 8 4 0 8z" fill="#57718f"/></marker></defs>',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for part, others in reduced(part_arrows()).items():
        for other in sorted(others, key=parts.index):
            start, end = height[part] + 4, height[other] - 4
            reach = LEFT - 12 - (end - start) * 0.42
            lines.append(
                f'<path d="M{LEFT - 8} {start}C{reach:.0f} {start} {reach:.0f} {end} {LEFT - 8} {end}" fill="none" '
                'stroke="#57718f" stroke-width="1.2" marker-end="url(#head)"/>'
            )
    for part, y in height.items():
        name = f"{part}/" if (CORE / part).is_dir() else f"{part}.py"
        lines.append(f'<text x="{LEFT}" y="{y + 5}" font-weight="bold">{name}</text>')
        lines.append(f'<text x="{LEFT + 110}" y="{y + 5}" fill="#444">{escape(caption(part))}</text>')
    return "\n".join([*lines, "</svg>", ""])


if __name__ == "__main__":
    (FOLDER / "architecture.svg").write_text(draw(), encoding="utf-8")
