"""The objects of a result as the page draws them: the table's rows, and outlines in a fifth of the bytes of GeoJSON."""

from __future__ import annotations

import csv
import gzip
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from web import renders
from web.layers import file_of
from web.legend import COLOURS, legend
from web.service import service

LEVEL = 3
SHAPES_OF_ONE_CLASS = ("regions", "cells")
PALETTE = ["#{:02x}{:02x}{:02x}".format(*colour) for colour in renders.OKABE_ITO]
NEAR_PX = 3
GRID_PX = 64  # side of the squares in which neighbours are looked for
POSITION = re.compile(r"id|class|cell|[xy]_m(in|ax)|(centroid|centre)_[xy]|x|y")
UNITS = {"px": "px", "px2": "px²", "um": "µm", "um2": "µm²", "nm": "nm"}


def compact(job: Mapping[str, Any]) -> Path:
    """A gzipped JSON file {columns, titles, measures, scores, rows, outlines, …}; raises NotFound without a result.

    `rows` are those of objects.csv, empty cells as null; `titles` say its columns in words; `measures` are the columns
    that are worth a histogram; `scores` the range of theirs. `outlines` has for each row its rings or null: a ring is
    the x and y of its first corner in pixels of the region, then the step from each corner to the next. `colours` has
    one for each row: that of its class, or, when `own`, one that its neighbours lack.
    """
    table, shapes = (file_of(job, name)["sha256"] for name in ("objects.csv", "objects.geojson"))
    left, top = job["source"]["roi"][:2]
    told = legend(job)

    def draw() -> bytes:
        blobs = service().blobs
        columns, rows = _table(blobs.path(table))
        outlines = dict(_outlines(blobs.path(shapes), left, top))
        own = len(told["classes"]) < 2 and told["shape"] in SHAPES_OF_ONE_CLASS
        head = {
            "columns": columns,
            "titles": [title(name) for name in columns],
            "measures": _measures(columns, rows),
            "scores": _scores(columns, rows, told["shape"]),
            "rows": rows,
            "colours": colours_apart(_boxes(columns, rows)) if own else _class_colours(columns, rows, told["classes"]),
            "own": own,
        }
        parts = ",".join(outlines.get(row[0], "null") for row in rows)
        text = f'{json.dumps(head, separators=(",", ":"))[:-1]},"outlines":[{parts}]}}'
        return gzip.compress(text.encode(), LEVEL, mtime=0)

    return renders.kept(f"{table}/{shapes}", f"objects-{left}-{top}-{json.dumps(told)}", draw, ".json.gz")


def title(column: str) -> str:
    """Such as "area µm²" for area_um2, "spots / µm²" for spots_per_um2."""
    words, _, unit = column.rpartition("_")
    if unit in UNITS and words:
        column = f"{words.removesuffix('_per')}{' /' if words.endswith('_per') else ''} {UNITS[unit]}"
    return column.replace("_", " ")


def _measures(columns: list[str], rows: list[list[Any]]) -> list[str]:
    """The columns of numbers that are not a position or a name."""
    return [
        name
        for at, name in enumerate(columns)
        if not POSITION.fullmatch(name) and any(isinstance(row[at], int | float) for row in rows)
    ]


def _scores(columns: list[str], rows: list[list[Any]], shape: str) -> list[float] | None:
    """The least and the greatest score to two decimals, None unless they differ; of spots, not of the cells around."""
    at, spot = columns.index("score"), columns.index("radius_px") if "radius_px" in columns else 0
    found = [row[at] for row in rows if row[at] is not None and (shape != "points" or row[spot] is not None)]
    low, high = (math.floor(100 * min(found)) / 100, math.ceil(100 * max(found)) / 100) if found else (0, 0)
    return [low, high] if low < high else None


def _boxes(columns: list[str], rows: list[list[Any]]) -> list[tuple[float, float, float, float]]:
    x_min, y_min, x_max, y_max = (columns.index(name) for name in ("x_min", "y_min", "x_max", "y_max"))
    return [(row[x_min], row[y_min], row[x_max], row[y_max]) for row in rows]


def _class_colours(columns: list[str], rows: list[list[Any]], classes: list[dict[str, Any]]) -> list[str]:
    known, at = {one["name"]: one["colour"] for one in classes}, columns.index("class")
    return [known.get(row[at], COLOURS[0]) for row in rows]


def colours_apart(boxes: Sequence[tuple[float, float, float, float]]) -> list[str]:
    """A colour for each box (x_min, y_min, x_max, y_max) that boxes closer than NEAR_PX lack, as far as there are such.

    Greedy, as the overlay's: a box starts from the colour after its forerunner's and takes the first that is free.
    """
    squares: dict[tuple[int, int], list[int]] = {}
    chosen: list[str] = []
    for index, (x_min, y_min, x_max, y_max) in enumerate(boxes):
        left, top, right, bottom = x_min - NEAR_PX, y_min - NEAR_PX, x_max + NEAR_PX, y_max + NEAR_PX
        taken = set()
        for x in range(int(left // GRID_PX), int(right // GRID_PX) + 1):
            for y in range(int(top // GRID_PX), int(bottom // GRID_PX) + 1):
                there = squares.setdefault((x, y), [])
                for other in there:
                    a, b, c, d = boxes[other]
                    if a <= right and c >= left and b <= bottom and d >= top:
                        taken.add(chosen[other])
                there.append(index)
        wishes = [PALETTE[(index + step) % len(PALETTE)] for step in range(len(PALETTE))]
        chosen.append(next((wish for wish in wishes if wish not in taken), wishes[0]))
    return chosen


def _table(path: Path) -> tuple[list[str], list[list[Any]]]:
    with path.open(newline="", encoding="utf-8") as file:
        columns, *lines = csv.reader(file)
    words = {columns.index("class")}
    rows = [[cell if at in words else _number(cell) for at, cell in enumerate(line)] for line in lines]
    return columns, rows


def _number(cell: str) -> Any:
    if not cell:
        return None
    try:
        number = float(cell)
    except ValueError:
        return cell
    if not math.isfinite(number):
        return None
    return int(number) if number.is_integer() else number


def _outlines(path: Path, left: int, top: int) -> Iterator[tuple[int, str]]:
    """(id, JSON of the rings) of every polygon, read one feature at a time: the whole may be large."""
    text, decoder = path.read_text(encoding="utf-8"), json.JSONDecoder()
    at = text.find('"features"')
    at = text.find("[", at) + 1
    while (at := text.find("{", at)) >= 0:
        try:
            feature, at = decoder.raw_decode(text, at)
        except ValueError:
            return
        geometry = feature.get("geometry") or {}
        if geometry.get("type") in ("Polygon", "MultiPolygon"):
            pieces = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
            rings = [_steps(ring, left, top) for piece in pieces for ring in piece]
            yield int(feature["properties"]["id"]), json.dumps(rings, separators=(",", ":"))


def _steps(ring: list[list[float]], left: int, top: int) -> list[float]:
    """[x, y, dx, dy, …] without the last corner, which is the first again."""
    found: list[float] = []
    x: float = left
    y: float = top
    for next_x, next_y in ring[:-1]:
        found += [_plain(next_x - x), _plain(next_y - y)]
        x, y = next_x, next_y
    return found


def _plain(value: float) -> float:
    """Whole numbers as such, others with the two decimals that a screen could show."""
    return int(value) if value == int(value) else round(value, 2)
