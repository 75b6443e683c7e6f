"""Accepting jobs: limits, turns, documents, queue entries; for all who submit at the same time together.

First the entries, which wait; then the documents, which say where their entries lie, in one transaction; then the
entries need not wait any more. A crash in between leaves entries that are handed out late: those without a job are
deleted by the claim that meets them. Limits and turns count what is accepted earlier in the same group.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from scheduler.clock import now
from scheduler.entering import hand_out, put_waiting, take_back
from scheduler.fairness import last_turn, next_priority, turn_served
from scheduler.jobs import Body, JobRequest, Jobs, new_body
from scheduler.limits import Limits
from scheduler.queue import Queue
from scheduler.together import Together
from scheduler.tokens import Tokens
from zoo.document_fields import DocumentInvalid
from zoo.documents import Stored
from zoo.errors import UserError, ZooscopeError

Done = TypeVar("Done")


@dataclass(frozen=True)
class Draft:
    """A request that can be served, with the seconds of its lease and the bytes of its input."""

    request: JobRequest
    ert_seconds: float
    input_size: int


@dataclass
class _Group:
    """What was accepted before in a group, by owner and by address; the turn of each kind that is being served, and the
    last one of each kind and owner.
    """

    owners: Counter[str] = field(default_factory=Counter)
    addresses: Counter[str] = field(default_factory=Counter)
    served: dict[str, int | None] = field(default_factory=dict)
    turns: dict[tuple[str, str], int | None] = field(default_factory=dict)


class Accepting:
    """Takes submissions, those of one moment together.

    Replicas that take submissions of one owner at the very same time may give them the same turn.
    """

    def __init__(self, jobs: Jobs, queue: Queue, tokens: Tokens, limits: Limits) -> None:
        self._jobs = jobs
        self._queue = queue
        self._tokens = tokens
        self._limits = limits
        self._together: Together[Draft, Stored] = Together(self._accept)

    def accept(self, drafts: Sequence[Draft]) -> list[Stored | ZooscopeError]:
        """A queued job for each; TooManyJobs, DocumentExists or what the queue says in the place of one not accepted.

        Hold the blob lock, so that nobody takes the inputs for garbage.
        """
        return self._together.do(drafts)

    def _accept(self, drafts: Sequence[Draft]) -> list[Stored | ZooscopeError]:
        waiting = _each(self._bodies(drafts), lambda bodies: put_waiting(self._queue, self._tokens, bodies))
        try:
            stored = _each(waiting, self._stored)
        except ZooscopeError:
            take_back(self._queue, [one for one in waiting if not isinstance(one, ZooscopeError)])
            raise
        hand_out(self._queue, stored)
        return stored

    def _bodies(self, drafts: Sequence[Draft]) -> list[Body | ZooscopeError]:
        """The document to be of each that is within the limits."""
        group = _Group()
        outcomes: list[Body | ZooscopeError] = []
        for draft in drafts:
            try:
                outcomes.append(self._body(draft, group))
            except UserError as error:
                outcomes.append(error)
        return outcomes

    def _stored(self, bodies: Sequence[Body]) -> Sequence[Stored | ZooscopeError]:
        outcomes = self._created(bodies)
        refused = [body for body, outcome in zip(bodies, outcomes, strict=True) if isinstance(outcome, ZooscopeError)]
        take_back(self._queue, refused)
        return outcomes

    def _created(self, bodies: Sequence[Body]) -> Sequence[Stored | ZooscopeError]:
        try:
            return self._jobs.create_all(bodies)
        except DocumentInvalid as error:
            # Raised before any was written. What is wrong with one of them is not the others' fault.
            if len(bodies) == 1:
                return [error]
            return [outcome for body in bodies for outcome in self._created([body])]

    def _body(self, draft: Draft, group: _Group) -> Body:
        request = draft.request
        kind, owner, address = request.kind, request.owner, request.address
        mine = self._limits.check_submit(owner, address, group.owners[owner], group.addresses[address])
        group.owners[owner] += 1
        group.addresses[address] += 1
        if kind not in group.served:
            group.served[kind] = turn_served(self._jobs, kind)
        if (kind, owner) not in group.turns:
            group.turns[kind, owner] = last_turn(self._jobs, kind, owner) if mine else None
        priority = next_priority(kind, group.served[kind], group.turns[kind, owner])
        group.turns[kind, owner] = priority
        return new_body(request, draft.ert_seconds, draft.input_size, priority, now())


def _each(
    outcomes: Sequence[Body | ZooscopeError], act: Callable[[Sequence[Body]], Sequence[Done | ZooscopeError]]
) -> list[Done | ZooscopeError]:
    """What becomes of all that have not failed yet, with the errors of the others in their places."""
    done = iter(act([one for one in outcomes if not isinstance(one, ZooscopeError)]))
    return [one if isinstance(one, ZooscopeError) else next(done) for one in outcomes]
