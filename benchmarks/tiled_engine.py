"""Our engine, a bare loop of the framework and bioimageio.core side by side: the same weights, tiles and threads, for a
Keras and an ONNX network, on planes of several sizes; each in a process of its own, asked for passes in turn.

What else runs on the machine meets all of them: a ratio is the median over pairs of passes, one right after the other.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.plain_network import FRAMEWORKS, HALO, STEP, write_package
from benchmarks.process import Measured
from benchmarks.table import print_table, verdict
from worker.tiles import make_grid

RATIO_LIMIT = 0.95
ROOT = Path(__file__).parent.parent
REFEREE = ROOT / ".venv" / "referee" / "bin" / "python"
BARE, ENGINE, CORE = "bare loop", "engine", "bioimageio.core"
# In each round, seconds of passes of the bare loop, and passes at most.
ENOUGH, MOST_TURNS = 2.0, 20
# Seconds between two passes: threads that wait for more to do spin for some time, in the way of whoever is next.
PAUSE = 0.2


def write_tiles(path: Path, side: int, tile: int) -> int:
    """The tiles of a plane for all ways; returns how many."""
    grid = make_grid((side, side), tile=tile, stride=STEP, halo=HALO)
    tiles = [(each.y, each.x, each.core_y, each.core_x) for each in grid.tiles]
    path.write_text(json.dumps({"tile": tile, "window": grid.window, "tiles": tiles}))
    return len(tiles)


@dataclass
class Found:
    """Of one way: seconds and processor seconds of its passes in order, and its processes' peak resident bytes."""

    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    peak: list[int] = field(default_factory=list)


def begun(way: str, package: Path, framework: str, side: int, tiles: Path, referee: Path, keep: Path) -> Measured:
    """A process that loads the network and waits for the first pass to be asked for."""
    interpreter = str(referee) if way == CORE else sys.executable
    command = [interpreter, str(ROOT / "benchmarks" / "engine_ways.py"), "--way", way, "--package", str(package)]
    command += ["--framework", framework, "--side", str(side), "--tiles", str(tiles), "--keep", str(keep)]
    words = {
        "PYTHONPATH": str(ROOT),
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "",
    }
    return Measured(command, words)


def measure(processes: dict[str, Measured], found: dict[str, Found]) -> None:
    """Ask for passes in turn, each turn beginning with another way, until ENOUGH seconds of passes."""
    for process in processes.values():
        process.answer()
    ways = list(processes)
    for turn in range(MOST_TURNS):
        for way in ways[turn % len(ways) :] + ways[: turn % len(ways)]:
            time.sleep(PAUSE)
            told = json.loads(processes[way].ask("pass"))
            found[way].seconds.append(told["seconds"])
            found[way].cpu.append(told["cpu"])
        if sum(found[BARE].seconds[-turn - 1 :]) >= ENOUGH:
            return


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
        found = {way: Found() for way in ways}
        for _ in range(rounds):
            with contextlib.ExitStack() as stack:
                processes = {
                    way: stack.enter_context(
                        begun(
                            way, package, framework, side, folder / "tiles.json", referee or Path(), kept(folder, way)
                        )
                    )
                    for way in ways
                }
                measure(processes, found)
            for way in ways:
                found[way].peak.append(processes[way].peak)
        apart = {way: difference(kept(folder, way), kept(folder, BARE)) for way in ways}
    ratios = {way: statistics.median(b / a for a, b in zip(found[ENGINE].seconds, found[way].seconds, strict=True))
              for way in ways if way != ENGINE}  # fmt: skip
    limits = {BARE: RATIO_LIMIT, CORE: 1.0}
    print_table(
        f"{framework}, {side} x {side} pixels in {count} tiles, median of {len(found[BARE].seconds)} passes",
        [
            (way, f"{side**2 / 1e6 / statistics.median(found[way].seconds):.2f} MP/s",
             f"{statistics.median(found[way].cpu):.2f} s of processor, "
             f"peak {max(found[way].peak) / 2**20:.0f} MiB, differs by {apart[way]:.1e}")
            for way in ways
        ]
        + [
            (f"engine / {way}", f"{ratio:.3f}", verdict(ratio, limits[way], at_most=False))
            for way, ratio in ratios.items()
        ],
    )  # fmt: skip
    return all(ratio >= limits[way] for way, ratio in ratios.items())


def kept(folder: Path, way: str) -> Path:
    """Where a way keeps the maps of its last pass."""
    return folder / f"{way.replace(' ', '-')}.npy"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tiled_engine", description=__doc__)
    parser.add_argument("--sides", type=int, nargs="+", default=[1024, 4096, 8192], help="of the planes, in pixels")
    parser.add_argument("--frameworks", nargs="+", choices=FRAMEWORKS, default=FRAMEWORKS)
    parser.add_argument("--tile", type=int, default=512, help="side of the tiles without halo (default: 512)")
    parser.add_argument("--rounds", type=int, default=3, help="processes of each way, one after the other (default: 3)")
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
