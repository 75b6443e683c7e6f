"""How long a newcomer waits: `up` to the first page, and a worker's start to its first job."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from benchmarks.pictures import MODEL, picture, png, seed_package
from benchmarks.service import command, running, service
from benchmarks.table import print_table, verdict

PAGE_LIMIT_S, JOB_LIMIT_S = 10.0, 8.0
SIDE = 128


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="zooscope-bench-") as name:
        data = Path(name) / "data"
        started = time.perf_counter()
        with service(data, "--no-worker"):
            first_page = time.perf_counter() - started
        # Once more, now that the zoo is filled, as on every day but the first.
        started = time.perf_counter()
        with service(data):
            later_page = time.perf_counter() - started
        with service(data, "--no-worker") as client:
            pixels = picture(seed_package(), SIDE)
            image = client.upload("picture.png", png(pixels))
            uuid = client.submit(image["id"], [0, 0, SIDE, SIDE], MODEL)
            token = (data / "secrets" / "worker-token").read_text().strip()
            options = ["--server", client.url, "--token", token, "--data", str(Path(name) / "cache"), "--name", "bench"]
            started = time.perf_counter()
            with running(command("worker", *options, "--device", "cpu")):
                taken = None
                for view in client.follow(uuid):
                    taken = taken or (time.perf_counter() - started if view["state"] != "queued" else None)
                done = time.perf_counter() - started
    assert taken is not None
    print_table(
        "Start-up, seconds",
        [
            ("up to first page, new data folder", f"{first_page:.2f}", verdict(first_page, PAGE_LIMIT_S, at_most=True)),
            ("up to first page, with a worker", f"{later_page:.2f}", verdict(later_page, PAGE_LIMIT_S, at_most=True)),
            ("worker start to first job taken", f"{taken:.2f}", verdict(taken, JOB_LIMIT_S, at_most=True)),
            (f"worker start to first result ({SIDE} px)", f"{done:.2f}", ""),
        ],
    )


if __name__ == "__main__":
    main()
