"""Into the queue: an entry for a job, and where it lies written down in the job's document."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from scheduler import leases
from scheduler.clock import now
from scheduler.contract import FINAL_STATES
from scheduler.entry import Entry
from scheduler.jobs import Body, Jobs, Transition, handle_of, set_handle
from scheduler.queue import Handle, Put, Queue, QueueDown
from scheduler.tokens import Tokens
from zoo.documents import Stored
from zoo.errors import ZooscopeError

log = logging.getLogger(__name__)

# For so long an entry waits for its job's document, longer than any transaction takes that does not fail.
WAIT_SECONDS = 20.0


def put_entry(queue: Queue, tokens: Tokens, jobs: Jobs, body: Mapping[str, Any]) -> Stored:
    """Queue the job of this document, delayed while a lease on it lives, and write down where its entry lies; returns
    the document as it is then.

    Another entry that was queued meanwhile wins; the claim that meets the loser deletes it.
    """
    put = _entry(tokens, body, leases.remaining(body, now()))
    handle = queue.put(put.tube, put.body, put.priority, put.delay, stays=True)
    return jobs.change(body["uuid"], _entered(body, handle))


def put_waiting(queue: Queue, tokens: Tokens, bodies: Sequence[Body]) -> list[Body | ZooscopeError]:
    """Queue entries for jobs that have no documents yet, which wait for those, and write into the bodies where they
    lie; QueueDown or QueueDraining stands in the place of one for which beanstalkd took no entry.
    """
    outcomes: list[Body | ZooscopeError] = []
    handles = queue.put_all([_entry(tokens, body, WAIT_SECONDS) for body in bodies])
    for body, handle in zip(bodies, handles, strict=True):
        if isinstance(handle, Handle):
            set_handle(body, handle)
        outcomes.append(body if isinstance(handle, Handle) else handle)
    return outcomes


def hand_out(queue: Queue, stored: Sequence[Stored | ZooscopeError]) -> None:
    """The entries of those that have their documents now need not wait any more."""
    handles = [handle for one in stored if isinstance(one, Stored) and (handle := handle_of(one.body))]
    # A queue that took none is not asked again, which may last as long as the first time.
    if handles:
        with _later():
            queue.stop_waiting(handles)


def take_back(queue: Queue, bodies: Sequence[Body]) -> None:
    """The entries of bodies that became no documents vanish."""
    with _later():
        for body in bodies:
            queue.delete(handle_of(body), body["uuid"])


@contextlib.contextmanager
def _later() -> Iterator[None]:
    """Entries stop waiting by themselves, and a claim deletes those without a job."""
    try:
        yield
    except QueueDown as error:
        log.warning("queue entries go on waiting for up to %.0f s: %s", WAIT_SECONDS, error)


def _entry(tokens: Tokens, body: Mapping[str, Any], delay: float) -> Put:
    place = body["queue"]
    entry = Entry(body["uuid"], body["kind"], place["tube"], body["attempt"], tokens.make(body))
    return Put(place["tube"], entry.to_bytes(), place["priority"], delay)


def _entered(known: Mapping[str, Any], handle: Handle) -> Transition:
    """Write down where the entry lies, unless another one was queued or the job ended since the body was `known`."""
    before = handle_of(known)

    def enter(body: Body) -> bool | None:
        if handle_of(body) != before or body["state"] in FINAL_STATES:
            return False
        set_handle(body, handle)
        return None

    return enter
