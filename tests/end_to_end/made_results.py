"""Results of every shape, made by hand: a worker of the tests posts their files over the scheduler's API."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import requests
import tifffile
from PIL import Image
from skimage.segmentation import watershed

from scheduler.contract import RESULT_FILES, Progress, ReserveRequest
from worker.client import SchedulerClient
from worker.polygons import trace_polygons

SECONDS = 60
SPACING = 32  # px between the middles of objects
Rows = list[dict[str, Any]]


@dataclass
class Made:
    """What a result is written from: picture (y, x) uint8, maps (map, y, x) float32, labels, rows of objects.csv."""

    picture: np.ndarray
    maps: np.ndarray
    labels: np.ndarray
    rows: Rows
    summary: dict[str, Any] = field(default_factory=dict)


def _middles(side: int) -> np.ndarray:
    """(n, 2) y, x of a grid shaken a little."""
    grid = np.stack(np.meshgrid(*[np.arange(SPACING / 2, side, SPACING)] * 2, indexing="ij"), -1).reshape(-1, 2)
    return grid + np.random.default_rng(5).uniform(-4, 4, grid.shape)


def _discs(side: int, middles: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """(y, x) int32 labels of discs, which may not be further apart than the grid of `_middles`."""
    y, x = np.mgrid[:side, :side]
    labels = np.zeros((side, side), np.int32)
    for index, ((cy, cx), radius) in enumerate(zip(middles, radii, strict=True), 1):
        rows, columns = (slice(max(0, int(c - radius) - 1), int(c + radius) + 2) for c in (cy, cx))
        near = (y[rows, columns] - cy) ** 2 + (x[rows, columns] - cx) ** 2 <= radius**2
        labels[rows, columns][near] = index
    return labels


def _region_rows(labels: np.ndarray, name: str, scores: np.ndarray) -> Rows:
    rows: Rows = []
    areas = np.bincount(labels.ravel())
    for index, polygons in enumerate(trace_polygons(labels), 1):
        low, high = (getattr(np.concatenate([ring for one in polygons for ring in one]), m)(0) for m in ("min", "max"))
        rows.append({"id": index, "class": name, "score": round(float(scores[index - 1]), 4), "x_min": int(low[0]),
                     "y_min": int(low[1]), "x_max": int(high[0]), "y_max": int(high[1]), "area_px": int(areas[index]),
                     "area_um2": round(float(areas[index]) * 0.25, 3)})  # fmt: skip
    return rows


def regions(side: int = 256) -> Made:
    """Discs of different sizes, the larger the surer."""
    middles = _middles(side)
    radii = np.random.default_rng(6).uniform(6, 14, len(middles))
    labels = _discs(side, middles, radii)
    picture = np.where(labels > 0, 180, 20).astype(np.uint8)
    rows = _region_rows(labels, "nucleus", radii / 14)
    maps = np.stack([labels > 0, labels > 0]).astype(np.float32)
    return Made(picture, maps, labels, rows, {"shape": "regions", "head": "watershed-instances"})


def boxes(side: int = 256) -> Made:
    """Red cells, every seventh a white cell and every fifth a platelet, on a bright field."""
    middles, scores = _middles(side), np.random.default_rng(7).uniform(0.3, 1, (side // SPACING) ** 2)
    names = ["white cell" if i % 7 == 0 else "platelet" if i % 5 == 0 else "red cell" for i in range(len(middles))]
    radii = np.array([{"white cell": 15, "platelet": 4, "red cell": 10}[name] for name in names])
    labels = _discs(side, middles, radii)
    rows: Rows = []
    for index, ((cy, cx), r, score, name) in enumerate(zip(middles, radii, scores, names, strict=True), 1):
        low_x, low_y, high_x, high_y = (round(float(v), 2) for v in (cx - r, cy - r, cx + r, cy + r))
        rows.append({"id": index, "class": name, "score": round(float(score), 4), "x_min": low_x, "y_min": low_y,
                     "x_max": high_x, "y_max": high_y, "width_px": 2 * int(r), "height_px": 2 * int(r),
                     "area_px": 4 * int(r) ** 2})  # fmt: skip
    picture = np.where(labels > 0, 120, 230).astype(np.uint8)
    maps = np.stack([labels > 0, labels > 0]).astype(np.float32)
    return Made(picture, maps, labels, rows, {"shape": "boxes", "head": "grid-detector"})


def points(side: int = 256) -> Made:
    """Cells with 0 to 6 spots each, and one spot beside every cell."""
    middles = _middles(side)
    labels = _discs(side, middles, np.full(len(middles), 12))
    picture = np.where(labels > 0, 60, 10).astype(np.uint8)
    spots: Rows = []
    for cell, (cy, cx) in enumerate(middles, 1):
        for turn in range((cell - 1) % 7 + 1):
            inside = turn < (cell - 1) % 7
            away = 6 if inside else 15
            x, y = cx + away * np.cos(turn), cy + away * np.sin(turn)
            if not (2 < x < side - 2 and 2 < y < side - 2):
                continue
            picture[int(y) - 1 : int(y) + 2, int(x) - 1 : int(x) + 2] = 250
            spots.append({"class": "spot", "score": round(0.4 + 0.08 * turn, 4), "x_min": round(x - 2, 2),
                          "y_min": round(y - 2, 2), "x_max": round(x + 2, 2), "y_max": round(y + 2, 2),
                          "x": round(x, 2), "y": round(y, 2), "radius_px": 2.0, "contrast": 200.0,
                          "cell": cell if inside else ""})  # fmt: skip
    rows = _region_rows(labels, "cell", np.ones(len(middles)))
    for row in rows:
        row["spots"] = sum(spot["cell"] == row["id"] for spot in spots)
    rows += [{"id": len(rows) + number, **spot} for number, spot in enumerate(spots, 1)]
    summary = {"shape": "points", "head": "spots", "spots": len(spots), "spots_per_cell": {"median": 3.0, "mean": 3.0}}
    return Made(picture, np.stack([picture / 255.0] * 2).astype(np.float32), labels, rows, summary)


def cells(side: int = 256) -> Made:
    """Cells that fill the picture, with membranes between them."""
    middles = _middles(side).astype(int)
    seeds = np.zeros((side, side), np.int32)
    seeds[middles[:, 0], middles[:, 1]] = np.arange(1, len(middles) + 1)
    labels = watershed(np.zeros_like(seeds), seeds, watershed_line=True).astype(np.int32)
    membrane = labels == 0
    picture = np.where(membrane, 60, 190).astype(np.uint8)
    rows = _region_rows(labels, "cell", np.linspace(0.5, 1, len(middles)))
    return Made(
        picture, np.stack([membrane] * 2).astype(np.float32), labels, rows, {"shape": "cells", "head": "boundary-cells"}
    )


SHAPES = {"regions": regions, "boxes": boxes, "points": points, "cells": cells}


def png(picture: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "png")
    return out.getvalue()


def _tiff(planes: np.ndarray) -> bytes:
    out = io.BytesIO()
    tifffile.imwrite(out, planes, photometric="minisblack", compression="zlib", ome=True, metadata={"axes": "CYX"})
    return out.getvalue()


def _csv(rows: Rows) -> bytes:
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _geojson(made: Made) -> bytes:
    polygons, features = trace_polygons(made.labels), []
    for row in made.rows if made.summary["shape"] != "boxes" else []:
        geometry: dict[str, Any] = {"type": "Point", "coordinates": [row.get("x"), row.get("y")]}
        if row["class"] != "spot":
            rings = [[ring.tolist() for ring in one] for one in polygons[row["id"] - 1]]
            geometry = {"type": "MultiPolygon", "coordinates": rings}
        properties = {"id": row["id"], "objectType": "detection", "classification": {"name": row["class"]}}
        features.append({"type": "Feature", "geometry": geometry, "properties": properties})
    return json.dumps({"type": "FeatureCollection", "features": features}, separators=(",", ":")).encode()


def files_of(made: Made) -> dict[str, bytes]:
    return {
        "overlay.png": png(np.repeat(made.picture[..., None], 3, axis=2)),
        "probability.ome.tif": _tiff(made.maps),
        "labels.ome.tif": _tiff(made.labels.astype(np.uint16)[None]),
        "objects.csv": _csv(made.rows),
        "objects.geojson": _geojson(made),
        "manifest.json": b"{}\n",
        "log.txt": b"made by hand\n",
    }


def summary_of(made: Made) -> dict[str, Any]:
    height, width = made.labels.shape
    names = [row["class"] for row in made.rows]
    classes = {name: names.count(name) for name in dict.fromkeys(names)}
    return {
        "objects": len(names),
        "classes": classes,
        "width": width,
        "height": height,
        "pixel_size_um": None,
        **made.summary,
    }


class HandWorker:
    """Submits previews as a visitor does and answers them as a worker does."""

    def __init__(self, url: str, token: str, folder: Path) -> None:
        self.url, self.folder = url, folder
        self.client = SchedulerClient(url, token)

    def submit(self, picture: np.ndarray, model: str = "nuclei", **more: Any) -> str:
        """The uuid of a new job on the whole `picture`."""
        with requests.Session() as session:
            stored = session.post(
                f"{self.url}/api/v1/images", files={"file": ("made.png", png(picture))}, timeout=SECONDS
            )
            stored.raise_for_status()
            body = {"image": stored.json()["id"], "models": [model], **more}
            made = session.post(f"{self.url}/api/v1/jobs", json=body, timeout=SECONDS)
            made.raise_for_status()
        return str(made.json()["jobs"][0]["uuid"])

    def claim(self, uuid: str) -> str:
        """The lease of that job, started."""
        claim = self.client.reserve(ReserveRequest("by hand", timeout_seconds=5))
        assert claim is not None
        assert claim.uuid == uuid
        self.client.start(uuid, claim.lease)
        self.client.progress(uuid, claim.lease, Progress("drawing", 0.9))
        return claim.lease

    def put(self, uuid: str, lease: str, name: str, data: bytes) -> dict[str, Any]:
        path, sha256 = self.folder / name, hashlib.sha256(data).hexdigest()
        path.write_bytes(data)
        self.client.put_file(uuid, lease, name, path, sha256)
        return {"name": name, "sha256": sha256, "size": len(data), "media_type": RESULT_FILES[name]}

    def finish(self, uuid: str, lease: str, files: Mapping[str, bytes], summary: Mapping[str, Any]) -> None:
        posted = [self.put(uuid, lease, name, data) for name, data in files.items()]
        self.client.result(uuid, lease, posted, dict(summary), {"inferring": 0.1})

    def result(self, made: Made, **more: Any) -> str:
        """The page of a finished preview of `made`."""
        uuid = self.submit(made.picture, **more)
        self.finish(uuid, self.claim(uuid), files_of(made), summary_of(made))
        return f"/r/{uuid}"
