"""Submit to overlay visible through the real service over HTTP, beside the bare work in one process, in turn.

The bare work is the same network's forward pass and the head's decoding of the same normalised pixels, nothing else.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.pictures import MODEL, network_input, picture, png, seed_package
from benchmarks.service import Client, service
from benchmarks.table import print_table, verdict

SIDE = 1024
RATIO_LIMIT = 1.4
# The region moves by this much from round to round, so that nothing can have been kept from the last one.
STEP = 8


def bare_loop(rounds: int) -> None:
    """Answer each line on stdin with the seconds of one bare pass over the region that the line names."""
    import tensorflow as tf

    from worker.heads.decode import decode
    from worker.inference import ModelCache
    from zoo.pixel_scale import Scale
    from zoo.preview_settings import resolve
    from zoo.settings import Settings

    package = seed_package()
    network: Any = ModelCache(Settings()).get(package).network()
    forward = network.forward
    settings = resolve({}, package)
    whole = picture(package, SIDE + STEP * rounds)
    for line in sys.stdin:
        offset = int(line)
        plane = network_input(package, whole[offset : offset + SIDE, offset : offset + SIDE])
        started = time.perf_counter()
        maps = forward(tf.constant(plane[None])).numpy()[0]
        decode(maps, package.head, settings, Scale(), (SIDE, SIDE))
        print(time.perf_counter() - started, flush=True)


@contextlib.contextmanager
def bare_process(rounds: int) -> Iterator[Callable[[int], float]]:
    arguments = [sys.executable, "-m", "benchmarks.preview_latency", "--bare", "--rounds", str(rounds)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def once(offset: int) -> float:
            assert process.stdin is not None
            assert process.stdout is not None
            print(offset, file=process.stdin, flush=True)
            return float(process.stdout.readline())

        yield once


def through_service(client: Client, image: str, offset: int) -> dict[str, float]:
    """Seconds from the submit to the overlay's last byte, and where they went."""
    started = time.perf_counter()
    uuid = client.submit(image, [offset, offset, SIDE, SIDE], MODEL)
    submitted = time.perf_counter()
    _, shown, view = client.preview(uuid)
    done = time.perf_counter()
    return {"total": shown - started, "all": done - started, "submit": submitted - started} | _inside(view)


def _inside(view: dict[str, Any]) -> dict[str, float]:
    """Stages as the worker timed them, and what the scheduler's clock says around them."""
    timings = dict(view["result"]["timings"])
    computed = sum(timings.values())
    return timings | {
        "waiting for a worker": view["started_at"] - view["created_at"],
        "handing over": view["finished_at"] - view["started_at"] - computed,
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.preview_latency", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="measurements of each, in turn (default: 7)")
    parser.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.bare:
        bare_loop(arguments.rounds)
        return
    package = seed_package()
    with (
        tempfile.TemporaryDirectory(prefix="zooscope-bench-") as name,
        service(Path(name), "--workers", "1") as client,
        bare_process(arguments.rounds) as bare,
    ):
        image = client.upload("picture.png", png(picture(package, SIDE + STEP * arguments.rounds)))["id"]
        # Warm both: the model is loaded, the shape is traced.
        bare(0)
        through_service(client, image, 0)
        pairs = [
            (bare(offset), through_service(client, image, offset))
            for offset in range(STEP, STEP * (arguments.rounds + 1), STEP)
        ]
    report(pairs)


def report(pairs: list[tuple[float, dict[str, float]]]) -> None:
    middle = {stage: statistics.median(seconds[stage] for _, seconds in pairs) for stage in pairs[0][1]}
    bare = statistics.median(seconds for seconds, _ in pairs)
    ratio = statistics.median(seconds["total"] / alone for alone, seconds in pairs)
    total, everything = middle.pop("total"), middle.pop("all")
    rows = [
        ("submit to overlay visible", f"{total:.3f} s", ""),
        ("submit to all files saved", f"{everything:.3f} s", ""),
        ("bare forward pass and decoding", f"{bare:.3f} s", ""),
        ("ratio", f"{ratio:.2f}", verdict(ratio, RATIO_LIMIT, at_most=True)),
        *((f"  {stage}", f"{seconds:.3f} s", "") for stage, seconds in middle.items()),
    ]
    print_table(f"{SIDE} x {SIDE} pixels, warm worker, median of {len(pairs)}", rows)


if __name__ == "__main__":
    main()
