"""What the scheduler relies on in beanstalkd, shown on the real one and on the simulated one alike.

So what the stateful tests and the simulation find on the simulated one holds on the real one.
"""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import greenstalk
import pytest
from scheduler_parts import Brokers, free_port

from benchmarks.simulation.broker import SimulatedBroker
from benchmarks.simulation.clock import SimulatedClock
from benchmarks.simulation.queue import SimulatedQueue
from scheduler.connection import QueueDown, QueueDraining
from scheduler.entry import Entry
from scheduler.queue import Queue
from zoo.identifiers import new_uuid
from zoo.settings import Settings

PATIENCE_SECONDS = 20.0
POLL_SECONDS = 0.02

pytestmark = pytest.mark.usefixtures("machine")


class Machine(Protocol):
    """A beanstalkd to be put through it."""

    def client(self) -> greenstalk.Client: ...
    def queue(self) -> Queue: ...
    def restart(self, binlog: bool) -> None: ...
    def kill(self) -> None: ...
    def until(self, true: Callable[[], bool]) -> None: ...
    def next_job(self, client: greenstalk.Client) -> greenstalk.Job: ...


class Real:
    def __init__(self, folder: Path) -> None:
        self.settings = Settings(data=folder, beanstalkd=f"127.0.0.1:{free_port()}")
        self.brokers = Brokers(self.settings)
        self.brokers.start()

    def client(self) -> greenstalk.Client:
        return self.brokers.client()

    def queue(self) -> Queue:
        return Queue(self.settings.beanstalkd)

    def restart(self, binlog: bool) -> None:
        self.brokers.kill()
        self.brokers.start(binlog)

    def kill(self) -> None:
        self.brokers.kill()

    def until(self, true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not true():
            assert time.monotonic() < deadline, "it never came true"
            time.sleep(POLL_SECONDS)

    def next_job(self, client: greenstalk.Client) -> greenstalk.Job:
        return client.reserve(timeout=round(PATIENCE_SECONDS))


class Simulated:
    def __init__(self) -> None:
        self.clock = SimulatedClock()
        self.broker = SimulatedBroker(self.clock)

    def client(self) -> greenstalk.Client:
        return greenstalk.Client(self.broker.dial(), encoding=None)

    def queue(self) -> Queue:
        return SimulatedQueue(self.broker)

    def restart(self, binlog: bool) -> None:
        self.broker.kill()
        self.broker.start(binlog)

    def kill(self) -> None:
        self.broker.kill()

    def until(self, true: Callable[[], bool]) -> None:
        for _ in range(round(PATIENCE_SECONDS / POLL_SECONDS)):
            if true():
                return
            self.clock.advance(POLL_SECONDS)
        pytest.fail("it never came true")

    def next_job(self, client: greenstalk.Client) -> greenstalk.Job:
        self.until(lambda: self.broker.ready("default") > 0)
        return client.reserve(timeout=0)


@pytest.fixture(params=["real", "simulated"])
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Machine]:
    if request.param == "real" and shutil.which("beanstalkd") is None:
        pytest.fail("beanstalkd is not installed: apt-get install beanstalkd, or brew install beanstalkd.")
    machine: Machine = Real(tmp_path) if request.param == "real" else Simulated()
    yield machine
    machine.kill()


@pytest.fixture
def client(machine: Machine) -> Iterator[greenstalk.Client]:
    with machine.client() as client:
        yield client


@pytest.fixture
def other(machine: Machine) -> Iterator[greenstalk.Client]:
    with machine.client() as client:
        yield client


@pytest.fixture
def queue(machine: Machine) -> Iterator[Queue]:
    queue = machine.queue()
    yield queue
    queue.close()


def state(client: greenstalk.Client, id: int) -> str:
    return str(client.stats_job(id)["state"])


def test_the_smallest_priority_comes_first_then_the_oldest_over_all_tubes(client: greenstalk.Client) -> None:
    for tube, priority in (("a", 5), ("b", 3), ("a", 3), ("b", 9), ("a", 0)):
        client.use(tube)
        client.put(f"{tube}{priority}".encode(), priority=priority)
    client.watch("a")
    client.watch("b")
    assert [client.reserve(timeout=0).body for _ in range(5)] == [b"a0", b"b3", b"a3", b"a5", b"b9"]
    with pytest.raises(greenstalk.TimedOutError):
        client.reserve(timeout=0)


