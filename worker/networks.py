"""One face for the networks of all frameworks: a batch of tiles in, their maps out.

Whatever order of axes a network has, it is given (b, y, x, channel) and gives (b, y, x, map), or a list of boxes for
each tile. `start` begins a batch and `result` waits for it, so that the next one may be cut meanwhile.
"""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from zoo.errors import UserError
from zoo.packages import ModelPackage

SMALLEST_TILE = 64


class ModelUnrunnable(UserError):
    code = "model-unrunnable"
    status = 422


class Handle(Protocol):
    def result(self) -> np.ndarray:
        """(b, y, x, map) float32, or (b, row, column) for lists; raises `MemoryError` when the device ran out of it."""
        ...


class Network(Protocol):
    """A loaded network, which computes in `device` and `precision` (words for the log).

    `window` is the only (y, x) it takes and `batch` the only number of tiles at once; None: any.
    """

    device: str
    precision: str
    window: tuple[int, int] | None
    batch: int | None

    def start(self, batch: np.ndarray) -> Handle:
        """Begin to compute (b, y, x, channel) float32; raises `MemoryError`."""
        ...


@dataclass(frozen=True)
class Layout:
    """The orders of a network's axes, such as "bcyx", and the way from and to our own."""

    given: str
    made: str

    @property
    def to_network(self) -> tuple[int, ...]:
        """Transposes (b, y, x, c), whose axes that the network lacks come first and have length 1."""
        missing = [axis for axis in "byxc" if axis not in self.given]
        return tuple("byxc".index(axis) for axis in [*missing, *self.given])

    @property
    def from_network(self) -> tuple[int, ...]:
        """Transposes what the network makes, with axes of length 1 put first for those it lacks."""
        missing = [axis for axis in self.wanted if axis not in self.made]
        return tuple([*missing, *self.made].index(axis) for axis in self.wanted)

    @property
    def wanted(self) -> str:
        return "byxc" if "y" in self.made else "bic"

    @property
    def lacks(self) -> tuple[int, int]:
        """How many of the four axes the network does not take, and how many of its own it does not make."""
        return 4 - len(self.given), len(self.wanted) - len(self.made)

    def give(self, batch: np.ndarray) -> np.ndarray:
        """(b, y, x, c) as the network takes it."""
        turned = batch.transpose(self.to_network)
        return np.ascontiguousarray(turned.reshape(turned.shape[self.lacks[0] :]))

    def take(self, made: np.ndarray) -> np.ndarray:
        """What the network makes as (b, y, x, map) or (b, row, column)."""
        made = made.reshape((1,) * self.lacks[1] + made.shape)
        return made.transpose(self.from_network)


def layout_of(package: ModelPackage) -> Layout:
    return Layout(package.axes, package.output_axes or package.axes)


def load_network(
    package: ModelPackage, device: str, frames: int | None = None, threads: int = 0, exact: bool = False
) -> Network:
    """Load the package's network, or that for so many planes, and compute a first tile with it.

    `device` is as `worker.network_tensorflow.prepare_device` tells it; 0 threads: all; `exact` is never computed in
    half precision. Raises `ModelUnrunnable`.
    """
    with tempfile.TemporaryDirectory(prefix="zooscope-model-") as folder:
        file = package.extract_weights(Path(folder), frames if frames in package.variants else None)
        network: Network
        if package.weights_format == "onnx":
            from worker.network_onnx import OnnxNetwork

            network = OnnxNetwork(file, package, device, threads)
        else:
            from worker.network_tensorflow import load_tensorflow

            network = load_tensorflow(file, package, device, frames or 1, exact)
    _check(network, package, frames or 1)
    return network


def first_window(network: Network, package: ModelPackage) -> tuple[int, int]:
    """(y, x) of the smallest tile that the network takes."""
    if network.window is not None:
        return network.window
    if package.input_size:
        return package.input_size[0], package.input_size[1]
    side = -(-max(SMALLEST_TILE, package.minimum_size) // package.stride) * package.stride
    return side, side


def _check(network: Network, package: ModelPackage, frames: int) -> None:
    """Kernels are chosen before the first real tile, and a network that is not what is described is found out."""
    height, width = first_window(network, package)
    tile = np.zeros((network.batch or 1, height, width, package.channels * frames), np.float32)
    try:
        made = network.start(tile).result()
    except MemoryError:
        return  # said, with what to do, when a preview meets it
    maps, cells = len(package.output_channels), package.output_stride
    promised = (len(tile), math.ceil(height / cells), math.ceil(width / cells), maps)
    if made.ndim == 3 and made.shape[-1] == maps:
        return
    if made.shape != promised:
        raise ModelUnrunnable(
            f"The network makes an array of shape {made.shape} of a plane of {height} x {width} pixels; "
            f"its description promises {maps} maps of {promised[1]} x {promised[2]}."
        )


def unloadable(package: ModelPackage, error: Exception, hint: str) -> ModelUnrunnable:
    lines = str(error).strip().splitlines()
    reason = lines[0][:300] if lines else type(error).__name__
    return ModelUnrunnable(f"The network of {package.id} {package.version} cannot be loaded: {reason}", hint)
