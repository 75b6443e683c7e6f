"""The test tensors that a package carries: what its network was given, and what its author saw come out."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np

from worker.networks import layout_of
from worker.normalise import apply_operators, preprocess
from worker.statistics import Measured
from zoo.packages import ModelPackage


@dataclass(frozen=True)
class TestTensors:
    """`given` (b, y, x, channel) as the author's image is, `made` (b, y, x, map) or (b, row, column) after
    postprocessing; planes of several frames stand side by side in the channels, the lowest first.
    """

    __test__ = False  # it is no test, whatever its name

    given: np.ndarray
    made: np.ndarray
    frames: int

    def prepared(self, package: ModelPackage) -> np.ndarray:
        """What the network is given, (b, y, x, channel) float32: each plane of each image by itself."""
        images = [
            np.concatenate([preprocess(plane, package.preprocessing) for plane in self._planes(image)], axis=-1)
            for image in self.given
        ]
        return np.stack(images).astype(np.float32, copy=False)

    def finished(self, package: ModelPackage, index: int, maps: np.ndarray) -> np.ndarray:
        """The maps of one image after postprocessing, which may measure the image."""
        image = self._planes(self.given[index])[self.frames // 2]
        return apply_operators(maps, package.postprocessing, reference=Measured(image))

    def _planes(self, image: np.ndarray) -> list[np.ndarray]:
        return np.split(image, self.frames, axis=-1)


def read_test_tensors(package: ModelPackage, frames: int | None = None) -> TestTensors | None:
    """Those of the standard's network, or of that for so many planes; None if the package has none."""
    files = package.variant_tests.get(frames or 0) or [package.test_input, package.test_output]
    if len(files) != 2 or not all(files):
        return None
    layout = layout_of(package)
    arrays = [np.load(io.BytesIO(package.open(file)), allow_pickle=False) for file in files]
    given = arrays[0].reshape((1,) * layout.lacks[0] + arrays[0].shape).transpose(np.argsort(layout.to_network))
    return TestTensors(given, layout.take(arrays[1]), frames or 1)