def test_a_reserved_job_belongs_to_its_connection(client: greenstalk.Client, other: greenstalk.Client) -> None:
    id = client.put(b"x")
    job = client.reserve(timeout=0)
    assert state(other, id) == "reserved"
    for command in (other.delete, other.touch, other.release, other.bury):
        with pytest.raises(greenstalk.NotFoundError):
            command(job)
    with pytest.raises(greenstalk.NotFoundError):
        other.reserve_job(id)
    client.touch(job)
    client.delete(job)
    with pytest.raises(greenstalk.NotFoundError):
        client.stats_job(id)


def test_a_delayed_job_belongs_to_nobody(client: greenstalk.Client, other: greenstalk.Client) -> None:
    id = client.put(b"x")
    job = client.reserve(timeout=0)
    client.release(job, delay=100)
    for command in (client.touch, client.bury, client.release):
        with pytest.raises(greenstalk.NotFoundError):
            command(job)
    taken = other.reserve_job(id)
    other.release(taken, delay=200)
    assert 100 < client.stats_job(id)["time-left"] <= 200
    client.delete(id)


def test_a_delay_ends_and_no_delay_is_ready_at_once(machine: Machine, client: greenstalk.Client) -> None:
    id = client.put(b"x", delay=1)
    assert state(client, id) == "delayed"
    machine.until(lambda: state(client, id) == "ready")
    client.release(client.reserve(timeout=0), delay=0)
    assert state(client, id) == "ready"


def test_a_reservation_ends_with_its_ttr(machine: Machine, client: greenstalk.Client, other: greenstalk.Client) -> None:
    id = client.put(b"x", ttr=1)
    job = client.reserve(timeout=0)
    # Not by asking again and again: beanstalkd 1.12 ends no reservation while others keep it busy.
    assert machine.next_job(other).id == id
    with pytest.raises(greenstalk.NotFoundError):
        client.release(job)
    assert other.stats_job(id)["timeouts"] == 1


def test_who_holds_a_job_about_to_time_out_is_warned(client: greenstalk.Client) -> None:
    client.put(b"x", ttr=1)
    client.reserve(timeout=0)
    with pytest.raises(greenstalk.DeadlineSoonError):
        client.reserve(timeout=0)


def test_a_lost_connection_makes_its_jobs_ready_also_between_reserve_job_and_release(
    machine: Machine, client: greenstalk.Client
) -> None:
    running, waiting = client.put(b"running", delay=100), client.put(b"waiting")
    with machine.client() as lost:
        lost.reserve(timeout=0)
        lost.reserve_job(running)
        assert [state(client, id) for id in (running, waiting)] == ["reserved", "reserved"]
    machine.until(lambda: [state(client, id) for id in (running, waiting)] == ["ready", "ready"])


def test_reserve_job_takes_what_is_ready_delayed_or_buried(client: greenstalk.Client) -> None:
    ids = [client.put(b"ready"), client.put(b"delayed", delay=100), client.put(b"buried")]
    client.bury(client.reserve_job(ids[2]))
    assert [state(client, id) for id in ids] == ["ready", "delayed", "buried"]
    for id in ids:
        client.reserve_job(id)
    with pytest.raises(greenstalk.NotFoundError):
        client.reserve_job(max(ids) + 1)


def test_a_kick_takes_the_buried_first_and_without_them_the_running(client: greenstalk.Client) -> None:
    running, buried = client.put(b"running", delay=100), client.put(b"buried")
    client.bury(client.reserve_job(buried))
    assert client.kick(10) == 1
    assert [state(client, id) for id in (running, buried)] == ["delayed", "ready"]
    assert client.kick(10) == 1
    assert state(client, running) == "ready"
    with pytest.raises(greenstalk.NotFoundError):
        client.kick_job(running)


def test_a_tube_is_gone_when_nobody_uses_it(client: greenstalk.Client) -> None:
    client.use("log.1")
    id = client.put(b"x")
    client.use("default")
    assert set(client.tubes()) == {"default", "log.1"}
    client.delete(id)
    assert client.tubes() == ["default"]


def test_a_paused_tube_hands_out_nothing_and_forgets_it_when_unused(
    machine: Machine, client: greenstalk.Client, other: greenstalk.Client
) -> None:
    with pytest.raises(greenstalk.NotFoundError):
        client.pause_tube("nothing", 10)
    client.watch("work")
    client.pause_tube("work", 100)
    client.use("work")
    client.put(b"x")
    with pytest.raises(greenstalk.TimedOutError):
        client.reserve(timeout=0)
    assert client.stats_tube("work")["pause-time-left"] > 0
    client.pause_tube("work", 0)
    machine.until(lambda: client.stats_tube("work")["pause-time-left"] == 0)
    client.delete(client.reserve(timeout=1))
    client.pause_tube("work", 100)
    client.use("default")
    client.ignore("work")
    other.watch("work")
    assert other.stats_tube("work")["pause-time-left"] == 0


