"""Test tensors for a package that has none: a part of its test image, and what the network makes of it here.

With them the package can be checked anywhere: by the standard's own tool, by other workers, by the next version.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from worker.inference import WarmModel
from worker.job import PreviewJob
from worker.networks import Layout, layout_of
from worker.prepare import fitted
from worker.rescale import to_shape
from worker.test_tensors import TestTensors
from zoo.package_archive import PackageInvalid
from zoo.package_description import read_description
from zoo.packages import ModelPackage
from zoo.pixel_scale import scale_to_model

# About the side of a test input, where the network leaves the choice: large enough for objects, small in the zip.
SIDE = 256


# The standard tests with nothing smaller than this, and has no word for a list of no boxes.
LEAST_VALUE = 1e-4
# How many parts of the image are tried for one of which the network makes something.
PARTS = 6


class NothingFound(PackageInvalid):
    code = "nothing-found"


def make_test_tensors(job: PreviewJob, model: WarmModel) -> tuple[np.ndarray, np.ndarray]:
    """The test input and output in the orders of the package's axes.

    The input is the middle of the job's image, or a part with more contrast if the network makes nothing of that, in
    the model's pixel size and in the dtype that the description tells; the output is float32, after postprocessing.
    Raises `NothingFound` for a network that lists no boxes, or makes nothing but zeros.
    """
    package, layout = job.package, layout_of(job.package)
    for part in _parts(job):
        tensors = TestTensors(_as_described(part, package)[None], np.empty(0), 1)
        made = raw_maps(model, tensors.prepared(package))
        finished = np.stack([tensors.finished(package, index, maps) for index, maps in enumerate(made)])
        if all(_says_something(each) for each in (tensors.given, finished)):
            return layout.give(tensors.given), untaken(layout, finished.astype(np.float32))
    raise NothingFound(
        "The network makes nothing but zeros, or an empty list, of the test image: no test output can be made of that.",
        "Give a test image in which the model finds something.",
    )


def _says_something(array: np.ndarray) -> bool:
    """Whether the standard takes it for a test tensor; what is no number is told elsewhere."""
    return array.size > 0 and not (array.min() > -LEAST_VALUE and array.max() < LEAST_VALUE)


def raw_maps(model: WarmModel, prepared: np.ndarray, frames: int = 1) -> np.ndarray:
    """What the network itself makes of (b, y, x, channel) float32, in one go: (b, y, x, map) or (b, row, column)."""
    if not model.package.network:
        return prepared
    network = model.network(frames)
    return np.concatenate([network.start(image[None]).result() for image in prepared])


def untaken(layout: Layout, made: np.ndarray) -> np.ndarray:
    """(b, y, x, map) or (b, row, column) in the order of the network's own axes: what `Layout.take` turns back."""
    turned = made.transpose(np.argsort(layout.from_network))
    return np.ascontiguousarray(turned.reshape(turned.shape[layout.lacks[1] :]))


def described_input(package: ModelPackage) -> dict[str, Any]:
    """The one input tensor as rdf.yaml tells it."""
    with zipfile.ZipFile(package.path) as archive:
        given: dict[str, Any] = read_description(archive)["inputs"][0]
    return given


def side_of(size: Any, available: int, side: int = SIDE) -> int:
    """A length that the description allows for an axis of `size`, not above `available` and `side` if that can be."""
    if isinstance(size, int):
        return size
    least, step = int(size["min"]), int(size["step"])
    return least + max(0, (min(available, side) - least) // step) * step


def _parts(job: PreviewJob) -> Iterator[np.ndarray]:
    """The middle of the job's image and then the parts with most contrast, (y, x, channel) in the image's dtype, or
    float32 where it was resized; reflected where the image is small.
    """
    package, crop = job.package, job.crop
    stack = fitted(job, lambda line: None)
    plane = stack[len(stack) // 2]
    scale = scale_to_model(crop.pixel_size, package.pixel_size_um, nominal=package.pixel_size_nominal)
    if scale.changes:
        plane = to_shape(plane.astype(np.float32), scale.shape(*plane.shape[:2]))
    sizes = {str(axis.get("id", axis.get("type"))): axis.get("size") for axis in described_input(package)["axes"]}
    sides = []
    for name, other, available in (("y", "x", plane.shape[0]), ("x", "y", plane.shape[1])):
        size = sizes[name]
        # A side may be told as that of the other axis.
        size = sizes[other] if isinstance(size, Mapping) and "min" not in size else size
        sides.append(side_of(size, available))
    if sides[0] != sides[1] and any(isinstance(sizes[name], Mapping) and "min" not in sizes[name] for name in "yx"):
        sides = [min(sides)] * 2
    height, width = sides
    yield _cut(plane, (height, width), (max(0, (plane.shape[0] - height) // 2), max(0, (plane.shape[1] - width) // 2)))
    corners = [
        (top, left)
        for top in range(0, max(1, plane.shape[0] - height + 1), max(1, height // 2))
        for left in range(0, max(1, plane.shape[1] - width + 1), max(1, width // 2))
    ]
    corners.sort(key=lambda at: -float(np.std(plane[at[0] : at[0] + height, at[1] : at[1] + width])))
    for corner in corners[:PARTS]:
        yield _cut(plane, (height, width), corner)


def _cut(plane: np.ndarray, shape: tuple[int, int], corner: tuple[int, int]) -> np.ndarray:
    """`shape` (y, x) pixels from `corner` (y, x) on."""
    part = plane[corner[0] : corner[0] + shape[0], corner[1] : corner[1] + shape[1]]
    short = [(0, want - have) for have, want in zip(part.shape[:2], shape, strict=True)]
    return np.pad(part, [*short, (0, 0)], mode="reflect")


def _as_described(plane: np.ndarray, package: ModelPackage) -> np.ndarray:
    """In the dtype of the description's input, float32 if it tells none; integers are rounded and clipped."""
    data = described_input(package).get("data") or {}
    data = data[0] if isinstance(data, list) else data
    dtype = np.dtype(str(data.get("type") or "float32"))
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return np.clip(np.rint(plane), limits.min, limits.max).astype(dtype)
    return plane.astype(dtype)


def save_test_tensors(folder: Path, given: np.ndarray, made: np.ndarray) -> list[str]:
    """Write them as test_input.npy and test_output.npy; returns the names."""
    for name, array in (("test_input.npy", given), ("test_output.npy", made)):
        np.save(folder / name, array, allow_pickle=False)
    return ["test_input.npy", "test_output.npy"]
