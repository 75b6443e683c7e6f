"""Objects as GeoJSON that QuPath imports as detections, in pixels of the whole image."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from worker.heads.decoded import Decoded
from worker.polygons import trace_polygons
from zoo.head_classes import HeadClass


def write_geojson(
    path: Path,
    found: Decoded,
    table: Mapping[str, Sequence[Any]],
    classes: Sequence[HeadClass],
    origin: tuple[int, int],
) -> None:
    """Write a feature for each row of the table: polygons of regions, rectangles of boxes, points of spots.

    The columns that apply to a row are its measurements; `classes` have the colours; `origin` is the (x, y) of the
    labels' first pixel.
    """
    collection = {"type": "FeatureCollection", "features": list(features(found, table, classes, origin))}
    path.write_text(json.dumps(collection, separators=(",", ":")), encoding="utf-8")


def features(
    found: Decoded, table: Mapping[str, Sequence[Any]], classes: Sequence[HeadClass], origin: tuple[int, int]
) -> Iterator[dict[str, Any]]:
    """The feature of each row of the table."""
    measures = [name for name in table if name not in ("id", "class")]
    rows = zip(*(table[name] for name in measures), strict=True)
    colours = {each.name: list(each.rgb) for each in classes}
    for index, (geometry, row) in enumerate(zip(_geometries(found, table, origin), rows, strict=True)):
        name = table["class"][index]
        properties = {
            "id": table["id"][index],
            "objectType": "detection",
            "classification": {"name": name, "color": colours[name]},
            "measurements": {key: value for key, value in zip(measures, row, strict=True) if value is not None},
        }
        yield {"type": "Feature", "geometry": geometry, "properties": properties}


def _geometries(
    found: Decoded, table: Mapping[str, Sequence[Any]], origin: tuple[int, int]
) -> Iterator[dict[str, Any]]:
    if found.boxes is not None:
        corners = (table[name] for name in ("x_min", "y_min", "x_max", "y_max"))
        for left, top, right, bottom in zip(*corners, strict=True):
            ring = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]
            yield {"type": "Polygon", "coordinates": [ring]}
        return
    for polygons in trace_polygons(found.labels):
        rings = [[(ring + origin).tolist() for ring in polygon] for polygon in polygons]
        if len(rings) == 1:
            yield {"type": "Polygon", "coordinates": rings[0]}
        else:
            yield {"type": "MultiPolygon", "coordinates": rings}
    if found.points is not None:
        first = len(found.classes)
        for place in zip(table["x"][first:], table["y"][first:], strict=True) if len(found.points) else ():
            yield {"type": "Point", "coordinates": list(place)}
