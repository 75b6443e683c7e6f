"""When a job will start and end: from running jobs, those before it, the workers, and what models really take."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scheduler_parts import Parts, Worker

from scheduler import clock, eta
from scheduler.capabilities import Needs
from scheduler.eta import Eta, Etas
from scheduler.forecast import Task
from tests.scheduler.test_scheduler_limits import NewWorker

GPU = {"device": "gpu", "gpu_memory_gb": 16}


class Hands:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.at = 1_800_000_000.0

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at


@pytest.fixture
def hands() -> Iterator[Hands]:
    hands = Hands()
    with clock.replaced(hands):
        yield hands


def online(parts: Parts, *names: str, **said: Any) -> None:
    for name in names:
        parts.scheduler.workers.waiting(name, device="cpu", models=[parts.package_sha256], kinds=["preview"], **said)


def eta_of(parts: Parts, uuid: str) -> Eta:
    """As somebody sees it who knows nothing before."""
    found = fresh(parts).of(parts.job(uuid), parts.scheduler.place(uuid))
    assert found is not None
    return found


def fresh(parts: Parts) -> Etas:
    scheduler = parts.scheduler
    return Etas(scheduler._jobs, scheduler._runtimes, scheduler.workers.present, scheduler.paused, parts.settings)


def test_without_a_worker_nobody_knows(parts: Parts, hands: Hands) -> None:
    uuid = parts.submit()
    assert eta_of(parts, uuid) == Eta(None, None, 0)
    online(parts, "w1")
    assert eta_of(parts, uuid) == Eta(0.0, 0.1, 1)


def test_a_worker_that_is_drained_or_cannot_run_it_does_not_count(parts: Parts, hands: Hands) -> None:
    uuid = parts.submit(requires=GPU, estimate_seconds=3.0)
    online(parts, "small")
    assert eta_of(parts, uuid) == Eta(None, None, 0)
    online(parts, "large", gpu_formats=["keras"], gpu_memory_gb=24.0)
    assert eta_of(parts, uuid) == Eta(0.0, 3.0, 1)
    parts.scheduler.workers.drain("large")
    assert eta_of(parts, uuid) == Eta(None, None, 0)


def test_jobs_are_told_one_after_the_other(parts: Parts, hands: Hands) -> None:
    uuids = []
    for owner, seconds in (("ada", 3.0), ("ada", 5.0), ("ben", 2.0)):
        uuids.append(parts.submit(owner, estimate_seconds=seconds))
        hands.at += 0.001
    online(parts, "w1")
    assert [eta_of(parts, uuid) for uuid in uuids] == [Eta(0.0, 3.0, 1), Eta(5.0, 10.0, 1), Eta(3.0, 5.0, 1)]
    online(parts, "w2")
    assert [eta_of(parts, uuid).end_s for uuid in uuids] == [3.0, 7.0, 2.0]


def test_a_running_job_comes_nearer_to_its_end_and_past_it_is_told_late(
    parts: Parts, new_worker: NewWorker, hands: Hands
) -> None:
    first, second = parts.submit(estimate_seconds=10.0), parts.submit(estimate_seconds=4.0)
    online(parts, "w1")
    worker = new_worker("w1")
    claim = worker.reserve(warm_models=[parts.package_sha256])
    assert claim is not None
    assert eta_of(parts, first) == Eta(0.0, 10.0, 1), "it is as good as started"
    worker.say("/jobs/{uuid}/start", claim)
    hands.at += 4.0
    assert eta_of(parts, first) == Eta(0.0, pytest.approx(6.0), 1)
    assert eta_of(parts, second) == Eta(pytest.approx(6.0), pytest.approx(10.0), 1)
    hands.at += 7.0
    assert eta_of(parts, first).end_s == pytest.approx(1.1)
    worker.say("/jobs/{uuid}/progress", claim, progress={"stage": "inferring", "fraction": 0.5, "message": ""})
    hands.at += 9.0
    assert eta_of(parts, first).end_s == pytest.approx(20.0), "as its progress says"


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=7))
def test_jobs_are_handed_out_in_the_order_that_was_told(parts: Parts, worker: Worker, owners: list[str]) -> None:
    online(parts, "w1")
    uuids = [parts.submit(owner, estimate_seconds=2.0) for owner in owners]
    told = sorted(uuids, key=lambda uuid: eta_of(parts, uuid).start_s or 0.0)
    for uuid in told:
        claim = worker.reserve(1.0)
        assert claim is not None
        assert claim.uuid == uuid
        parts.scheduler.cancel(uuid)


def test_loading_is_told_only_where_the_model_is_not_loaded(parts: Parts, hands: Hands) -> None:
    uuid = parts.submit(estimate_seconds=3.0, load_seconds=5.0)
    parts.scheduler.workers.waiting("cold", device="cpu", models=[])
    assert eta_of(parts, uuid) == Eta(0.0, 8.0, 1)
    online(parts, "warm")
    assert eta_of(parts, uuid) == Eta(0.0, 3.0, 2)


def test_what_finished_jobs_teach_counts_at_once_for_all_that_wait(parts: Parts, hands: Hands) -> None:
    uuid = parts.submit(estimate_seconds=100.0, work=2.0)
    online(parts, "w1")
    assert eta_of(parts, uuid).end_s == pytest.approx(100.0)
    for work in (1.0, 2.0, 3.0) * 5:
        parts.scheduler._runtimes.record(parts.package_sha256, "cpu", work, 0.5 + work, 0.0)
    assert eta_of(parts, uuid).end_s == pytest.approx(2.5, rel=0.1)


def test_whoever_has_as_many_running_as_they_may_is_told_to_wait_for_them(
    parts: Parts, new_worker: NewWorker, hands: Hands
) -> None:
    parts.settings = parts.settings.replace(running_per_owner=1)
    parts.restart()
    parts.submit("ada", estimate_seconds=10.0)
    second = parts.submit("ada", estimate_seconds=4.0)
    online(parts, "w1", "w2")
    claim = new_worker("w1").reserve(warm_models=[parts.package_sha256])
    assert claim is not None
    assert new_worker("w2").reserve(warm_models=[parts.package_sha256]) is None
    assert parts.job(second)["held"]
    assert eta_of(parts, second) == Eta(10.0, 14.0, 2)
    online(parts, "w2")


def test_behind_the_head_a_queue_is_reckoned_to_be_like_its_head(
    parts: Parts, hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eta, "HEAD", 5)
    uuids = [parts.submit(estimate_seconds=2.0) for _ in range(20)]
    online(parts, "w1")
    ends = [eta_of(parts, uuid).end_s for uuid in uuids]
    assert ends == [pytest.approx(2.0 * number) for number in range(1, 21)]


def test_before_submitting_it_is_told_as_it_will_be_afterwards(parts: Parts, hands: Hands) -> None:
    for owner in ("ada", "ada", "ben"):
        parts.submit(owner, estimate_seconds=3.0)
    online(parts, "w1")
    etas = fresh(parts)
    for owner in ("ada", "ben", "cy"):
        task = Task("", owner, "", parts.package_sha256, 0.0, 4.0, 1.0)
        told, place = etas.of_new("preview", Needs(), etas.priority("preview", owner), task)
        uuid = parts.submit(owner, estimate_seconds=4.0)
        hands.at += 0.001
        assert parts.scheduler.place(uuid) == place
        assert eta_of(parts, uuid) == told
        parts.scheduler.cancel(uuid)


def test_a_job_newer_than_the_picture_is_told_all_the_same(parts: Parts, hands: Hands) -> None:
    """Pictures cost time; when they have cost enough, an older one must do."""
    online(parts, "w1")
    parts.submit(estimate_seconds=3.0)
    etas = fresh(parts)
    etas.of_new("preview", Needs(), 0, Task("", "x", "", parts.package_sha256, 0.0, 1.0, 0.0))
    etas._allowance = -1e9
    uuids = [parts.submit(estimate_seconds=3.0) for _ in range(3)]
    told = [etas.of(parts.job(uuid), parts.scheduler.place(uuid)) for uuid in uuids]
    assert told == [Eta(3.0 * place, 3.0 * place + 3.0, 1) for place in (1, 2, 3)]


def test_nobody_waits_for_a_picture_that_another_takes(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    online(parts, "w1")
    uuid = parts.submit(estimate_seconds=3.0)
    etas = fresh(parts)
    assert etas.of(parts.job(uuid)) == Eta(pytest.approx(0.0), pytest.approx(3.0), 1)
    taking, go_on = threading.Event(), threading.Event()
    take = etas._take

    def take_slowly() -> Any:
        taking.set()
        go_on.wait(10)
        return take()

    monkeypatch.setattr(etas, "_take", take_slowly)
    newer = parts.submit("ben", estimate_seconds=3.0)
    other = threading.Thread(target=etas.of, args=(parts.job(newer),))
    other.start()
    assert taking.wait(10)
    assert etas.of(parts.job(uuid)) is not None
    go_on.set()
    other.join()


def test_a_pause_is_waited_for(parts: Parts, hands: Hands) -> None:
    uuid = parts.submit(estimate_seconds=3.0)
    online(parts, "w1")
    parts.scheduler.pause("preview", 60)
    assert eta_of(parts, uuid) == Eta(60.0, 63.0, 1, paused_s=60.0)
    hands.at += 20.0
    assert eta_of(parts, uuid) == Eta(40.0, 43.0, 1, paused_s=40.0)
    parts.scheduler.pause("preview", 0)
    assert eta_of(parts, uuid) == Eta(0.0, 3.0, 1)


def test_what_is_over_has_no_eta(parts: Parts, worker: Worker) -> None:
    uuid = parts.submit()
    worker.finish(worker.begin())
    assert fresh(parts).of(parts.job(uuid)) is None
