"""The log of the scheduler's own process: what enters a job's history, each line once and with the job's uuid."""

from __future__ import annotations

import logging

import pytest
from scheduler_parts import Parts, Worker

from scheduler import contract
from zoo.log_lines import job_of


def test_the_life_of_a_job_is_logged_with_its_uuid(
    parts: Parts, worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "scheduler.jobs")
    uuid = parts.submit(estimate_seconds=60.0)
    claim = worker.begin()
    for _ in range(2):
        worker.say(contract.FAIL, claim, code="boom", message="It broke.", hint="", retry=True)
    assert worker.finish(worker.begin()).status_code == 200
    told = [(job_of(record), record.getMessage().split(",")[0]) for record in caplog.records]
    assert told == [
        (uuid, "submitted"),
        (uuid, "started w1"),
        (uuid, "attempt failed It broke."),
        (uuid, "started w1"),
        (uuid, "done"),
    ]
