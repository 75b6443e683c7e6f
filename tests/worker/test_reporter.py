"""The reporter: how often it posts, what of the log it keeps, and how it tells that a job is over."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest
from plant import TOKEN, Plant, until

from scheduler.contract import Claim, Progress, ReserveRequest
from worker.client import JobOver, SchedulerClient
from worker.reporter import CUT, LOG_CHUNK, Reporter

Report = Callable[..., Reporter]


class CountingClient(SchedulerClient):
    """The real client, counting."""

    posts = 0

    def progress(self, uuid: str, lease: str, progress: Progress) -> None:
        super().progress(uuid, lease, progress)
        self.posts += 1


@pytest.fixture
def client(lasting_plant: Plant) -> Iterator[CountingClient]:
    client = CountingClient(lasting_plant.server, TOKEN)
    yield client
    client.close()


@pytest.fixture
def claim(lasting_plant: Plant, client: CountingClient) -> Iterator[Claim]:
    lasting_plant.submit()
    claim = client.reserve(ReserveRequest("tester"))
    assert claim is not None
    yield claim
    lasting_plant.scheduler.cancel(claim.uuid)


@pytest.fixture
def woken() -> threading.Event:
    return threading.Event()


@pytest.fixture
def report(client: CountingClient, claim: Claim, woken: threading.Event) -> Iterator[Report]:
    started = []

    def start(log_bytes: int = 2**20) -> Reporter:
        started.append(Reporter(client, claim, woken.set, log_bytes))
        return started[-1]

    yield start
    for reporter in started:
        reporter.finish()
        reporter.join()


def test_progress_is_posted_at_most_five_times_a_second_and_the_last_arrives(
    lasting_plant: Plant, client: CountingClient, claim: Claim, report: Report
) -> None:
    reporter = report()
    started = time.monotonic()
    for step in range(100):
        reporter.progress(Progress("inferring", step / 100, f"tile {step}"))
        time.sleep(0.01)
    until(lambda: lasting_plant.job(claim.uuid)["progress"]["message"] == "tile 99", 2)
    assert client.posts <= 5 * (time.monotonic() - started) + 2


def test_a_silent_job_is_heard_of_every_second(client: CountingClient, report: Report) -> None:
    report()
    time.sleep(2.3)
    assert client.posts >= 2


def test_a_cancelled_job_is_noticed_within_about_a_second(
    lasting_plant: Plant, claim: Claim, report: Report, woken: threading.Event
) -> None:
    reporter = report()
    until(lambda: lasting_plant.job(claim.uuid)["state"] == "running", 3)
    lasting_plant.scheduler.cancel(claim.uuid)
    assert woken.wait(2)
    assert isinstance(reporter.ended, JobOver)


def test_the_log_arrives_clean_in_order_and_once(lasting_plant: Plant, claim: Claim, report: Report) -> None:
    reporter = report()
    reporter.log("first \x1b[31mred\x1b[0m\x00 line\n")
    reporter.log("x" * (2 * LOG_CHUNK) + "\nlast line\n")
    until(lambda: "last line" in lasting_plant.scheduler.log_text(claim.uuid), 3)
    text = lasting_plant.scheduler.log_text(claim.uuid)
    assert text.startswith("first red line\nxxx")
    assert text.count("x") == 2 * LOG_CHUNK


def test_a_flood_is_cut(claim: Claim) -> None:
    away = SchedulerClient("http://127.0.0.1:9", TOKEN)
    reporter = Reporter(away, claim, lambda: None, 1000)
    reporter.log("ä" * 400)
    reporter.log("b" * 400)
    reporter.log("c" * 10**6)
    reporter.finish()
    reporter.join()
    away.close()
    assert "".join(part for _, part in reporter.take_log()) == "ä" * 400 + "b" * 200 + CUT
