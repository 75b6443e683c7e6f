"""The tiled engine on a large plane beside a bare `tf.function` loop over the same tiles, each in its own process."""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from typing import Any

from benchmarks.pictures import network_input, picture, seed_package
from benchmarks.table import print_table, verdict

RATIO_LIMIT = 0.9
WAYS = ("bare loop", "engine")


def measure(way: str, side: int) -> dict[str, float]:
    """MP/s of one pass over a plane of `side` squared pixels, and the peak resident memory of this process in MiB."""
    import tensorflow as tf

    from worker.inference import ModelCache, automatic_tile
    from worker.tiles import make_grid, pad_to
    from zoo.settings import Settings

    package = seed_package()
    model = ModelCache(Settings()).get(package)
    plane = network_input(package, picture(package, side))
    grid = make_grid(plane.shape[:2], tile=automatic_tile(plane.shape[:2]), stride=package.stride, halo=package.halo)
    padded = pad_to(plane, grid.padded)
    # The tile's own shape is warm in both ways.
    network: Any = model.network()
    forward = network.forward
    forward(tf.constant(grid.tiles[0].cut(padded, grid.window)[None])).numpy()
    started = time.perf_counter()
    if way == "engine":
        model.predict(plane, lambda done, tiles: None, lambda line: None)
    else:
        for tile in grid.tiles:
            forward(tf.constant(tile.cut(padded, grid.window)[None])).numpy()
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    return {"seconds": seconds, "rate": side * side / 1e6 / seconds, "peak": peak, "tiles": len(grid.tiles)}


def in_own_process(way: str, side: int) -> dict[str, Any]:
    arguments = [sys.executable, "-m", "benchmarks.tiled_engine", "--way", way, "--side", str(side)]
    answer = subprocess.run(arguments, stdout=subprocess.PIPE, check=True)
    measured: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tiled_engine", description=__doc__)
    parser.add_argument("--side", type=int, default=4096, help="side of the plane in pixels (default: 4096)")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each way, in turn (default: 3)")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        print(json.dumps(measure(arguments.way, arguments.side)))
        return
    rounds = [{way: in_own_process(way, arguments.side) for way in WAYS} for _ in range(arguments.rounds)]
    rate = {way: statistics.median(one[way]["rate"] for one in rounds) for way in WAYS}
    peak = {way: max(one[way]["peak"] for one in rounds) for way in WAYS}
    ratio = statistics.median(one["engine"]["rate"] / one["bare loop"]["rate"] for one in rounds)
    tiles = rounds[0]["engine"]["tiles"]
    print_table(
        f"{arguments.side} x {arguments.side} pixels in {tiles} tiles, median of {arguments.rounds}",
        [(way, f"{rate[way]:.3f} MP/s", f"peak memory {peak[way]:.0f} MiB") for way in WAYS]
        + [("engine / bare loop", f"{ratio:.3f}", verdict(ratio, RATIO_LIMIT, at_most=False))],
    )


if __name__ == "__main__":
    main()
