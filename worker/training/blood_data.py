"""Reading the blood smears (`<data>/blood`) with their boxes, and drawing batches of whole images from them."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from skimage import io

from worker.heads.boxes import Boxes
from worker.training.data import scale_range

CLASSES = ("RBC", "WBC", "Platelets")
# Rows of the array of boxes of an image; unused rows have the class -1.
MOST_BOXES = 32
LEAST_SIDE = 4


@dataclass(frozen=True)
class Smear:
    """One image: raw uint8 (y, x, 3), normalised float32 (y / 2, x / 2, 3), halved by averaging, and its boxes in
    pixels of the raw image."""

    name: str
    pixels: np.ndarray
    image: np.ndarray
    boxes: Boxes


def read_blood(data: Path, split: str, percentiles: tuple[float, float]) -> list[Smear]:
    """The `blood` split in the order of its names; boxes without an area, slips of the annotators, are left out."""
    folder = data / "blood" / split
    rows: dict[str, list[tuple[int, list[float]]]] = {}
    for row in csv.DictReader((folder / "boxes.csv").read_text().splitlines()):
        box = [float(row[side]) for side in ("xmin", "ymin", "xmax", "ymax")]
        boxes = rows.setdefault(row["image"], [])
        if min(box[2] - box[0], box[3] - box[1]) >= LEAST_SIDE:
            boxes.append((CLASSES.index(row["class"]), box))

    def read(name: str) -> Smear:
        pixels = io.imread(folder / "images" / f"{name}.jpg")
        kinds = np.array([kind for kind, _ in rows[name]], np.int32)
        xyxy = np.array([box for _, box in rows[name]], np.float32).reshape(-1, 4)
        boxes = Boxes(xyxy, np.ones(len(kinds), np.float32), kinds)
        return Smear(name, pixels, halved(scale_range(pixels, *percentiles)), boxes)

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(read, sorted(rows)))


def halved(image: np.ndarray) -> np.ndarray:
    """(y, x, channel) float32 averaged over squares of two pixels, as the network's first layer does it."""
    height, width = (side // 2 * 2 for side in image.shape[:2])
    return image[:height, :width].reshape(height // 2, 2, width // 2, 2, -1).mean(axis=(1, 3), dtype=np.float32)


def box_rows(boxes: Boxes) -> np.ndarray:
    """(MOST_BOXES, 5) float32: class, left, top, right, bottom in halved pixels."""
    rows = np.full((MOST_BOXES, 5), -1, np.float32)
    count = min(len(boxes), MOST_BOXES)
    rows[:count, 0] = boxes.kind[:count]
    rows[:count, 1:] = boxes.xyxy[:count] / 2
    return rows


def whole_images(smears: list[Smear], batch: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Endless batches of images (batch, y / 2, x / 2, 3) float32 with rows of boxes; every image once an epoch."""
    rng = np.random.default_rng(seed)
    rows = np.stack([box_rows(smear.boxes) for smear in smears])
    order = np.zeros(0, np.int64)
    while True:
        while len(order) < batch:
            order = np.concatenate([order, rng.permutation(len(smears))])
        chosen, order = order[:batch], order[batch:]
        yield np.stack([smears[index].image for index in chosen]), rows[chosen]
