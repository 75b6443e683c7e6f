"""Running networks over a plane: warm models, batches of tiles, less of both when memory runs out."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable

import numpy as np

from worker.heads.boxes import boxes_from_rows, merge_tiles, rows_from_boxes
from worker.networks import SMALLEST_TILE, ModelUnrunnable, Network, load_network
from worker.pipeline import Busy, Flow, run_tiles
from worker.tiles import Grid, Tile, make_grid, map_shape, pad_to
from worker.tiles_fixed import fixed_grid
from zoo.errors import ZooscopeError
from zoo.packages import ModelPackage
from zoo.settings import Settings

__all__ = ["ModelCache", "ModelUnrunnable", "OutOfMemory", "WarmModel", "automatic_tile"]

WHOLE_SIDE = 1024
TILE_SIDE = 1024
BATCHES = {"cpu": 1, "gpu": 8}
# Boxes are suppressed among tiles as far as they are surely the same; the head does the rest.
SAME_BOX = 0.9


class OutOfMemory(ZooscopeError):
    code = "out-of-memory"


class WarmModel:
    """The networks of a package, by how many planes they take: the first is loaded at once, the others when asked for.

    Loaded networks never change and are safe to call again and again. `exact` ones are not computed in half precision.
    """

    def __init__(self, package: ModelPackage, device: str, threads: int = 0, exact: bool = False) -> None:
        self.package, self.sha256 = package, package.sha256
        self.stride, self.halo, self.output_stride = package.stride, package.halo, package.output_stride
        self.output_channels = len(package.output_channels)
        self.device, self.on_gpu, self.threads, self.exact = device, device != "cpu", threads, exact
        self.networks: dict[int, Network] = {}
        if package.network:
            self.network(min(package.variants, default=1))

    def network(self, frames: int = 1) -> Network:
        """The network for so many planes; raises `ModelUnrunnable`."""
        if frames not in self.networks:
            if frames not in (self.package.variants or {1: ""}):
                has = ", ".join(map(str, self.package.variants))
                raise ModelUnrunnable(
                    f"{self.package.id} has no network for {frames} planes.", f"It has networks for {has} planes."
                )
            self.networks[frames] = load_network(self.package, self.device, frames, self.threads, self.exact)
        return self.networks[frames]

    def predict(
        self,
        plane: np.ndarray,
        step: Callable[[int, int], None],
        log: Callable[[str], None],
        *,
        tile: int | None = None,
        batch: int | None = None,
        frames: int = 1,
    ) -> np.ndarray:
        """The network's maps of a whole plane, the same whatever the tiles.

        Args:
            plane: (y, x, channel) float32, normalised; the channels of `frames` planes, the lowest plane first.
            step: told, after each batch, of the tiles done and their number; may raise to stop.
            log: takes a line when memory runs out and less is tried.
            tile: side of the tiles without halo; None: the plane in one go if small, else TILE_SIDE. A network of one
                size of input has tiles of that size.
            batch: tiles at once; None: as fits the device.
            frames: which of the package's networks.

        Returns:
            (y, x, map) float32, a cell every `output_stride` pixels; or the rows of the boxes (row, column) float32 in
            pixels of the plane, for a network that makes lists. The plane itself for a package without a network.

        Raises:
            OutOfMemory: a single smallest tile does not fit.
        """
        if not self.package.network:
            step(1, 1)
            return plane
        whole = Whole(plane, self.output_stride)
        grid = self.predict_tiles(whole, step, log, tile=tile, batch=batch, frames=frames)
        if self.package.head["kind"] == "boxes":
            return self.merged(whole.made, whole.shape, grid)
        assert whole.maps is not None
        return whole.maps

    def predict_tiles(
        self,
        flow: Flow,
        step: Callable[[int, int], None],
        log: Callable[[str], None],
        *,
        tile: int | None = None,
        batch: int | None = None,
        frames: int = 1,
        busy: Busy | None = None,
    ) -> Grid:
        """As `predict`, of a plane wherever it is: `flow` cuts it into tiles and puts away what becomes of them.

        When memory runs out, all tiles are run again, smaller. Returns those that were run.
        """
        network = self.network(frames)
        if self.on_gpu:
            log(f"computed on {network.device} in {network.precision}")
        least = self.package.minimum_size
        shape = max(flow.shape[0], least), max(flow.shape[1], least)
        tile = automatic_tile(shape) if tile is None else tile
        batch = batch or BATCHES["gpu" if self.on_gpu else "cpu"]
        while True:
            grid = self.grid(shape, network, tile)
            flow.begin(grid)
            try:
                run_tiles(
                    network.start, grid, flow, step, batch=min(batch, len(grid.tiles)), fixed=network.batch,
                    beside=network.device != "cpu" or not flow.at_hand, busy=busy,
                )  # fmt: skip
                return grid
            except MemoryError:
                tile, batch = _less(tile, batch, grid, log, resizable=_window(network, self.package) is None)

    def grid(self, shape: tuple[int, int], network: Network, tile: int | None) -> Grid:
        """The tiles of a plane of `shape` (y, x) that the network takes."""
        window = _window(network, self.package)
        if window is not None:
            return fixed_grid(shape, window=window, stride=self.stride, halo=self.halo, cell=self.output_stride)
        return make_grid(shape, tile=tile, stride=self.stride, halo=self.halo)

    def merged(self, made: list[tuple[Tile, np.ndarray]], shape: tuple[int, int], grid: Grid) -> np.ndarray:
        """The boxes of all tiles as rows, those that several tiles see once. What is seen in the padding is a
        reflection: a box's centre lies in the plane.
        """
        head = self.package.head
        found = ((tile, boxes_from_rows(rows, head, threshold=0.0)) for tile, rows in made)
        boxes = merge_tiles(found, grid, SAME_BOX)
        x, y = boxes.centres().T
        return rows_from_boxes(boxes[(x < shape[1]) & (y < shape[0])], head)


class Whole:
    """A plane (y, x, channel) in memory, of which `maps` are made, (y, x, map) float32, or lists tile by tile."""

    at_hand = True

    def __init__(self, plane: np.ndarray, output_stride: int) -> None:
        self.plane, self.output_stride = plane, output_stride
        self.shape = plane.shape[0], plane.shape[1]
        self.maps: np.ndarray | None = None
        self.made: list[tuple[Tile, np.ndarray]] = []

    def begin(self, grid: Grid) -> None:
        self.window, self.maps, self.made = grid.window, None, []
        self.padded = pad_to(pad_to(self.plane, grid.shape), grid.padded)

    def cut(self, tile: Tile) -> np.ndarray:
        return tile.cut(self.padded, self.window)

    def land(self, tile: Tile, made: np.ndarray) -> None:
        if made.ndim == 2:
            self.made.append((tile, made))
            return
        if self.maps is None:
            self.maps = np.empty((*map_shape(self.shape, self.output_stride), made.shape[2]), np.float32)
        tile.stitch(made, self.maps, self.output_stride)


def _window(network: Network, package: ModelPackage) -> tuple[int, int] | None:
    """(y, x) of the only tiles that the network takes; None: any."""
    if network.window is not None or not package.input_size:
        return network.window
    return package.input_size[0], package.input_size[1]


def automatic_tile(shape: tuple[int, ...]) -> int | None:
    """None (one go) up to WHOLE_SIDE squared pixels, TILE_SIDE above."""
    return None if math.prod(shape) <= WHOLE_SIDE**2 else TILE_SIDE


def _less(
    tile: int | None, batch: int, grid: Grid, log: Callable[[str], None], *, resizable: bool = True
) -> tuple[int | None, int]:
    """What to try after running out of memory: half the batch, then half the tile."""
    batch = min(batch, len(grid.tiles))
    if batch > 1:
        log(f"out of memory: batch halved from {batch} to {batch // 2} tiles")
        return tile, batch // 2
    side = min(tile or max(grid.shape), max(grid.shape))
    if side <= SMALLEST_TILE or not resizable:
        raise OutOfMemory(
            "The model does not fit into this worker's memory, even one small tile at a time.",
            "Run it on a worker with more memory.",
        )
    smaller = max(SMALLEST_TILE, side // 2)
    log(f"out of memory: tile halved from {side} to {smaller} pixels")
    return smaller, 1


class ModelCache:
    """Warm models by package sha256, the least recently used dropped beyond the setting `worker_models`."""

    def __init__(self, settings: Settings, device: str = "auto") -> None:
        self.limit = max(1, settings.worker_models)
        from worker.network_tensorflow import prepare_device

        self.threads = settings.cpu_threads
        self.device = prepare_device(device, settings.cpu_threads)
        self._models: OrderedDict[str, WarmModel] = OrderedDict()

    @property
    def warm(self) -> tuple[str, ...]:
        """The sha256 of the packages that are loaded, the least recently used first."""
        return tuple(self._models)

    def load(self, package: ModelPackage) -> WarmModel:
        """The package's network, loaded anew; raises `ModelUnrunnable`."""
        self._models.pop(package.sha256, None)
        return self.get(package)

    def get(self, package: ModelPackage) -> WarmModel:
        """The package's network, loaded if need be; raises `ModelUnrunnable`."""
        if package.sha256 in self._models:
            self._models.move_to_end(package.sha256)
            return self._models[package.sha256]
        while len(self._models) >= self.limit:
            self._models.popitem(last=False)
        model = self._models[package.sha256] = WarmModel(package, self.device, self.threads)
        return model