def test_limits(client: greenstalk.Client) -> None:
    client.put(b"x" * 65_535)
    with pytest.raises(greenstalk.JobTooBigError):
        client.put(b"x" * 65_536)
    client.put(b"and the connection is still good")
    with pytest.raises(greenstalk.BadFormatError):
        client.use("a\u007fb")
    with pytest.raises(greenstalk.NotIgnoredError):
        client.ignore("default")
    # Last, because the bytes of the job are then taken for commands.
    with pytest.raises(greenstalk.BadFormatError):
        client.put(b"x", delay=2**32)


@pytest.mark.parametrize("binlog", [True, False])
def test_what_a_killed_beanstalkd_remembers(machine: Machine, binlog: bool) -> None:
    with machine.client() as client:
        before = client.stats()["id"]
        ids = [client.put(str(number).encode(), priority=number, delay=100 * (number == 1)) for number in range(6)]
        client.reserve_job(ids[2])
        client.release(client.reserve_job(ids[3]), priority=7, delay=100)
        # Neither taking a delayed job nor giving it back without delay is written down.
        client.release(client.reserve_job(ids[1]), delay=0)
        client.bury(client.reserve_job(ids[4]))
        client.delete(ids[5])
    machine.restart(binlog)
    with machine.client() as client:
        assert client.stats()["id"] != before
        if not binlog:
            assert client.stats()["current-jobs-ready"] + client.stats()["current-jobs-delayed"] == 0
            assert client.put(b"x") == 1
            return
        assert [state(client, id) for id in ids[:5]] == ["ready", "delayed", "ready", "delayed", "buried"]
        assert client.stats_job(ids[2])["reserves"] == 0
        assert client.stats_job(ids[3])["pri"] == 7
        with pytest.raises(greenstalk.NotFoundError):
            client.peek(ids[5])


def test_the_queue_puts_reserves_delays_and_deletes(machine: Machine, queue: Queue, client: greenstalk.Client) -> None:
    uuid = new_uuid()
    handle = queue.put("work", Entry(uuid, "preview", "preview", 0, "t").to_bytes(), 5)
    with queue.reserving(["work"], 0) as reserved:
        assert reserved is not None
        assert reserved.handle == handle
        assert queue.state(handle, uuid) == "reserved"
        assert not queue.delay_again(handle, uuid, 50)
        reserved.release(100)
    assert queue.state(handle, uuid) == "delayed"
    assert queue.delay_again(handle, uuid, 200)
    assert client.stats_job(handle.job_id)["time-left"] > 100
    assert client.stats_job(handle.job_id)["pri"] == 5
    assert queue.state(handle, new_uuid()) is None
    assert not queue.delete(replace(handle, broker="an earlier run"), new_uuid())
    assert queue.bury(handle, uuid)
    assert queue.delete(handle, uuid)


def test_what_is_left_unsettled_is_ready_again(machine: Machine, queue: Queue) -> None:
    uuid = new_uuid()
    handle = queue.put("work", Entry(uuid, "preview", "preview", 0, "t").to_bytes(), 5)

    def reserve_and_fail() -> None:
        with queue.reserving(["work"], 0) as reserved:
            assert reserved is not None
            raise RuntimeError

    with pytest.raises(RuntimeError):
        reserve_and_fail()
    machine.until(lambda: queue.state(handle, uuid) == "ready")


def test_the_queue_outlives_a_restart_and_says_when_it_is_down(machine: Machine, queue: Queue) -> None:
    queue.put("work", b"x")
    machine.restart(True)
    queue.put("work", b"y")
    with queue.reserving(["work"], 0) as reserved:
        assert reserved is not None
        assert reserved.body == b"x"
        reserved.delete()
    machine.kill()
    with pytest.raises(QueueDown):
        queue.put("work", b"z")


def test_a_draining_beanstalkd_takes_no_more_but_hands_out(machine: Machine, queue: Queue) -> None:
    queue.put("work", b"x")
    if isinstance(machine, Real):
        assert machine.brokers.running is not None
        machine.brokers.running.process.send_signal(signal.SIGUSR1)
    elif isinstance(machine, Simulated):
        machine.broker.draining = True
    machine.until(lambda: queue.stats()["draining"] == "true")
    with pytest.raises(QueueDraining):
        queue.put("work", b"y")
    with queue.reserving(["work"], 0) as reserved:
        assert reserved is not None
        reserved.delete()
