"""Our engine, a bare loop of the framework and bioimageio.core side by side: the same weights, tiles and threads, for a
Keras and an ONNX network, on planes of several sizes; every measurement in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.plain_network import FRAMEWORKS, HALO, STEP, write_package
from benchmarks.process import run_measured
from benchmarks.table import print_table, verdict
from worker.tiles import make_grid

RATIO_LIMIT = 0.95
ROOT = Path(__file__).parent.parent
REFEREE = ROOT / ".venv" / "referee" / "bin" / "python"
BARE, ENGINE, CORE = "bare loop", "engine", "bioimageio.core"


def write_tiles(path: Path, side: int, tile: int) -> int:
    """The tiles of a plane for all ways; returns how many."""
    grid = make_grid((side, side), tile=tile, stride=STEP, halo=HALO)
    tiles = [(each.y, each.x, each.core_y, each.core_x) for each in grid.tiles]
    path.write_text(json.dumps({"tile": tile, "window": grid.window, "tiles": tiles}))
    return len(tiles)


def measure(
    way: str, package: Path, framework: str, side: int, tiles: Path, referee: Path, keep: Path
) -> dict[str, Any]:
    """Seconds, MP/s and peak resident bytes of one pass."""
    interpreter = str(referee) if way == CORE else sys.executable
    command = [interpreter, str(ROOT / "benchmarks" / "engine_ways.py"), "--way", way, "--package", str(package)]
    command += ["--framework", framework, "--side", str(side), "--tiles", str(tiles), "--keep", str(keep)]
    words = {
        "PYTHONPATH": str(ROOT),
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "",
    }
    told, peak = run_measured(command, words)
    measured: dict[str, Any] = json.loads(told.splitlines()[-1])
    return measured | {"peak": peak}


def difference(one: Path, other: Path) -> float:
    """The largest difference of two arrays, read piece by piece, but for a halo along the plane's border, beyond which
    bioimageio.core reflects the plane before the network sees it.
    """
    first, second = (np.load(path, mmap_mode="r")[HALO:-HALO, HALO:-HALO] for path in (one, other))
    return max(
        float(np.abs(first[top : top + 256] - second[top : top + 256]).max()) for top in range(0, len(first), 256)
    )


def compare(framework: str, side: int, tile: int, rounds: int, referee: Path | None) -> bool:
    """Print the table of one network on one size; returns whether every ratio is reached."""
    ways = [BARE, ENGINE] + ([CORE] if referee else [])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        package = write_package(folder, framework)
        count = write_tiles(folder / "tiles.json", side, tile)
        found: dict[str, list[dict[str, Any]]] = {way: [] for way in ways}
        for turn in range(rounds):
            # In turn, and each round beginning with another: what else runs on the machine meets all of them.
            for way in ways[turn % len(ways) :] + ways[: turn % len(ways)]:
                keep = folder / f"{ways.index(way)}.npy"
                found[way].append(
                    measure(way, package, framework, side, folder / "tiles.json", referee or Path(), keep)
                )
        apart = {way: difference(folder / f"{ways.index(way)}.npy", folder / "0.npy") for way in ways}
    rate = {way: statistics.median(one["rate"] for one in found[way]) for way in ways}
    ratios = {way: statistics.median(a["rate"] / b["rate"] for a, b in zip(found[ENGINE], found[way], strict=True))
              for way in ways if way != ENGINE}  # fmt: skip
    limits = {BARE: RATIO_LIMIT, CORE: 1.0}
    print_table(
        f"{framework}, {side} x {side} pixels in {count} tiles, median of {rounds}",
        [
            (way, f"{rate[way]:.2f} MP/s",
             f"{statistics.median(one['cpu'] for one in found[way]):.2f} s of processor, "
             f"peak {max(one['peak'] for one in found[way]) / 2**20:.0f} MiB, differs by {apart[way]:.1e}")
            for way in ways
        ]
        + [
            (f"engine / {way}", f"{ratio:.3f}", verdict(ratio, limits[way], at_most=False))
            for way, ratio in ratios.items()
        ],
    )  # fmt: skip
    return all(ratio >= limits[way] for way, ratio in ratios.items())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tiled_engine", description=__doc__)
    parser.add_argument("--sides", type=int, nargs="+", default=[1024, 4096, 8192], help="of the planes, in pixels")
    parser.add_argument("--frameworks", nargs="+", choices=FRAMEWORKS, default=FRAMEWORKS)
    parser.add_argument("--tile", type=int, default=512, help="side of the tiles without halo (default: 512)")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each way, in turn (default: 3)")
    parser.add_argument("--referee", type=Path, default=REFEREE, help="a Python that has bioimageio.core")
    arguments = parser.parse_args()
    referee = arguments.referee if arguments.referee.exists() else None
    if referee is None:
        print("bioimageio.core is not installed: `install/packages.sh referee` makes its environment")
    reached = [
        compare(framework, side, arguments.tile, arguments.rounds, referee)
        for framework in arguments.frameworks
        for side in arguments.sides
    ]
    raise SystemExit(0 if all(reached) else 1)


if __name__ == "__main__":
    main()
