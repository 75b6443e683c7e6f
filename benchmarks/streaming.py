"""Peak memory and time of `zooscope preview` on ever larger images, tiled TIFF and OME-Zarr, each in its own process.

What a streamed preview holds does not grow with the image; the stages that run beside the network are shown as well.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from scipy import ndimage

from benchmarks.process import run_measured
from benchmarks.table import print_table, verdict
from benchmarks.tiny_package import tiny_package

PATTERN, TILE = 1024, 512
MODEL_AND_FRAMEWORK = 900 * 2**20
KINDS = ("tiff", "zarr")


def pattern() -> np.ndarray:
    """(PATTERN, PATTERN) uint8 of bright blobs that touch here and there, seamless at its borders."""
    rng = np.random.default_rng(4)
    places = np.zeros((PATTERN, PATTERN))
    places[rng.integers(0, PATTERN, 1200), rng.integers(0, PATTERN, 1200)] = 1
    blobs = ndimage.gaussian_filter(places, 6, mode="wrap") * 2 * np.pi * 36
    noise = rng.normal(0, 0.02, blobs.shape)
    return (255 * np.clip(0.1 + 0.8 * blobs + noise, 0, 1)).astype(np.uint8)


def rows(side: int) -> Iterator[np.ndarray]:
    """The image from top to bottom, TILE rows at a time."""
    period = pattern()
    wide = np.tile(period, (1, -(-side // PATTERN)))[:, :side]
    for top in range(0, side, TILE):
        yield wide[(top + np.arange(min(TILE, side - top))) % PATTERN]


def write_image(path: Path, side: int) -> None:
    """A tiled TIFF, or an OME-Zarr folder, of `side` squared pixels, written piece by piece."""
    if path.suffix == ".tif":

        def tiles() -> Iterator[np.ndarray]:
            for band in rows(side):
                for left in range(0, side, TILE):
                    yield np.ascontiguousarray(band[:, left : left + TILE])

        tifffile.imwrite(
            path, tiles(), shape=(side, side), dtype=np.uint8, tile=(TILE, TILE), compression="zlib",
            photometric="minisblack",
        )  # fmt: skip
        return
    import zarr

    array = zarr.create_array(
        str(path / "0"), shape=(side, side), chunks=(TILE, TILE), dtype=np.uint8, zarr_format=2, overwrite=True
    )
    for index, band in enumerate(rows(side)):
        array[index * TILE : index * TILE + len(band)] = band
    axes = [{"name": name, "type": "space"} for name in "yx"]
    (path / ".zattrs").write_text(json.dumps({"multiscales": [{"axes": axes, "datasets": [{"path": "0"}]}]}))


def measure(image: Path, model: Path, out: Path, memory: int, tile: int | None) -> dict[str, Any]:
    """Seconds, peak resident bytes and the manifest of a preview in a process of its own."""
    command = [sys.executable, "zooscope.py", "preview", str(image), "--model", str(model), "-o", str(out)]
    command += ["--tile-px", str(tile)] if tile else []
    started = time.perf_counter()
    _, peak = run_measured(command, {"ZOOSCOPE_STREAM_MEMORY_BYTES": str(memory)})
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "peak": peak, "manifest": json.loads((out / "manifest.json").read_text())}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.streaming", description=__doc__)
    parser.add_argument("--sides", type=int, nargs="+", default=[4096, 8192, 16384], help="of the images, in pixels")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, help="of the files")
    parser.add_argument("--memory", type=int, default=2**30, help="ZOOSCOPE_STREAM_MEMORY_BYTES (default: 1 GiB)")
    parser.add_argument("--model", type=Path, help="a package; left out: a network of one layer")
    parser.add_argument("--tile", type=int, help="side of the tiles")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = arguments.model or tiny_package(folder / "tiny.zip")
        for kind in arguments.kinds:
            for side in arguments.sides:
                image = folder / (f"{side}.tif" if kind == "tiff" else f"{side}.zarr")
                write_image(image, side)
                found = measure(image, model, folder / f"out-{kind}-{side}", arguments.memory, arguments.tile)
                show(kind, side, arguments.memory, found)


def show(kind: str, side: int, memory: int, found: dict[str, Any]) -> None:
    manifest, seconds = found["manifest"], found["seconds"]
    timings = manifest["timings"]
    beside = {name: spent for name, spent in timings.items() if name.endswith("(beside)")}
    streamed = "streamed" if manifest["summary"].get("streamed") else "in memory"
    peak, most = found["peak"] / 2**20, (memory + MODEL_AND_FRAMEWORK) / 2**20
    print_table(
        f"{kind}, {side} x {side} pixels, {manifest['summary']['objects']} objects, {streamed}",
        [
            ("peak memory", f"{peak:.0f} MiB", verdict(peak, most, at_most=True)),
            ("wall", f"{seconds:.1f} s", f"{side * side / 1e6 / seconds:.2f} MP/s"),
            *((name, f"{spent:.1f} s", "") for name, spent in timings.items() if name not in beside),
            *((name, f"{spent:.1f} s", "") for name, spent in beside.items()),
        ],
    )


if __name__ == "__main__":
    main()
