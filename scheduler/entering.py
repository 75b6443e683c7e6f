"""Into the queue: an entry for a job's document, and where it lies written down in the document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scheduler import leases
from scheduler.clock import now
from scheduler.contract import FINAL_STATES
from scheduler.entry import Entry
from scheduler.jobs import Body, Jobs, Transition, handle_of, set_handle
from scheduler.queue import Handle, Put, Queue
from scheduler.tokens import Tokens
from zoo.documents import Stored
from zoo.errors import ZooscopeError


def put_entry(queue: Queue, tokens: Tokens, jobs: Jobs, body: Mapping[str, Any]) -> Stored:
    """Queue the job of this document, delayed while a lease on it lives, and write down where its entry lies; returns
    the document as it is then.

    Another entry that was queued meanwhile wins; the claim that meets the loser deletes it.
    """
    put = _entry(tokens, body)
    handle = queue.put(put.tube, put.body, put.priority, put.delay, stays=True)
    return jobs.change(body["uuid"], _entered(body, handle))


def put_entries(queue: Queue, tokens: Tokens, jobs: Jobs, stored: Sequence[Stored]) -> list[Stored | ZooscopeError]:
    """As `put_entry` for documents as they were just written, together; QueueDown or QueueDraining stands in the place
    of those for which beanstalkd took no entry.
    """
    puts = [_entry(tokens, one.body) for one in stored]
    handles = queue.put_all(puts)
    pairs = list(zip(stored, handles, strict=True))
    changes = [(one, _entered(one.body, handle)) for one, handle in pairs if isinstance(handle, Handle)]
    changed = iter(jobs.change_all(changes))
    return [next(changed) if isinstance(handle, Handle) else handle for _, handle in pairs]


def _entry(tokens: Tokens, body: Mapping[str, Any]) -> Put:
    place = body["queue"]
    entry = Entry(body["uuid"], body["kind"], place["tube"], body["attempt"], tokens.make(body))
    return Put(place["tube"], entry.to_bytes(), place["priority"], leases.remaining(body, now()))


def _entered(known: Mapping[str, Any], handle: Handle) -> Transition:
    """Write down where the entry lies, unless another one was queued or the job ended since the body was `known`."""
    before = handle_of(known)

    def enter(body: Body) -> bool | None:
        if handle_of(body) != before or body["state"] in FINAL_STATES:
            return False
        set_handle(body, handle)
        return None

    return enter
