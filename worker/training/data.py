"""Reading the training folders (`<data>/nuclei`, `<data>/em-vnc`) and drawing balanced patches from them."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import ndimage
from skimage import io


@dataclass(frozen=True)
class Example:
    """One image with its targets: image float32 (y, x, channel) in about 0..1, targets float32 (y, x, map)."""

    name: str
    kind: str
    image: np.ndarray
    targets: np.ndarray
    truth: np.ndarray


def scale_range(image: np.ndarray, low: float, high: float) -> np.ndarray:
    """Percentiles `low` and `high` of the whole array to 0 and 1, as the package's `scale_range` does."""
    bottom, top = np.percentile(image, (low, high))
    return ((image - bottom) / (top - bottom + 1e-6)).astype(np.float32)


def instance_targets(labels: np.ndarray) -> np.ndarray:
    """(y, x) instance labels to (y, x, 2): foreground, and the distance to the object's edge over its maximum.

    The distance is taken inside each object alone, so that touching objects have separate hills. The edge of the image
    is no edge of an object: what is cut there goes on, also in the mirror that fills up small images.
    """
    height, width = labels.shape
    foreground = (labels > 0).astype(np.float32)
    distance = np.zeros(labels.shape, np.float32)
    for index, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        rows, columns = box
        own = labels[box] == index
        frame = (
            (int(rows.start > 0 or own.all()), int(rows.stop < height)),
            (int(columns.start > 0), int(columns.stop < width)),
        )
        framed = ndimage.distance_transform_edt(np.pad(own, frame))
        hill = framed[frame[0][0] :, frame[1][0] :][: own.shape[0], : own.shape[1]]
        distance[box][own] = (hill / hill.max())[own]
    return np.stack([foreground, distance], axis=-1)


def read_nuclei(data: Path, split: str) -> list[Example]:
    """The `nuclei` split, images as RGB (grey repeated), percentiles 1 and 99.8 to 0 and 1."""
    lines = (data / "nuclei" / "index.csv").read_text().splitlines()
    rows = [row for row in csv.DictReader(lines) if row["split"] == split]

    def read(row: dict[str, str]) -> Example:
        folder = data / "nuclei" / split
        image = io.imread(folder / "images" / f"{row['name']}.png")
        labels = io.imread(folder / "labels" / f"{row['name']}.png").astype(np.int32)
        image = np.repeat(image[..., None], 3, axis=-1) if image.ndim == 2 else image[..., :3]
        return Example(row["name"], row["kind"], scale_range(image, 1, 99.8), instance_targets(labels), labels)

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(read, rows))


def read_em(data: Path, split: str, structure: str) -> list[Example]:
    """The `em-vnc` split with the masks of one structure, grey as (y, x, 1), percentiles 1 and 99 to 0 and 1."""
    folder = data / "em-vnc" / split
    examples = []
    for path in sorted((folder / "raw").iterdir()):
        image = io.imread(path)
        mask = io.imread(folder / structure / path.name) > 127
        targets = mask[..., None].astype(np.float32)
        examples.append(Example(path.stem, "em", scale_range(image, 1, 99)[..., None], targets, mask))
    return examples


def patches(
    examples: list[Example], weights: np.ndarray, size: int, batch: int, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Endless batches of random crops (batch, size, size, channel), reflected where an image is smaller."""
    rng = np.random.default_rng(seed)
    chances = weights / weights.sum()

    def crop(example: Example) -> tuple[np.ndarray, np.ndarray]:
        image, targets = example.image, example.targets
        short = [max(0, size - side) for side in example.image.shape[:2]]
        if any(short):
            pad = [(side // 2, side - side // 2) for side in short]
            image, targets = (np.pad(part, [*pad, (0, 0)], mode="symmetric") for part in (image, targets))
        y, x = (int(rng.integers(0, side - size + 1)) for side in image.shape[:2])
        return image[y : y + size, x : x + size], targets[y : y + size, x : x + size]

    while True:
        drawn = [crop(examples[index]) for index in rng.choice(len(examples), batch, p=chances)]
        yield np.stack([image for image, _ in drawn]), np.stack([targets for _, targets in drawn])
