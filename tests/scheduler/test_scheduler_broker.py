"""beanstalkd as a process of ours: started, found missing, found failing; and the expected runtime of jobs."""

from __future__ import annotations

from pathlib import Path

import greenstalk
import pytest
from scheduler_parts import free_port

from scheduler.broker import BrokerFailed, BrokerMissing, start_beanstalkd
from scheduler.connection import delay_seconds
from scheduler.ert import UNMEASURED, estimate, lease_seconds
from zoo.settings import Settings

FIGURES = {"cpu": {"load_s": 2.0, "seconds_per_megapixel": 4.0}, "gpu": {"load_s": 3.0, "seconds_per_megapixel": 0.1}}


def test_it_answers_as_soon_as_it_is_started_and_keeps_its_jobs(tmp_path: Path) -> None:
    settings, port = Settings(data=tmp_path), free_port()
    for expected in (0, 1):
        broker = start_beanstalkd(settings, port)
        with greenstalk.Client(("127.0.0.1", port)) as client:
            assert client.stats()["current-jobs-ready"] == expected
            assert client.stats()["max-job-size"] == 65535
            client.put("a job")
        broker.stop()
        assert broker.process.returncode is not None
        broker.stop()
    assert list(settings.queue_folder.glob("binlog.*"))


def test_it_says_how_to_install_what_is_missing(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, beanstalkd_binary="no-such-beanstalkd")
    with pytest.raises(BrokerMissing) as missing:
        start_beanstalkd(settings, 1)
    assert "apt-get install beanstalkd" in missing.value.hint


def test_two_of_them_cannot_share_a_queue_folder(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    first = start_beanstalkd(settings, free_port())
    try:
        with pytest.raises(BrokerFailed):
            start_beanstalkd(settings, free_port())
    finally:
        first.stop()


def test_the_estimate_follows_size_passes_and_warmth() -> None:
    settings = Settings(ert_floor_seconds=10.0, ert_slack=3.0)
    cold = estimate(FIGURES, 2.0, 1, settings=settings)
    assert (cold.seconds, cold.load_s, cold.ert_seconds) == (10.0, 2.0, 30.0)
    warm = estimate(FIGURES, 2.0, 1, warm=True, settings=settings)
    assert (warm.seconds, warm.load_s, warm.ert_seconds) == (8.0, 0.0, 30.0)
    assert estimate(FIGURES, 2.0, 8, settings=settings).seconds == 66.0


def test_the_estimate_knows_devices() -> None:
    assert estimate(FIGURES, 10.0, 1, device="gpu:1").seconds == 4.0
    assert estimate({"cpu": FIGURES["cpu"]}, 1.0, 1, device="gpu:0").seconds == 6.0
    unmeasured = estimate({}, 1.0, 1)
    assert unmeasured.seconds == UNMEASURED["load_s"] + UNMEASURED["seconds_per_megapixel"]


def test_a_lease_has_a_floor() -> None:
    settings = Settings(ert_floor_seconds=10.0, ert_slack=3.0)
    assert lease_seconds(0.0, settings) == 10.0
    assert estimate(FIGURES, 0.0, 0, settings=settings).ert_seconds == 10.0


def test_delays_are_whole_seconds_and_never_none() -> None:
    assert [delay_seconds(seconds) for seconds in (-1.0, 0.0, 0.2, 1.0, 1.1, 1e12)] == [1, 1, 1, 1, 2, 2**31]
