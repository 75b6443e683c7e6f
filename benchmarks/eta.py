"""How honest the ETA is: what was told before and at submit, beside how long it really took, with a real worker.

Ten jobs of mixed sizes teach what the model takes; then jobs of mixed sizes come in bursts, so that some find the
worker free and others wait behind several. An error is the difference between told and true time over the true time.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.pictures import MODEL, picture, png, seed_package
from benchmarks.service import Client, service
from benchmarks.table import print_table, verdict

SIDES = (128, 192, 256, 384, 512, 768, 1024)
TAUGHT, MEASURED = 10, 30
LONGEST_BURST = 5
LIMIT = 0.2


def bursts(source: random.Random, jobs: int, sides: tuple[int, ...]) -> Iterator[list[int]]:
    """The sides of the regions of each burst, `jobs` in all."""
    while jobs > 0:
        size = min(jobs, source.randint(1, LONGEST_BURST))
        yield [source.choice(sides) for _ in range(size)]
        jobs -= size


def run_burst(client: Client, image: str, sides: list[int]) -> list[dict[str, float]]:
    """Submit previews of these sides at once and wait for all; for each, how far what was told was from the truth."""
    told = []
    for side in sides:
        body = {"image": image, "roi": [0, 0, side, side], "models": [{"id": MODEL}]}
        before = client.call("POST", "/estimates", json=body)["items"][0]
        view = client.call("POST", "/jobs", json=body)["jobs"][0]
        told.append({"uuid": view["uuid"], "place": view["place"], "before": before["eta"], "at": view["eta"]})
    return [_compare(one, client.finish(one["uuid"])) for one in told]


def _compare(told: dict[str, Any], view: dict[str, Any]) -> dict[str, float]:
    took = view["finished_at"] - view["created_at"]
    ran = view["finished_at"] - view["started_at"]
    expected = told["at"]["end_s"] - told["at"]["start_s"]
    return {
        "took": took,
        "before": abs(told["before"]["end_s"] - took) / took,
        "at": abs(told["at"]["end_s"] - took) / took,
        "ran": abs(expected - ran) / ran,
        "waited": view["started_at"] - view["created_at"],
    }


def report(found: list[dict[str, float]]) -> bool:
    """Print the table; whether the limit is kept."""
    free = [one for one in found if one["waited"] < 0.2 * one["took"]]
    waiting = [one for one in found if one not in free]
    at = statistics.median(one["at"] for one in found)
    rows = [
        ("ETA told at submit", f"{at:.0%}", verdict(at, LIMIT, at_most=True)),
        ("ETA told before submit", f"{statistics.median(one['before'] for one in found):.0%}", ""),
        ("running alone, without waiting", f"{statistics.median(one['ran'] for one in found):.0%}", ""),
    ]
    for what, some in (("  of those that found the worker free", free), ("  of those that waited", waiting)):
        if some:
            error = statistics.median(one["at"] for one in some)
            rows.append((what, f"{error:.0%}", f"{len(some)} jobs"))
    took = sorted(one["took"] for one in found)
    rows.append(
        ("from submit to done", f"{took[0]:.2f} to {took[-1]:.2f} s", f"median {statistics.median(took):.2f} s")
    )
    print_table(f"Median absolute error of {len(found)} jobs of {MODEL} after {TAUGHT} others", rows)
    return at <= LIMIT


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.eta", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="few jobs of small sizes, to see that it works")
    arguments = parser.parse_args()
    source, sides = random.Random(arguments.seed), SIDES[:3] if arguments.quick else SIDES
    package = seed_package()
    with (
        tempfile.TemporaryDirectory(prefix="zooscope-bench-") as name,
        service(Path(name), "--workers", "1") as client,
    ):
        image = client.upload("picture.png", png(picture(package, max(sides))))["id"]
        # The first job is cold, and finds a worker that is still starting.
        client.finish(client.submit(image, [0, 0, sides[0], sides[0]], MODEL))
        for burst in bursts(source, 3 if arguments.quick else TAUGHT - 1, sides):
            run_burst(client, image, burst)
        found = []
        for burst in bursts(source, 4 if arguments.quick else MEASURED, sides):
            found += run_burst(client, image, burst)
    kept = report(found)
    if not arguments.quick and not kept:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
