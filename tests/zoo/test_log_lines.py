"""Lines of the log: one each, in either form, naming the job they are about."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from zoo.log_lines import about_job, begin, in_this_context, now_about

UUID, OTHER = "0123456789abcdef" * 2, "fedcba9876543210" * 2
log = logging.getLogger("zooscope.test")


@pytest.fixture(autouse=True)
def root() -> Iterator[None]:
    """The root logger as it was, and this thread about no job."""
    logger = logging.getLogger()
    handlers, level = list(logger.handlers), logger.level
    yield
    logger.handlers[:] = handlers
    logger.setLevel(level)
    now_about("")


def said(form: str) -> io.StringIO:
    out = io.StringIO()
    begin("web", form, out)
    return out


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_json_lines_say_when_who_and_what() -> None:
    out = said("json")
    log.warning("half of %d", 7)
    [line] = lines(out)
    assert line.pop("time").endswith("Z")
    assert line == {"level": "warning", "service": "web", "logger": "zooscope.test", "message": "half of 7"}


def test_a_line_names_the_job_of_its_context_its_own_or_that_of_its_sentence() -> None:
    out = said("json")
    log.info("before")
    with about_job(UUID):
        log.info("within")
        log.info("of another", extra={"job": OTHER})
    log.info("Job %s: told in words", UUID)
    log.info("after")
    assert [line.get("job") for line in lines(out)] == [None, UUID, OTHER, UUID, None]


def test_a_thread_takes_the_job_along_only_when_told_to() -> None:
    out = said("json")
    with about_job(UUID):
        for call in (lambda: log.info("x"), in_this_context(lambda: log.info("x"))):
            thread = threading.Thread(target=call)
            thread.start()
            thread.join()
    assert [line.get("job") for line in lines(out)] == [None, UUID]


def test_an_exception_is_part_of_its_line() -> None:
    out = said("json")
    try:
        raise ValueError("a\nb")
    except ValueError:
        log.exception("It broke.")
    [line] = lines(out)
    assert line["message"] == "It broke."
    assert line["error"].endswith("ValueError: a\nb")


def test_text_lines_cannot_be_forged_and_name_the_job_once() -> None:
    out = said("text")
    with about_job(UUID):
        log.info("a\n2026-01-01 00:00:00 web: forged")
        log.warning("Job %s: lost", UUID)
    first, second = out.getvalue().splitlines()
    assert first.endswith(rf" web: a\n2026-01-01 00:00:00 web: forged [job {UUID}]")
    assert second.endswith(f" web warning: Job {UUID}: lost")


def test_what_cannot_be_written_does_not_break_the_log() -> None:
    out = said("json")
    log.info("half a pair: \ud800")
    assert lines(out)[0]["message"] == "half a pair: ?"


def test_beginning_again_replaces_the_first_beginning() -> None:
    first, second = said("text"), said("json")
    log.info("once")
    assert first.getvalue() == ""
    assert len(lines(second)) == 1
