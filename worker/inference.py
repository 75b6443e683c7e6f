"""Running a network over a plane: loading, warm models, batches of tiles. Of a preview, this alone needs TensorFlow."""

from __future__ import annotations

import math
import os
import tempfile
from collections import OrderedDict, deque
from collections.abc import Callable
from pathlib import Path

import numpy as np

from worker.tiles import Grid, Tile, batches, make_grid, pad_to
from zoo.errors import UserError, ZooscopeError
from zoo.packages import ModelPackage
from zoo.settings import Settings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import tensorflow as tf

WHOLE_SIDE = 1024
TILE_SIDE = 1024
SMALLEST_TILE = 64
BATCHES = {"cpu": 1, "gpu": 8}
# Batches handed to the device before the first is fetched: copying one hides behind computing the next.
IN_FLIGHT = 2


class ModelUnrunnable(UserError):
    code = "model-unrunnable"
    status = 422


class OutOfMemory(ZooscopeError):
    code = "out-of-memory"


class DeviceMissing(UserError):
    code = "device-missing"


def prepare_device(device: str, threads: int) -> str:
    """Choose what TensorFlow computes on: "auto" (a GPU if there is one), "cpu" or "gpu:<index>"; 0 threads: all.

    Must be called before TensorFlow first computes; later calls only tell the device. Raises `DeviceMissing`.
    """
    cards = tf.config.list_physical_devices("GPU")
    if device.startswith("gpu"):
        index = int(device.partition(":")[2] or 0)
        if index >= len(cards):
            raise DeviceMissing(f"There is no {device}; TensorFlow sees {len(cards)} GPUs.", "Use the device cpu.")
        cards = cards[index : index + 1]
    chosen = [] if device == "cpu" else cards[:1]
    try:
        tf.config.set_visible_devices(chosen, "GPU")
        for card in chosen:
            tf.config.experimental.set_memory_growth(card, True)
        if chosen:
            tf.config.experimental.enable_op_determinism()
        if threads:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
    except RuntimeError:
        chosen = tf.config.get_visible_devices("GPU")
    if not chosen:
        return "cpu"
    return str(tf.config.experimental.get_device_details(chosen[0]).get("device_name", "gpu"))


class WarmModel:
    """A loaded network with its traced forward pass; immutable after `__init__` and safe to call again and again."""

    def __init__(self, package: ModelPackage, device: str) -> None:
        self.sha256 = package.sha256
        self.stride, self.halo, self.output_stride = package.stride, package.halo, package.output_stride
        self.output_channels = len(package.output_channels)
        self.on_gpu = device != "cpu"
        with tempfile.TemporaryDirectory(prefix="zooscope-model-") as folder:
            network = _load(package, package.extract_weights(Path(folder)))
        order = [package.axes.index(axis) for axis in "byxc"]
        back = ["byxc".index(axis) for axis in package.axes]
        signature = tf.TensorSpec([None, None, None, package.channels], tf.float32)

        @tf.function(input_signature=[signature], autograph=False)
        def forward(batch: tf.Tensor) -> tf.Tensor:
            given = batch if package.axes == "byxc" else tf.transpose(batch, back)
            maps = network(given, training=False)
            return tf.cast(maps if package.axes == "byxc" else tf.transpose(maps, order), tf.float32)

        self.forward = forward
        # Traced, and its kernels chosen, before the first real tile.
        side = max(SMALLEST_TILE, self.stride)
        self._check(forward(tf.zeros((1, side, side, package.channels))), side)

    def _check(self, maps: tf.Tensor, side: int) -> None:
        cells = side // self.output_stride
        if tuple(maps.shape) != (1, cells, cells, self.output_channels):
            raise ModelUnrunnable(
                f"The network makes an array of shape {tuple(maps.shape)} of a plane of {side} x {side} pixels; "
                f"its description promises {self.output_channels} maps of {cells} x {cells}."
            )

    def predict(
        self,
        plane: np.ndarray,
        step: Callable[[int, int], None],
        log: Callable[[str], None],
        *,
        tile: int | None = None,
        batch: int | None = None,
    ) -> np.ndarray:
        """The network's maps of a whole plane, the same whatever the tiles.

        Args:
            plane: (y, x, channel) float32, normalised.
            step: told, after each batch, of the tiles done and their number; may raise to stop.
            log: takes a line when memory runs out and less is tried.
            tile: side of the tiles without halo; None: the plane in one go if small, else TILE_SIDE.
            batch: tiles at once; None: as fits the device.

        Returns:
            (y, x, map) float32, a cell every `output_stride` pixels.

        Raises:
            OutOfMemory: a single smallest tile does not fit.
        """
        tile = automatic_tile(plane.shape[:2]) if tile is None else tile
        batch = batch or BATCHES["gpu" if self.on_gpu else "cpu"]
        while True:
            grid = make_grid(plane.shape[:2], tile=tile, stride=self.stride, halo=self.halo)
            try:
                return self._run(plane, grid, min(batch, len(grid.tiles)), step)
            except (tf.errors.ResourceExhaustedError, MemoryError):
                tile, batch = _less(tile, batch, grid, log)

    def _run(self, plane: np.ndarray, grid: Grid, batch: int, step: Callable[[int, int], None]) -> np.ndarray:
        padded = pad_to(plane, grid.padded)
        maps = np.empty((*grid.map_shape(self.output_stride), self.output_channels), np.float32)
        flying: deque[tuple[tuple[Tile, ...], tf.Tensor]] = deque()
        done = 0

        def land() -> None:
            nonlocal done
            tiles, made = flying.popleft()
            for tile, part in zip(tiles, made.numpy(), strict=True):
                tile.stitch(part, maps, self.output_stride)
            done += len(tiles)
            step(done, len(grid.tiles))

        for group in batches(grid.tiles, batch):
            windows = np.stack([tile.cut(padded, grid.window) for tile in group])
            flying.append((group, self.forward(tf.constant(windows))))
            if len(flying) >= IN_FLIGHT:
                land()
        while flying:
            land()
        return maps


