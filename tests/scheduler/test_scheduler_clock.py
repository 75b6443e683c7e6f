"""A clock that is set forward or back: beanstalkd's own, in a real beanstalkd, and the scheduler's.

beanstalkd measures delays by the wall clock, so a step moves every one of them. It is given its clock by a few lines
of C (stepping_clock.c); where there is no C compiler, what a step does to the entries is done to them by hand.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import greenstalk
import pytest
from dying_scheduler import Ahead
from scheduler_parts import Brokers, Parts, Worker

from scheduler import clock, contract
from scheduler.jobs import handle_of
from scheduler.leases import LONGEST_RETRY_SECONDS

NewWorker = Callable[[str], Worker]
Step = Callable[[int], None]
HOUR = 3600


@pytest.fixture
def ahead() -> Iterator[Ahead]:
    ahead = Ahead()
    with clock.replaced(ahead):
        yield ahead


def real_step(brokers: Brokers, monkeypatch: pytest.MonkeyPatch, folder: Path) -> Step:
    """Start beanstalkd again with a clock that is set through a file."""
    library, stepped = folder / "stepping_clock.so", folder / "ahead"
    source = Path(__file__).with_name("stepping_clock.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True)
    brokers.kill()
    with monkeypatch.context() as environment:
        environment.setenv("LD_PRELOAD", str(library))
        environment.setenv("STEPPED_CLOCK", str(stepped))
        brokers.start()
    return lambda seconds: (stepped.write_text(str(seconds)), None)[1]


def step_by_hand(brokers: Brokers) -> Step:
    """Delays run out, or last longer by the step."""

    def step(seconds: int) -> None:
        with brokers.client() as bare:
            bare.use("zooscope.preview")
            while bare.stats_tube("zooscope.preview")["current-jobs-delayed"]:
                job = bare.peek_delayed()
                if seconds > 0:
                    bare.kick_job(job)
                else:
                    left = bare.stats_job(job)["time-left"]
                    bare.release(bare.reserve_job(job.id), priority=0, delay=left - seconds)
                    return

    return step


@pytest.fixture(params=["really", "by hand"])
def step(request: pytest.FixtureRequest, brokers: Brokers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Step:
    if request.param == "by hand":
        return step_by_hand(brokers)
    if shutil.which("cc") is None:
        pytest.skip("There is no C compiler (cc) to make beanstalkd's clock with; done by hand instead.")
    return real_step(brokers, monkeypatch, tmp_path)


def seconds_left(brokers: Brokers, parts: Parts, uuid: str) -> int:
    handle = handle_of(parts.job(uuid))
    assert handle is not None
    with brokers.client() as bare:
        return int(bare.stats_job(handle.job_id)["time-left"])


def test_set_forward_a_running_job_stays_with_its_worker(
    step: Step, brokers: Brokers, parts: Parts, new_worker: NewWorker
) -> None:
    uuid = parts.submit(estimate_seconds=30.0)
    worker = new_worker("w1")
    claim = worker.begin()
    step(HOUR)
    with brokers.client() as bare:
        assert bare.stats()["current-jobs-delayed"] == 0, "the entry is there for everybody to take"
    assert new_worker("w2").reserve() is None
    assert 25 <= seconds_left(brokers, parts, uuid) <= 31, "delayed again for what is left of the lease"
    assert worker.finish(claim).status_code == 200
    assert parts.job(uuid)["attempt"] == 1


def test_set_back_a_lost_workers_job_does_not_wait_for_the_clock_to_catch_up(
    step: Step, brokers: Brokers, parts: Parts, new_worker: NewWorker, ahead: Ahead
) -> None:
    uuid = parts.submit()
    new_worker("lost").begin()
    step(-HOUR)
    assert seconds_left(brokers, parts, uuid) > HOUR - 10
    ahead.seconds += 10.0  # its lease ran out
    parts.scheduler.maintenance.recover()
    again = new_worker("w2").claim()
    assert (again.uuid, again.attempt) == (uuid, 2)


def test_set_back_a_retry_does_not_wait_for_the_clock_to_catch_up(
    step: Step, brokers: Brokers, parts: Parts, worker: Worker
) -> None:
    uuid = parts.submit()
    assert worker.say(contract.FAIL, worker.begin(), code="boom", message="It broke.", retry=True).status_code == 200
    step(-HOUR)
    assert seconds_left(brokers, parts, uuid) > LONGEST_RETRY_SECONDS
    parts.scheduler.maintenance.recover()
    assert worker.claim().attempt == 2


def test_set_back_a_live_workers_entry_is_set_right_without_harm(
    step: Step, brokers: Brokers, parts: Parts, new_worker: NewWorker
) -> None:
    uuid = parts.submit(estimate_seconds=30.0)
    worker = new_worker("w1")
    claim = worker.begin()
    step(-HOUR)
    parts.scheduler.maintenance.recover()
    assert 25 <= seconds_left(brokers, parts, uuid) <= 31
    assert new_worker("w2").reserve() is None
    assert worker.say(contract.EXTEND, claim).status_code == 200
    assert worker.finish(claim).status_code == 200


def test_the_schedulers_clock_set_back_ends_a_lost_workers_lease_all_the_same(
    parts: Parts, new_worker: NewWorker, ahead: Ahead, bare: greenstalk.Client
) -> None:
    uuid = parts.submit(estimate_seconds=30.0)
    new_worker("lost").begin()
    ahead.seconds -= HOUR
    bare.use("zooscope.preview")
    bare.kick_job(bare.peek_delayed())
    assert new_worker("w2").reserve() is None, "it may be alive: the lease runs once more, from now"
    ahead.seconds += 31.0
    bare.kick_job(bare.peek_delayed())
    again = new_worker("w2").claim()
    assert (again.uuid, again.attempt) == (uuid, 2)


def test_the_schedulers_clock_set_back_takes_no_job_from_its_worker(
    parts: Parts, new_worker: NewWorker, ahead: Ahead
) -> None:
    waiting, running = parts.submit("ada"), parts.submit("ben", estimate_seconds=30.0)
    worker = new_worker("w1")
    claims = {claim.uuid: claim for claim in (worker.begin(), worker.begin())}
    assert worker.say(contract.RELEASE, claims[waiting]).status_code == 200
    ahead.seconds -= HOUR
    assert worker.say(contract.EXTEND, claims[running]).status_code == 200
    assert worker.finish(claims[running]).status_code == 200
    assert worker.claim().uuid == waiting, "its token is from the future, and good"
    assert parts.scheduler.status()["oldest_s"] == 0.0
