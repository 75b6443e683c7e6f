"""What the queue adds to a job, through real HTTP: from asking for it to its result being accepted, and from submitting
it to an idle worker having it; with 10, 1,000 and 100,000 jobs queued.

The job computes nothing and has one small file as its result. The worker is the protocol alone, by the worker's own
client and uploads: such a file goes along with the result. An idle worker that waits while so many jobs are queued is
one that cannot serve them: they are of another kind.
The time to pick up counts from before the submission is sent, so the submission itself is in it.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Callable
from pathlib import Path

import requests

from benchmarks.queue_plant import Plant, plant
from benchmarks.table import print_table, verdict
from scheduler.contract import Claim, ReserveRequest
from worker.client import SchedulerClient
from worker.job_folder import JobFolder
from worker.uploads import Uploads

QUEUED = (10, 1000, 100_000)
QUEUED_KIND = "run"
POSTED_LIMIT_MS, PICKUP_LIMIT_MS = 15.0, 20.0
FILE = "manifest.json"
WAIT_SECONDS = 20.0


def quantile(seconds: list[float], part: float) -> float:
    """In milliseconds."""
    ordered = sorted(seconds)
    return 1e3 * ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def reserve(client: SchedulerClient, seconds: float, kinds: tuple[str, ...] = ("preview",)) -> Claim | None:
    return client.reserve(ReserveRequest("bench", kinds, seconds, device="cpu"))


def do(client: SchedulerClient, claim: Claim, folder: Path) -> None:
    """Start the job, and post its result, a file that is there already."""
    client.start(claim.uuid, claim.lease)
    files = Uploads(client, JobFolder(folder, claim.uuid, claim.lease)).finish([FILE])
    client.result(claim.uuid, claim.lease, files, {"objects": 0}, {"inferring": 0.0})


def result_folder(site: Plant) -> Path:
    folder: Path = site.settings.data / "result"
    (folder / "out").mkdir(parents=True, exist_ok=True)
    (folder / "out" / FILE).write_bytes(b'{"objects": 0}')
    return folder


def posted(site: Plant, rounds: int) -> list[float]:
    """Seconds from asking for a job that waits to the answer to its result."""
    client, folder = site.worker(), result_folder(site)
    taken = []
    for _ in range(rounds):
        # It goes before those that wait.
        uuid = site.submit("visitor")["uuid"]
        started = time.perf_counter()
        claim = reserve(client, 1.0, ("preview", QUEUED_KIND))
        if claim is None or claim.uuid != uuid:
            raise RuntimeError("the worker was not given the job")
        do(client, claim, folder)
        taken.append(time.perf_counter() - started)
    client.close()
    return taken


def picked_up(site: Plant, rounds: int) -> tuple[list[float], list[float]]:
    """Seconds from submitting to the waiting worker having the job, and of the submissions."""
    client, folder = site.worker(), result_folder(site)
    taken, submitted = [], []
    for number in range(rounds):
        held: list[tuple[Claim | None, float]] = []

        def wait(held: list[tuple[Claim | None, float]] = held) -> None:
            held.append((reserve(client, WAIT_SECONDS), time.perf_counter()))

        waiting = threading.Thread(target=wait)
        waiting.start()
        _until(lambda: _waiting(site))
        started = time.perf_counter()
        uuid = site.submit(f"visitor{number}")["uuid"]
        submitted.append(time.perf_counter() - started)
        waiting.join()
        claim, at = held[0]
        if claim is None or claim.uuid != uuid:
            raise RuntimeError("the waiting worker was not given the job")
        taken.append(at - started)
        do(client, claim, folder)
    client.close()
    return taken, submitted


def _waiting(site: Plant) -> bool:
    """Whether a connection waits at beanstalkd for a job."""
    return site.stats("current-waiting") > 0


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError("the worker does not wait")
        time.sleep(0.001)


def looks(site: Plant, rounds: int) -> dict[str, float]:
    """Milliseconds that looking at the queue takes: a job's place, the status, the metrics."""
    uuid = site.submit("onlooker")["uuid"]
    asked = {
        "a job with its place": (f"/scheduler/v1/jobs/{uuid}", site.service_headers),
        "status": ("/api/v1/status", {}),
        "metrics": ("/metrics", {}),
    }
    session, found = requests.Session(), {}
    for what, (path, headers) in asked.items():
        taken = []
        for _ in range(rounds):
            started = time.perf_counter()
            session.get(f"{site.url}{path}", headers=headers, timeout=60).raise_for_status()
            taken.append(time.perf_counter() - started)
        found[what] = quantile(taken, 0.5)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.queue_overhead", description=__doc__)
    parser.add_argument("--rounds", type=int, default=200, help="jobs of each kind (default: 200)")
    parser.add_argument("--queued", type=int, nargs="*", default=list(QUEUED), help="jobs that wait already")
    parser.add_argument("--quick", action="store_true", help="a smoke test of a few seconds")
    arguments = parser.parse_args()
    rounds, queued = (5, [10]) if arguments.quick else (arguments.rounds, arguments.queued)
    for number in queued:
        rows = []
        with plant() as site:
            site.fill(number, QUEUED_KIND)
            picked_up(site, 3)  # warm
            taken, submitted = picked_up(site, rounds)
            rows.append(("submission sent to picked up", *_figures(taken, PICKUP_LIMIT_MS)))
            rows.append(("  the submission alone", *_figures(submitted, None)))
            posted(site, 3)
            rows.append(("asked for to result accepted", *_figures(posted(site, rounds), POSTED_LIMIT_MS)))
            rows += [(f"  {what}", f"{taken:.1f} ms", "median") for what, taken in looks(site, rounds).items()]
        print_table(f"A job that computes nothing, {number:,} queued", rows)


def _figures(taken: list[float], limit: float | None) -> tuple[str, str]:
    slow = quantile(taken, 0.95)
    said = "" if limit is None else verdict(slow, limit, at_most=True)
    return f"p95 {slow:.1f} ms", f"median {quantile(taken, 0.5):.1f} ms; {said}".rstrip("; ")


if __name__ == "__main__":
    main()
