"""Every process of the system is killed, frozen and restarted at random while jobs are submitted and run: none is
lost, none is done twice as its user sees it, and nothing is left behind.

STORM_JOBS, STORM_SECONDS (of blows), STORM_WORKERS, STORM_EVERY (seconds between blows) and STORM_SEED change it; what
the service must stand is `STORM_JOBS=10000 STORM_SECONDS=300 STORM_WORKERS=8`.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
from scheduler_parts import free_port
from storm_parts import BrokerPart, Replica, Storm, WorkerPart

from scheduler import contract
from scheduler.service import Scheduler
from web.up import listen
from zoo.blobs import DiskBlobs
from zoo.documents import MAXIMUM_PAGE_SIZE, Query, Stored
from zoo.documents_sqlite import SqliteDocuments
from zoo.secrets import SERVICE_TOKEN, read_or_make_key
from zoo.settings import Settings

JOBS = int(os.environ.get("STORM_JOBS", "200"))
SECONDS = float(os.environ.get("STORM_SECONDS", "25"))
WORKERS = int(os.environ.get("STORM_WORKERS", "4"))
SEED = int(os.environ.get("STORM_SEED", "5"))
REPLICAS = 2
OWNERS = 3
BLOW_EVERY_SECONDS = float(os.environ.get("STORM_EVERY", "0.7"))
STUCK_SECONDS = 90.0  # without one more job done, once the storm is over
CLEAN_SECONDS = 90.0
TRY_AGAIN_SECONDS = 0.2


@dataclass
class Town:
    """The system, the client's way to it, and a scheduler of the test's own on the same data to look through."""

    settings: Settings
    server: str
    storm: Storm
    scheduler: Scheduler
    documents: SqliteDocuments
    blobs: DiskBlobs
    package: str
    input: str
    token: str
    uuids: dict[int, str] = field(default_factory=dict)
    first_seen: dict[str, dict[str, Any]] = field(default_factory=dict)

    def ask(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        """As a good client does: what was not answered, or answered with 5xx, is asked again until it is."""
        headers = {"Authorization": f"Bearer {self.token}"} | options.pop("headers", {})
        while True:
            try:
                answer = requests.request(method, self.server + path, headers=headers, timeout=20, **options)
            except requests.RequestException:
                time.sleep(TRY_AGAIN_SECONDS)
                continue
            if answer.status_code < 500:
                assert answer.ok, answer.text
                return dict(answer.json())
            time.sleep(TRY_AGAIN_SECONDS)

    def submit(self, number: int) -> None:
        body = {
            "kind": "preview",
            "owner": f"owner-{number % OWNERS}",
            "model": {
                "id": "m",
                "version": "1",
                "name": "M",
                "package_sha256": self.package,
                "head_kind": "x",
            },
            "settings": {"number": number, "seconds": 1.0 if number % 10 == 0 else 0.05},
            "input_sha256": self.input,
            "source": {"roi": [0, 0, 1, 1]},
            "estimate_seconds": 0.1,
            "load_seconds": 0.0,
        }
        headers = {contract.IDEMPOTENCY_KEY: f"number-{number}"}
        path = contract.path(contract.SUBMIT)
        self.uuids[number] = self.ask("POST", path, json=body, headers=headers)["uuid"]

    def look(self, uuid: str) -> None:
        """A user looks at a job, and remembers its end."""
        job = self.ask("GET", contract.path(contract.JOB, uuid=uuid))
        if job["state"] in contract.FINAL_STATES:
            seen = {name: job[name] for name in ("state", "result", "finished_at")}
            assert self.first_seen.setdefault(uuid, seen) == seen, f"a job that was over has changed: {job}"

    def jobs(self) -> Iterator[Stored]:
        """All jobs, oldest first; page after page a search shows no more than the first 10,000."""
        since, seen = 0.0, set[str]()
        while True:
            ranges = {"created_at": (since, None)}
            query = Query(ranges=ranges, sort="created_at", descending=False, size=MAXIMUM_PAGE_SIZE)
            found = [job for job in self.documents.search("jobs", query).items if job.id not in seen]
            if not found:
                return
            yield from found
            seen.update(job.id for job in found)
            since = found[-1].body["created_at"]

    def done(self) -> int:
        return self.scheduler._jobs.count(state=["done"])


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    (tmp_path / "no-seeds").mkdir()
    settings = Settings(
        data=tmp_path / "data",
        beanstalkd=f"127.0.0.1:{free_port()}",
        seed_folder=tmp_path / "no-seeds",
        ert_floor_seconds=4.0,
        claim_seconds=4.0,
        reserve_seconds=5.0,
        stall_seconds=4.0,
        attempts=1000,
        queued_per_owner=10**6,
        queued_per_address=0,
        running_per_owner=max(1, WORKERS // OWNERS),
        free_disk_bytes=0,
    )
    documents, blobs = SqliteDocuments(settings.documents_file), DiskBlobs(settings.blobs_folder)
    scheduler = Scheduler(documents, blobs, settings)
    with listen("127.0.0.1", 0) as listener:
        server = f"http://127.0.0.1:{listener.getsockname()[1]}"
        storm = Storm(
            BrokerPart(settings),
            [Replica(number, settings, listener) for number in range(REPLICAS)],
            [WorkerPart(f"worker-{number}", settings, server) for number in range(WORKERS)],
            SEED,
        )
        town = Town(
            settings,
            server,
            storm,
            scheduler,
            documents,
            blobs,
            blobs.put_bytes(b"a package").sha256,
            blobs.put_bytes(b"an input").sha256,
            read_or_make_key(settings, SERVICE_TOKEN),
        )
        try:
            for part in storm.parts:
                part.start()
            yield town
        finally:
            for part in storm.parts:
                part.thaw()
                part.kill()
            scheduler.close()
            documents.close()


def until(true: Callable[[], Any], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s"
        time.sleep(0.2)


@pytest.mark.slow
@pytest.mark.timeout(int(SECONDS + 300 + JOBS / 2))
def test_a_storm_loses_nothing_and_does_nothing_twice(town: Town) -> None:
    over, began = threading.Event(), time.monotonic()
    with ThreadPoolExecutor(5) as pool:
        watching = pool.submit(watch, town, over)
        submitting = [pool.submit(town.submit, number) for number in range(JOBS)]
        try:
            while time.monotonic() - began < SECONDS:
                town.storm.blow()
                over.wait(town.storm.random.expovariate(1 / BLOW_EVERY_SECONDS))
            town.storm.end()
            for one in submitting:
                one.result()
            done_in_the_storm = town.done()
            wait_until_done(town)
        finally:
            over.set()
            pool.shutdown(wait=False, cancel_futures=True)
    watching.result()
    seconds = time.monotonic() - began
    check_jobs(town)
    check_nothing_is_left(town)
    report(town, seconds, done_in_the_storm)


def watch(town: Town, over: threading.Event) -> None:
    """A user who keeps looking at jobs, some of them again and again."""
    chance = town.storm.random.__class__(SEED)
    while not over.wait(0.05):
        if uuids := list(town.uuids.values()):
            town.look(chance.choice(uuids))


def wait_until_done(town: Town) -> None:
    done, changed = -1, time.monotonic()
    while done < JOBS:
        if (now_done := town.done()) != done:
            done, changed = now_done, time.monotonic()
        assert time.monotonic() - changed < STUCK_SECONDS, f"stuck with {done} of {JOBS} done: {unfinished(town)}"
        town.storm.mend()
        time.sleep(0.5)


def unfinished(town: Town) -> list[dict[str, Any]]:
    return [stored.body for stored in town.jobs() if stored.body["state"] != "done"][:3]


def check_jobs(town: Town) -> None:
    """One job for each submission; each done once, with its own result and its own log."""
    jobs = {stored.id: stored.body for stored in town.jobs()}
    assert set(jobs) == set(town.uuids.values())
    assert len(town.uuids) == JOBS
    for number, uuid in town.uuids.items():
        job = jobs[uuid]
        whats = Counter(line["what"] for line in job["history"])
        assert (job["state"], whats["done"], whats["submitted"], job["lease"]) == ("done", 1, 1, None), job
        [file] = job["result"]["files"]
        assert town.blobs.read(file["sha256"]) == f"the result of number {number}".encode()
        assert job["result"]["summary"] == {"number": number}
    for uuid, seen in town.first_seen.items():
        assert seen == {name: jobs[uuid][name] for name in seen}


def check_nothing_is_left(town: Town) -> None:
    def queue_is_empty() -> bool:
        stats = town.scheduler._queue.stats()
        states = ("ready", "reserved", "delayed", "buried")
        return sum(int(stats[f"current-jobs-{state}"]) for state in states) == 0

    # Entries of jobs that are over come back when their last delay has run out, and are deleted then.
    until(queue_is_empty, CLEAN_SECONDS, "the queue is empty")
    town.scheduler.maintenance.recover()
    town.scheduler.maintenance.sweep()
    assert [tube for tube in town.scheduler._queue.tubes() if tube.startswith("log.")] == []
    assert town.documents.search("job_logs", Query(size=1)).total == 0
    jobs = [stored.body for stored in town.jobs()]
    assert [job["uuid"] for job in jobs if job["garbage"]] == []
    for job in jobs:
        assert f"number {job['settings']['number']}\n" in town.scheduler.log_text(job["uuid"])
    assert set(town.blobs.sha256s()) == {town.package, *(sha256 for job in jobs for sha256 in job["blobs"])}
    until(lambda: not list(town.settings.workers_folder.glob("*/jobs/*")), CLEAN_SECONDS, "no job folder is left")
    until(lambda: not strays(town), CLEAN_SECONDS, "no process has outlived its parent")


def strays(town: Town) -> list[psutil.Process]:
    """Processes at home in the town's folder that no living part has started."""
    known = {process.pid for part in town.storm.parts for process in part.family()}
    found = []
    for process in psutil.process_iter():
        try:
            at_home = str(town.settings.data) in (process.cwd(), *process.cmdline()) or process.cwd().startswith(
                str(town.settings.workers_folder)
            )
        except psutil.Error:
            continue
        if at_home and process.pid not in known:
            found.append(process)
    return found


def report(town: Town, seconds: float, done_in_the_storm: int) -> None:
    whats = Counter(line["what"] for stored in town.jobs() for line in stored.body["history"])
    print(
        f"\n{JOBS} jobs, {WORKERS} workers, {REPLICAS} replicas, seed {SEED}: {SECONDS:g} s of storm, {seconds:.0f} s"
    )
    print(f"{done_in_the_storm} done within the storm; {JOBS / seconds:.1f} jobs/s; {whats['started']} attempts begun")
    print("blows:", ", ".join(f"{count} {name}" for name, count in town.storm.blows.most_common()))
    print("history:", ", ".join(f"{count} {what}" for what, count in whats.most_common()))