def automatic_tile(shape: tuple[int, ...]) -> int | None:
    """None (one go) up to WHOLE_SIDE squared pixels, TILE_SIDE above."""
    return None if math.prod(shape) <= WHOLE_SIDE**2 else TILE_SIDE


def _less(tile: int | None, batch: int, grid: Grid, log: Callable[[str], None]) -> tuple[int | None, int]:
    """What to try after running out of memory: half the batch, then half the tile."""
    batch = min(batch, len(grid.tiles))
    if batch > 1:
        log(f"out of memory: batch halved from {batch} to {batch // 2} tiles")
        return tile, batch // 2
    side = min(tile or max(grid.shape), max(grid.shape))
    if side <= SMALLEST_TILE:
        raise OutOfMemory(
            "The model does not fit into this worker's memory, even one small tile at a time.",
            "Run it on a worker with more memory.",
        )
    smaller = max(SMALLEST_TILE, side // 2)
    log(f"out of memory: tile halved from {side} to {smaller} pixels")
    return smaller, 1


def _load(package: ModelPackage, file: Path) -> keras.Model:
    try:
        return keras.saving.load_model(file, compile=False, safe_mode=True)
    except (ValueError, TypeError, KeyError, OSError, AttributeError, ImportError, ModuleNotFoundError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelUnrunnable(
            f"The network of {package.id} {package.version} cannot be loaded: {reason}",
            "Save it again with model.save('model.keras'), without Lambda layers or layers of your own.",
        ) from error


class ModelCache:
    """Warm models by package sha256, the least recently used dropped beyond the setting `worker_models`."""

    def __init__(self, settings: Settings, device: str = "auto") -> None:
        self.limit = max(1, settings.worker_models)
        self.device = prepare_device(device, settings.cpu_threads)
        self._models: OrderedDict[str, WarmModel] = OrderedDict()

    @property
    def warm(self) -> tuple[str, ...]:
        """The sha256 of the packages that are loaded, the least recently used first."""
        return tuple(self._models)

    def get(self, package: ModelPackage) -> WarmModel:
        """The package's network, loaded if need be; raises `ModelUnrunnable`."""
        if package.sha256 in self._models:
            self._models.move_to_end(package.sha256)
            return self._models[package.sha256]
        while len(self._models) >= self.limit:
            self._models.popitem(last=False)
        model = self._models[package.sha256] = WarmModel(package, self.device)
        return model
