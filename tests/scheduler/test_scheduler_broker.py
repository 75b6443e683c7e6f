"""beanstalkd as a process of ours: started, found missing, found failing."""

from __future__ import annotations

from pathlib import Path

import greenstalk
import pytest
from scheduler_parts import free_port

from scheduler.broker import BrokerFailed, BrokerMissing, start_beanstalkd
from scheduler.connection import delay_seconds
from zoo.settings import Settings


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


def test_delays_are_whole_seconds_and_never_none() -> None:
    assert [delay_seconds(seconds) for seconds in (-1.0, 0.0, 0.2, 1.0, 1.1, 1e12)] == [1, 1, 1, 1, 2, 2**31]
