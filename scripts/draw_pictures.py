"""Draw the pictures of README and docs/architecture.md: the loop from the pipeline specs, the house from the imports.

    .venv/bin/python scripts/draw_pictures.py            writes docs/pictures/loop.svg and house.svg
    .venv/bin/python scripts/draw_pictures.py --check    exits with 1 when a picture there is not today's

Floors are the layers of `.importlinter`, sentences the packages' own docstrings, `uses` what grimp finds imported.
"""

import argparse
import ast
import configparser
import json
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path

import grimp

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs" / "pictures"
WIDTH = 960
LINE = 17
INK, PAPER, EDGE, SOFT = "#1f2933", "#ffffff", "#7b8794", "#52606d"
FILLS = {"user": "#e6f0ff", "pachyderm": "#e3f8ef", "determined": "#fff3dc", "kserve": "#fde8ef", "base": "#f0f2f5"}


@dataclass(frozen=True)
class Box:
    """A titled box; x, y, width and height in pixels."""

    x: float
    y: float
    width: float
    height: float
    title: str
    lines: tuple[str, ...]
    fill: str

    def svg(self) -> str:
        """Return the box as SVG elements."""
        rows = [
            f'<rect x="{self.x:g}" y="{self.y:g}" width="{self.width:g}" height="{self.height:g}" rx="6" '
            f'fill="{self.fill}" stroke="{EDGE}"/>',
            _text(self.x + 10, self.y + 20, self.title, bold=True),
        ]
        rows += [_text(self.x + 10, self.y + 38 + i * LINE, line, SOFT) for i, line in enumerate(self.lines)]
        return "\n".join(rows)


# What the pipelines of the loop cause, as (title, text, whose).
RESULTS = (
    (
        "Determined: experiment",
        "Determined's own harness trains on what the commit changed, warm-started; "
        "the best checkpoint becomes a model version",
        "determined",
    ),
    (
        "model archive (.mar)",
        "built, opened again and asked for predictions before it is written to the commit",
        "pachyderm",
    ),
    (
        "KServe: InferenceService",
        "a new revision beside the one that serves; traffic moves when the new one gives the build's answers",
        "kserve",
    ),
)


def loop() -> str:
    """Return the picture of one commit's way to an answer; the three pipelines are read from their specs."""
    specs = {
        stage: json.loads((ROOT / "pipelines" / f"{stage}-pipeline.json").read_text())
        for stage in ("training", "deployment", "rollout")
    }
    put = f"{specs['training']['input']['pfs']['repo']}@master: one commit; its id is the id of all that follows"
    width, columns = 280.0, (20.0, 340.0, 660.0)

    def box(x: float, y: float, height: float, title: str, text: str, whose: str, last: tuple[str, ...] = ()) -> str:
        return Box(x, y, width, height, title, (*_wrap(text, width), *last), FILLS[whose]).svg()

    shapes = [
        box(columns[0], 20, 92, "pachctl put file", put, "user"),
        box(
            columns[2], 20, 92, "POST /v1/models/...:predict",
            "every answer names model version, data commit and revision", "user",
        ),
    ]  # fmt: skip
    for x, (stage, spec), (title, text, whose) in zip(columns, specs.items(), RESULTS, strict=True):
        image = f"image {spec['transform']['image']}"
        shapes.append(box(x, 156, 114, f"{stage} pipeline", spec["description"], "pachyderm", (image,)))
        shapes += [box(x, 316, 96, title, text, whose), _arrow(x + 140, 270, x + 140, 316)]
    back = f'<path d="M940,356 L950,356 L950,66" stroke="{INK}" stroke-width="1.5" fill="none"/>'
    shapes += [_arrow(160, 112, 160, 156), _arrow(300, 210, 340, 210), _arrow(620, 210, 660, 210)]
    return _document(WIDTH, 432, [*shapes, back, _arrow(950, 66, 940, 66)])


def house() -> str:
    """Return the picture of src/pdk: a floor for each layer, and of every room what it is and what it uses."""
    uses = _uses()
    y, shapes = 20.0, []
    for floor in _layers():
        width = (WIDTH - 40 - 12 * (len(floor) - 1)) / len(floor)
        texts = [_room_text(room, uses[room], width) for room in floor]
        height = 30 + LINE * max(map(len, texts)) + 8
        for i, (room, lines) in enumerate(zip(floor, texts, strict=True)):
            fill = FILLS.get(room, FILLS["user" if room in ("cli", "stack") else "base"])
            shapes.append(Box(20 + i * (width + 12), y, width, height, f"{room}/", lines, fill).svg())
        y += height + 12
    return _document(WIDTH, y + 8, shapes)


def _layers() -> list[list[str]]:
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / ".importlinter")
    text = contracts["importlinter:contract:layers"]["layers"]
    return [[name.strip().removeprefix("pdk.") for name in line.split("|")] for line in text.split("\n") if line]


def _uses() -> dict[str, list[str]]:
    graph = grimp.build_graph("pdk", cache_dir=None)
    order = [room for floor in _layers() for room in floor]
    found: dict[str, set[str]] = {room: set() for room in order}
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            source, target = (name.split(".")[1] if "." in name else "" for name in (module, imported))
            if source in found and target in found and source != target:
                found[source].add(target)
    return {room: [other for other in order if other in found[room]] for room in order}


def _room_text(room: str, uses: list[str], width: float) -> tuple[str, ...]:
    source = ast.parse((ROOT / "src" / "pdk" / room / "__init__.py").read_text())
    sentence = (ast.get_docstring(source) or "").split("\n")[0]
    return _wrap(sentence, width) + (_wrap("uses " + ", ".join(uses), width) if uses else ())


def _wrap(text: str, width: float) -> tuple[str, ...]:
    return tuple(textwrap.wrap(text, int((width - 20) / 7.3), break_on_hyphens=False))


def _text(x: float, y: float, text: str, colour: str = INK, bold: bool = False) -> str:
    weight = ' font-weight="600"' if bold else ""
    return f'<text x="{x:g}" y="{y:g}" fill="{colour}"{weight}>{escape(text, quote=False)}</text>'


def _arrow(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<path d="M{x1:g},{y1:g} L{x2:g},{y2:g}" stroke="{INK}" stroke-width="1.5" marker-end="url(#head)"/>'


def _document(width: float, height: float, shapes: list[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
        'font-family="Helvetica, Arial, sans-serif" font-size="13">\n'
        '<defs><marker id="head" markerWidth="9" markerHeight="9" refX="8" refY="4.5" orient="auto">'
        f'<path d="M0,0 L9,4.5 L0,9 z" fill="{INK}"/></marker></defs>\n'
        f'<rect width="100%" height="100%" fill="{PAPER}"/>\n'
    )
    return head + "\n".join(shapes) + "\n</svg>\n"


DRAWINGS: dict[str, Callable[[], str]] = {"loop.svg": loop, "house.svg": house}


def stale() -> Iterator[str]:
    """Yield the names of the pictures that are not what would be drawn now."""
    for name, draw in DRAWINGS.items():
        path = PICTURES / name
        if not path.is_file() or path.read_text() != draw():
            yield name


def main() -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--check", action="store_true", help="only say which pictures are not today's")
    if parser.parse_args().check:
        old = list(stale())
        if old:
            print(f"not today's: {', '.join(old)}; draw them with scripts/draw_pictures.py")
        return len(old) and 1
    PICTURES.mkdir(parents=True, exist_ok=True)
    for name, draw in DRAWINGS.items():
        (PICTURES / name).write_text(draw())
    return 0


if __name__ == "__main__":
    sys.exit(main())
