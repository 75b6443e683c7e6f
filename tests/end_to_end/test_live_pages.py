"""A result's page hears of its job live, whatever becomes of the web server meanwhile."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from browser_visitor import Visitor
from made_results import SHAPES, HandWorker, files_of, summary_of
from playwright.sync_api import expect

from scheduler.contract import Progress

pytestmark = pytest.mark.slow

PICTURE = np.zeros((64, 64), np.uint8)


def web_server(data: Path) -> psutil.Process:
    """The process that serves this data folder."""
    for process in psutil.Process().children(recursive=True):
        # Browsers leave processes behind that have ended and are asked nothing any more.
        with contextlib.suppress(psutil.Error):
            ours = "web.serve" in process.cmdline() and process.environ().get("ZOOSCOPE_DATA") == str(data)
            if ours and process.children():
                return process
    raise AssertionError("no web server runs")


@contextlib.contextmanager
def listening(url: str, uuid: str, seen: str = "") -> Iterator[Iterator[dict[str, Any]]]:
    """The events of one connection, each with its fields, its data parsed."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
    connection.request("GET", f"/api/v1/jobs/{uuid}/events", headers={"Last-Event-ID": seen} if seen else {})
    with contextlib.closing(connection), connection.getresponse() as answer:
        yield events(answer)


def events(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    fields: dict[str, Any] = {}
    for line in lines:
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name:
            fields[name] = json.loads(value) if name == "data" else value
        elif "event" in fields:
            yield fields
            fields = {}


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "asked to stop"])
def test_a_stream_goes_on_after_the_server_was_restarted(hand_worker: HandWorker, end: int) -> None:
    url, made = hand_worker.url, SHAPES["regions"](64)
    uuid = hand_worker.submit(made.picture)
    lease = hand_worker.claim(uuid)
    with listening(url, uuid) as stream:
        seen = next(stream)["id"]
        os.kill(web_server(hand_worker.folder / "data").pid, end)
        with contextlib.suppress(http.client.IncompleteRead, ConnectionError):
            for event in stream:
                seen = event["id"]
    hand_worker.client.progress(uuid, lease, Progress("measuring", 0.95))
    with listening(url, uuid, seen) as stream:
        again = next(stream)
    assert again["data"]["progress"]["stage"] == "measuring"
    hand_worker.finish(uuid, lease, files_of(made), summary_of(made))
    with listening(url, uuid, again["id"]) as stream:
        [last] = stream
    assert last["data"]["state"] == "done"
    with listening(url, uuid, last["id"]) as stream:
        assert list(stream) == []


def test_a_page_outlives_a_restart_of_the_server(hand_worker: HandWorker, hand_visitor: Visitor) -> None:
    made = SHAPES["regions"](64)
    uuid = hand_worker.submit(made.picture)
    page = hand_visitor.open(f"/r/{uuid}")
    expect(page.locator("#result")).to_have_attribute("data-state", "queued")
    lease = hand_worker.claim(uuid)
    expect(page.locator("#waiting-sentence")).to_contain_text("Drawing the overlay")
    web_server(hand_worker.folder / "data").kill()
    expect(page.locator("#job-error")).to_contain_text("The connection is lost")
    hand_worker.client.progress(uuid, lease, Progress("measuring", 0.95))
    expect(page.locator("#waiting-sentence")).to_contain_text("Measuring objects")
    expect(page.locator("#job-error")).to_be_hidden()
    hand_worker.finish(uuid, lease, files_of(made), summary_of(made))
    expect(page.locator("#result")).to_have_attribute("data-state", "done")
    hand_visitor.complaints.clear()  # the browser notes the connection that was lost


def test_a_page_without_a_stream_asks_until_it_gets_one(hand_worker: HandWorker, hand_visitor: Visitor) -> None:
    uuid = hand_worker.submit(PICTURE)
    refused: list[str] = []

    def refuse_first(route: Any) -> None:
        refused.append(route.request.url)
        if len(refused) == 1:
            route.fulfill(status=502, body="the proxy is alone")
        else:
            route.continue_()

    hand_visitor.context.route("**/events", refuse_first)
    page = hand_visitor.open(f"/r/{uuid}")
    lease = hand_worker.claim(uuid)
    expect(page.locator("#waiting-sentence")).to_contain_text("Drawing the overlay")
    hand_worker.client.progress(uuid, lease, Progress("measuring", 0.95))
    expect(page.locator("#waiting-sentence")).to_contain_text("Measuring objects")
    assert len(refused) == 2
    hand_worker.client.release(uuid, lease)
    expect(page.locator("#result")).to_have_attribute("data-state", "queued")
    hand_visitor.complaints.clear()  # the browser notes the refusal
    # Nothing is left for the worker of the next test.
    hand_worker.client.fail(uuid, hand_worker.claim(uuid), "given-up", "The test is over.", retry=False)
