"""Accepting jobs: limits, turns, documents, queue entries; for all who submit at the same time together.

First the document, then the entry: a crash in between leaves a job that maintenance queues, and never an entry without
a job. Limits and turns count what is accepted earlier in the same group.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from scheduler.clock import now
from scheduler.entering import put_entries
from scheduler.fairness import last_turn, next_priority, turn_served
from scheduler.jobs import Body, JobRequest, Jobs, new_body
from scheduler.limits import Limits
from scheduler.queue import Queue
from scheduler.together import Together
from scheduler.tokens import Tokens
from zoo.document_fields import DocumentInvalid
from zoo.documents import RevisionConflict, Stored
from zoo.errors import UserError, ZooscopeError


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
        outcomes = self._store(drafts)
        entered = iter(self._enter([one for one in outcomes if isinstance(one, Stored)]))
        return [next(entered) if isinstance(outcome, Stored) else outcome for outcome in outcomes]

    def _store(self, drafts: Sequence[Draft]) -> list[Stored | ZooscopeError]:
        """A document for each that is within the limits."""
        group, bodies = _Group(), []
        outcomes: list[Stored | ZooscopeError | None] = []
        for draft in drafts:
            try:
                bodies.append(self._body(draft, group))
                outcomes.append(None)
            except UserError as error:
                outcomes.append(error)
        created = iter(self._created(bodies))
        return [next(created) if outcome is None else outcome for outcome in outcomes]

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

    def _enter(self, stored: Sequence[Stored]) -> list[Stored | ZooscopeError]:
        """Queue them; a job that the queue does not take is forgotten."""
        entered = put_entries(self._queue, self._tokens, self._jobs, stored)
        return [
            self._withdrawn(one, outcome) if isinstance(outcome, ZooscopeError) else outcome
            for one, outcome in zip(stored, entered, strict=True)
        ]

    def _withdrawn(self, stored: Stored, error: ZooscopeError) -> Stored | ZooscopeError:
        try:
            self._jobs.remove(stored.id, stored.revision)
        except RevisionConflict:
            # Somebody queued it all the same, so it is accepted.
            try:
                return self._jobs.get(stored.id)
            except ZooscopeError as gone:
                return gone
        except ZooscopeError as other:
            return other
        return error
