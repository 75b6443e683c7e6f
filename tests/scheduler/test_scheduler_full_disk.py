"""beanstalkd whose binlog has no room left: on a small file system of its own, which goes when it ends.

Measured with 1.12: a put is refused and harms nothing; but what is released with a delay, or buried, when there is no
room is forgotten by beanstalkd: reserved by nobody, until it is restarted. Every claim ends in such a release.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import greenstalk
import pytest
from dying_scheduler import Ahead
from scheduler_parts import Brokers, Parts, Worker, free_port

from scheduler import clock, contract
from scheduler.broker import BrokerFailed, start_beanstalkd
from scheduler.jobs import handle_of
from scheduler.queue import QueueFull
from zoo.settings import Settings

NewWorker = Callable[[str], Worker]
BINLOG_BYTES = 2**16
FILLER, LONG = "filler", 100_000


def beanstalkd_on(kib: int, folder: Path) -> str:
    """A program that mounts a file system of `kib` KiB in a namespace of its own and becomes beanstalkd there."""
    unshare = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--mount"]
    if shutil.which("unshare") is None or subprocess.run([*unshare, "true"], check=False).returncode:
        pytest.skip("A full disk needs a small file system: run as root, or where user namespaces are allowed.")
    program = folder / f"beanstalkd-on-{kib}-kib"
    program.write_text(
        f"""#!/bin/sh
exec {" ".join(unshare)} sh -c '
    mount -t tmpfs -o size={kib}k tmpfs "{folder}/data/queue" && exec beanstalkd "$@" -s {BINLOG_BYTES}' sh "$@"
"""
    )
    program.chmod(0o700)
    return str(program)


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    return settings.replace(beanstalkd_binary=beanstalkd_on(300, tmp_path))


@pytest.fixture
def ahead() -> Iterator[Ahead]:
    ahead = Ahead()
    with clock.replaced(ahead):
        yield ahead


@dataclass
class Disk:
    """beanstalkd's small file system, seen through the process whose own it is."""

    brokers: Brokers
    bare: greenstalk.Client

    @property
    def ballast(self) -> Path:
        assert self.brokers.running is not None
        folder = self.brokers.settings.queue_folder
        return Path(f"/proc/{self.brokers.running.process.pid}/root{folder}/ballast")

    def fill(self) -> None:
        """Until there is room neither for a new file nor for a word in the last one."""
        with contextlib.suppress(OSError), self.ballast.open("wb", buffering=0) as ballast:
            while ballast.write(bytes(1024)):
                pass
        self.bare.use(FILLER)
        with contextlib.suppress(greenstalk.OutOfMemoryError):
            while True:
                self.bare.put(b"x" * 1000)
        self.bare.watch(FILLER)
        with contextlib.suppress(greenstalk.OutOfMemoryError):
            while True:
                self.bare.release(self.bare.reserve(timeout=0), delay=LONG)
        self.bare.ignore(FILLER)
        self.bare.use("default")

    def make_room(self) -> None:
        self.ballast.unlink()


@pytest.fixture
def disk(brokers: Brokers, bare: greenstalk.Client) -> Disk:
    return Disk(brokers, bare)


def test_new_jobs_are_refused_and_accepted_ones_done(
    parts: Parts, worker: Worker, disk: Disk, new_worker: NewWorker
) -> None:
    running, waiting = parts.submit("ada", estimate_seconds=30.0), parts.submit("ben", estimate_seconds=30.0)
    claim = worker.begin()
    disk.fill()
    with pytest.raises(QueueFull) as refused:
        parts.submit("cid")
    assert (refused.value.status, refused.value.code) == (503, "queue-full")
    assert parts.scheduler.jobs_of("cid").total == 0
    assert parts.scheduler.status()["beanstalkd"] == "ok"
    assert worker.say(contract.LOG, claim, sequence=0, text="on a full disk\n").status_code == 200
    assert worker.finish(claim).status_code == 200
    other = new_worker("w2")
    assert other.finish(other.begin()).status_code == 200
    assert {parts.job(uuid)["state"] for uuid in (running, waiting)} == {"done"}
    assert parts.scheduler.log_text(running) == "on a full disk\n"


@pytest.mark.parametrize("last_act", ["claim", "start", "extend", "fail"])
def test_what_beanstalkd_forgot_comes_back_when_there_is_room(
    parts: Parts, worker: Worker, disk: Disk, new_worker: NewWorker, ahead: Ahead, last_act: str
) -> None:
    uuid = parts.submit()
    claim = None if last_act == "claim" else worker.claim() if last_act == "start" else worker.begin()
    disk.fill()
    if last_act == "claim":
        worker.claim()
    elif claim is not None:
        said = {"code": "boom", "message": "It broke.", "retry": True} if last_act == "fail" else {}
        template = {"start": contract.START, "extend": contract.EXTEND, "fail": contract.FAIL}[last_act]
        assert worker.say(template, claim, **said).status_code == 200
    handle = handle_of(parts.job(uuid))
    assert handle is not None
    assert disk.bare.stats_job(handle.job_id)["state"] == "reserved"
    assert disk.bare.stats()["current-jobs-reserved"] == 0, "by nobody"

    ahead.seconds += 100.0  # the worker is gone, its lease ran out
    let_the_reservation_run_out(parts, disk.bare, handle.job_id)
    parts.scheduler.maintenance.recover()
    assert new_worker("w2").reserve() is None, "there is no room to queue it again, and that harms nobody"
    disk.make_room()
    parts.scheduler.maintenance.recover()
    other = new_worker("w2")
    assert other.finish(other.begin()).status_code == 200
    assert parts.job(uuid)["state"] == "done"


def let_the_reservation_run_out(parts: Parts, bare: greenstalk.Client, job_id: int) -> None:
    """A minute later, that is, the time that beanstalkd gives a reservation."""
    look = parts.scheduler._queue.look

    def a_minute_later(*whose: object) -> object:
        lies = look(*whose)  # type: ignore[arg-type]
        if lies is None or lies.state != "reserved":
            return lies
        return type(lies)(lies.state, lies.seconds_left - 61.0)

    assert bare.stats_job(job_id)["time-left"] >= 0
    parts.scheduler._queue.look = a_minute_later  # type: ignore[method-assign, assignment]


def test_a_job_that_fails_for_the_last_time_can_be_kicked_though_it_could_not_be_buried(
    parts: Parts, worker: Worker, disk: Disk
) -> None:
    uuid = parts.submit()
    failure = {"code": "boom", "message": "It broke.", "retry": True}
    assert worker.say(contract.FAIL, worker.begin(), **failure).status_code == 200
    claim = worker.begin()
    disk.fill()
    assert worker.say(contract.FAIL, claim, **failure).json == {"state": "failed"}
    assert disk.bare.stats()["current-jobs-buried"] == 0
    disk.make_room()
    parts.scheduler.kick(uuid)
    assert worker.finish(worker.begin()).status_code == 200


def test_started_on_a_full_disk_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "data" / "queue").mkdir(parents=True)
    settings = Settings(data=tmp_path / "data", beanstalkd_binary=beanstalkd_on(16, tmp_path))
    with pytest.raises(BrokerFailed) as failed:
        start_beanstalkd(settings, free_port())
    assert "disk" in failed.value.hint
