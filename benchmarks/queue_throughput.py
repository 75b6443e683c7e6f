"""Submissions a second through the HTTP API, beside the HTTP server alone, bare beanstalkd, and the disk.

There are four threads, in one process or in two replicas on one socket, and others in the place of those that wait. The
API of services names a region that is stored already, one job or a list of them in a request; the public one of
browsers cuts it out of an uploaded image and stores it, a different one each time. The HTTP server alone reads the same
body and answers the same, and does nothing. beanstalkd alone is given the same entries by as many connections, on the
same disk.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import socket
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import requests
from PIL import Image

from benchmarks.bare_server import ANSWER
from benchmarks.http_load import Load, load, request_bytes
from benchmarks.pictures import MODEL, SEEDS
from benchmarks.queue_plant import Plant, Server, plant
from benchmarks.service import free_port
from benchmarks.table import print_table
from scheduler.broker import start_beanstalkd
from zoo.settings import Settings

BARE = "benchmarks.bare_server"
THREADS, CONNECTIONS = 4, 8
REPLICAS = (1, 2)
BATCH = 50
GOAL = 1000.0
ROUNDS = 3
SIDE, REGION = 256, 64
QUEUED = (10, 1000, 100_000)


def service_api(site: Plant, count: int, connections: int = CONNECTIONS) -> Load:
    url = f"{site.url}/scheduler/v1/jobs"
    bodies = [json.dumps(site.request(f"visitor{number}")).encode() for number in range(count)]
    asked = [request_bytes(url, "POST", site.service_headers, body) for body in bodies]
    return load(url, _shared(asked, connections))


def batches(site: Plant, count: int) -> Load:
    """Lists of jobs of one owner each."""
    url = f"{site.url}/scheduler/v1/jobs/batch"
    lists = [json.dumps({"jobs": [site.request(f"visitor{number}")] * BATCH}) for number in range(count // BATCH)]
    requests = _shared([request_bytes(url, "POST", site.service_headers, body.encode()) for body in lists])
    done = load(url, [mine for mine in requests if mine], b"200")
    return replace(done, per_second=BATCH * done.per_second)


def public_api(site: Plant, count: int) -> Load:
    """As browsers do, each connection with a visitor's cookie of its own."""
    url, lists = f"{site.url}/api/v1/jobs", []
    rng = np.random.default_rng(0)
    for _ in range(CONNECTIONS):
        visitor = requests.Session()
        image = visitor.post(
            f"{site.url}/api/v1/images", data=_picture(), headers={"X-Filename": "cells.png"}, timeout=60
        ).json()["id"]
        cookie = "; ".join(f"{cookie.name}={cookie.value}" for cookie in visitor.cookies)
        headers = {"Content-Type": "application/json", "Cookie": cookie}
        corners = rng.integers(0, SIDE - REGION, (count // CONNECTIONS, 2)).tolist()
        bodies = [{"image": image, "roi": [x, y, REGION, REGION], "models": [{"id": MODEL}]} for x, y in corners]
        lists.append([request_bytes(url, "POST", headers, json.dumps(body).encode()) for body in bodies])
    return load(url, lists)


def _picture() -> bytes:
    out = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE), np.uint8)
    Image.fromarray(pixels).save(out, "PNG", compress_level=1)
    return out.getvalue()


def http_alone(site: Plant, url: str, count: int) -> Load:
    body = json.dumps(site.request("visitor")).encode()
    asked = request_bytes(f"{url}/jobs", "POST", site.service_headers, body)
    return load(f"{url}/jobs", _shared([asked] * count))


def _shared(requests: list[bytes], connections: int = CONNECTIONS) -> list[list[bytes]]:
    return [requests[number::connections] for number in range(connections)]


