"""What Prometheus is told: the present from the documents, the past from what happened here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prometheus_client.parser import text_string_to_metric_families
from scheduler_parts import Brokers, Parts, Worker

from scheduler import contract


def scraped(parts: Parts) -> dict[tuple[str, ...], float]:
    """Each sample by its name and its labels' values."""
    text = parts.scheduler.metrics.text().decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {(sample.name, *sample.labels.values()): sample.value for sample in samples}


def test_the_present_is_told_by_kind(parts: Parts, worker: Worker) -> None:
    parts.submit("cy", kind="run")
    parts.submit("ada", estimate_seconds=60.0)
    worker.begin()
    parts.submit("ben")
    parts.scheduler.pause("run", 600)
    now = scraped(parts)
    assert now["zooscope_queued_jobs", "preview"] == 1
    assert now["zooscope_queued_jobs", "run"] == 1
    assert now["zooscope_running_jobs", "preview"] == 1
    assert now["zooscope_workers", "working"] == 1
    assert now["zooscope_workers", "draining"] == 0
    assert 590 < now["zooscope_paused_seconds", "run"] <= 600
    assert now["zooscope_paused_seconds", "preview"] == 0
    assert now["zooscope_queue_up",] == 1
    assert 0 <= now["zooscope_oldest_seconds", "preview"] < 60


def test_what_happened_is_counted_once(parts: Parts, worker: Worker) -> None:
    parts.submit(estimate_seconds=60.0)
    claim = worker.begin()
    assert worker.finish(claim).status_code == 200
    assert worker.result(claim, {"overlay.png": b"an overlay"}).status_code == 200
    parts.submit(estimate_seconds=60.0)
    claim = worker.begin()
    failure: dict[str, Any] = {"code": "boom", "message": "m", "hint": "", "retry": False}
    worker.say(contract.FAIL, claim, **failure)
    worker.say(contract.FAIL, claim, **failure)
    told = scraped(parts)
    assert told["zooscope_attempts_total", "preview", "done"] == 1
    assert told["zooscope_attempts_total", "preview", "failed"] == 1
    assert told["zooscope_failures_total", "boom"] == 1
    assert told["zooscope_wait_seconds_count", "preview"] == 2
    assert told["zooscope_ert_ratio_count",] == 1
    assert told["zooscope_ert_error_count", "preview"] == 1
    assert told["zooscope_ert_error_bucket", "preview", "4.0"] == 0, "it took far less than the expected minute"


def test_a_result_without_a_start_is_taken(parts: Parts, worker: Worker) -> None:
    uuid = parts.submit(work=2.0, estimate_seconds=60.0)
    assert worker.finish(worker.claim()).status_code == 200
    assert parts.job(uuid)["state"] == "done"
    assert scraped(parts)["zooscope_ert_ratio_count",] == 0


def test_a_job_handed_back_twice_is_counted_once(parts: Parts, worker: Worker) -> None:
    parts.submit(estimate_seconds=60.0)
    claim = worker.begin()
    for _ in range(2):
        assert worker.say(contract.RELEASE, claim).status_code == 200
    assert scraped(parts)["zooscope_attempts_total", "preview", "handed back"] == 1


def test_lost_and_buried_jobs_are_counted(parts: Parts, new_worker: Callable[[str], Worker]) -> None:
    parts.submit()
    new_worker("w1").begin()
    second = new_worker("w2")
    claim = second.begin(5.0)
    second.say(contract.FAIL, claim, code="boom", message="m", hint="", retry=True)
    told = scraped(parts)
    assert told["zooscope_attempts_total", "preview", "lost"] == 1
    assert told["zooscope_buried_jobs",] == 1


def test_a_queue_that_is_down_is_told_and_breaks_nothing(parts: Parts, brokers: Brokers) -> None:
    brokers.kill()
    assert scraped(parts)["zooscope_queue_up",] == 0
