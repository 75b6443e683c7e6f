"""/jobs/<uuid>/events: a job's view as server-sent events, until it is over.

A page that gets no stream (too many are open, or a proxy swallows it) polls GET /jobs/<uuid> instead.
"""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from flask import Blueprint, Response, request, stream_with_context

from scheduler.contract import FINAL_STATES
from scheduler.jobs import JobMissing
from web import visitors
from web.api.jobs import known_job
from web.job_view import view, worth_telling
from web.service import Service, service
from zoo.errors import Unavailable
from zoo.turns import REQUESTS

blueprint = Blueprint("api_events", __name__)

# The longest wait in one go: also how often a waiting job's place is looked up and how soon a shutdown is noticed.
WAIT_SECONDS = 1.0
# A comment is sent at least this often, so that neither side takes the silence for a broken connection.
HEARTBEAT_SECONDS = 10.0
RETRY_MILLISECONDS = 2000


class TooManyStreams(Unavailable):
    code = "too-many-streams"


@blueprint.get("/jobs/<uuid>/events")
def stream_job(uuid: str) -> Response:
    parts, viewer = service(), visitors.known_visitor()
    job = known_job(uuid)
    if not parts.streams.acquire():
        raise TooManyStreams("Too many pages are watching live.", "Ask for the job itself every few seconds.")
    events = _stream(parts, job, viewer, request.headers.get("Last-Event-ID", ""))
    response = Response(stream_with_context(events), mimetype="text/event-stream")
    # Also called when the client leaves before the first event, when the generator never started.
    response.call_on_close(parts.streams.release)
    response.headers["X-Accel-Buffering"] = "no"
    return response


def _stream(parts: Service, job: dict[str, Any], viewer: str | None, seen: str) -> Iterator[str]:
    """Events while the job changes; a browser that reconnects and `seen` the latest one is not told it twice.

    Nothing is remembered of a stream: what an event's id says is enough for any replica, or a server started since.
    """
    yield f"retry: {RETRY_MILLISECONDS}\n\n"
    current = view(parts.scheduler, job, viewer)
    last = current if _event_id(job, current) == seen else None
    told = spoke = time.monotonic()
    while not parts.stopping():
        current = view(parts.scheduler, job, viewer)
        if last is None or worth_telling(last, current, time.monotonic() - told):
            yield f"event: job\nid: {_event_id(job, current)}\ndata: {json.dumps(current)}\n\n"
            last, told = current, time.monotonic()
            spoke = told
        if job["state"] in FINAL_STATES:
            return
        if time.monotonic() - spoke > HEARTBEAT_SECONDS:
            yield ": still here\n\n"
            spoke = time.monotonic()
        try:
            with REQUESTS.away():
                job = parts.scheduler.events.wait(job["uuid"], job["revision"], WAIT_SECONDS) or job
        except JobMissing:
            yield "event: gone\ndata: {}\n\n"
            return


def _event_id(job: Mapping[str, Any], shown: Mapping[str, Any]) -> str:
    """The revision, and a digest of what is shown of it: a place in the queue changes without the job."""
    return f"{job['revision']}.{zlib.crc32(json.dumps(shown).encode()):08x}"