def bare_puts(count: int, sync_ms: int) -> float:
    """Puts a second of entries as long as ours, from THREADS connections."""
    entry = b"x" * 700
    said = b"put 1 0 60 %d\r\n%s\r\n" % (len(entry), entry)
    with tempfile.TemporaryDirectory(prefix="zooscope-bench-") as name:
        settings, port = Settings(data=Path(name), beanstalkd_sync_ms=sync_ms), free_port()
        broker = start_beanstalkd(settings, port)

        def put() -> None:
            with socket.create_connection(("127.0.0.1", port)) as connection:
                answers = connection.makefile("rb")
                for _ in range(count // THREADS):
                    connection.sendall(said)
                    answers.readline()

        threads = [threading.Thread(target=put) for _ in range(THREADS)]
        started = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        whole = time.perf_counter() - started
        broker.stop()
    return count / whole


def disk_syncs(count: int) -> float:
    """Writes of one page a second that wait for the disk, one after another."""
    with tempfile.TemporaryFile(buffering=0) as file:
        started = time.perf_counter()
        for _ in range(count):
            file.write(bytes(4096))
            os.fdatasync(file.fileno())
        return count / (time.perf_counter() - started)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.queue_throughput", description=__doc__)
    parser.add_argument("--count", type=int, default=4000, help="submissions of each kind (default: 4000)")
    parser.add_argument("--queued", type=int, nargs="*", default=list(QUEUED), help="jobs that wait already")
    parser.add_argument("--replicas", type=int, nargs="*", default=list(REPLICAS), help="web servers side by side")
    parser.add_argument("--quick", action="store_true", help="a smoke test of a few seconds")
    arguments = parser.parse_args()
    count, queued = (96, [10]) if arguments.quick else (arguments.count, arguments.queued)
    with tempfile.TemporaryDirectory(prefix="zooscope-bench-") as name:
        (Path(name) / f"{MODEL}.zip").symlink_to(SEEDS / f"{MODEL}.zip")
        for replicas in arguments.replicas:
            with plant(THREADS // replicas, replicas, seed_folder=Path(name)) as site:
                rows, alone = _measured(site, replicas, count, queued)
            bar = min(GOAL, alone)
            print_table(f"Submissions, {replicas} x {THREADS // replicas} threads, {os.cpu_count()} cores; "
                        f"at least {bar:,.0f} /s", rows)  # fmt: skip
    print_table("Alone", [
        ("beanstalkd, log synced every 50 ms", f"{bare_puts(count, 50):,.0f} /s", ""),
        ("beanstalkd, log synced with every put", f"{bare_puts(count // 4, 0):,.0f} /s", ""),
        ("the disk, one sync after another", f"{disk_syncs(count // 4):,.0f} /s", ""),
    ])  # fmt: skip


def _measured(site: Plant, replicas: int, count: int, queued: list[int]) -> tuple[list[tuple[str, str, str]], float]:
    """Rows of a table, and how many requests a second the HTTP server alone answered at last."""
    rows: list[tuple[str, str, str]] = []
    (site.settings.data / ANSWER).write_bytes(service_api(site, CONNECTIONS).last_answer)
    there, each = CONNECTIONS, count // ROUNDS
    with Server(site.settings.replace(port=free_port()), BARE, replicas) as bare:
        for number in queued:
            site.fill(max(0, number - there))
            there = max(number, there)
            # In turn, because a machine is not equally quick all the time.
            rounds = [
                (
                    service_api(site, each),
                    service_api(site, each, THREADS),
                    batches(site, max(BATCH, each)),
                    http_alone(site, bare.url, each),
                )
                for _ in range(ROUNDS)
            ]
            ours, few, listed, alone = (_middle([one[which] for one in rounds]) for which in range(4))
            rows.append(_row(f"POST /scheduler/v1/jobs, a job each, {there:,} queued before", ours))
            rows.append(_row(f"  from {THREADS} connections rather than {CONNECTIONS}", few))
            rows.append(_row(f"POST /scheduler/v1/jobs/batch, {BATCH} jobs each", listed))
            rows.append(_row("  the HTTP server alone, the same answer, in turn", alone))
            there += 2 * count + max(ROUNDS * BATCH, count)
    rows.append(_row(f"POST /api/v1/jobs, {REGION} x {REGION} pixels of a PNG", public_api(site, count // 4)))
    return rows, alone.per_second


def _middle(loads: list[Load]) -> Load:
    """That of the median rate."""
    return sorted(loads, key=lambda one: one.per_second)[len(loads) // 2]


def _row(what: str, done: Load) -> tuple[str, str, str]:
    median, slow = (done.quantile(part) * 1e3 for part in (0.5, 0.95))
    return what, f"{done.per_second:,.0f} /s", f"median {median:.1f} ms, p95 {slow:.1f} ms"


if __name__ == "__main__":
    main()
