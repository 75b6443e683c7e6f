"""Job documents: what a job is, how it is read, and the one way it changes: compare-and-set, tried until it holds.

The document is the truth about a job; its queue entry only says that there is something to do.
"""

from __future__ import annotations

import itertools
import logging
import marshal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scheduler.capabilities import Needs
from scheduler.contract import FINAL_STATES
from scheduler.job_fields import FIELDS
from scheduler.queue import Handle
from zoo.documents import DocumentMissing, Documents, Page, Query, RevisionConflict, Stored, Write
from zoo.errors import Unavailable, UserError
from zoo.identifiers import is_uuid, new_ordered_uuid

log = logging.getLogger(__name__)

COLLECTION = "jobs"
MAXIMUM_TRIES = 200
MAXIMUM_HISTORY = 200
FARTHEST_PLACE = 10_000

Body = dict[str, Any]
Transition = Callable[[Body], bool | None]


class JobMissing(UserError):
    code = "not-found"
    status = 404

    def __init__(self) -> None:
        super().__init__("There is no such job.", "Check the link; the job may also have been deleted.")


class JobContended(Unavailable):
    code = "job-contended"


@dataclass(frozen=True)
class JobRequest:
    """What `web` asks for. Seconds are those of `scheduler.ert.Estimate`; `source` says where the input came from;
    `work` is the megapixels that the model will see times its passes over them, 0 when not known; `requires` is what
    `scheduler.capabilities.Needs` reads.
    """

    kind: str
    owner: str
    model: Mapping[str, Any]
    settings: Mapping[str, Any]
    input_sha256: str
    source: Mapping[str, Any]
    estimate_seconds: float
    load_seconds: float
    requires: Mapping[str, Any] = field(default_factory=dict)
    # Without any loading; that of `estimate_seconds` if not given.
    computing_seconds: float | None = None
    ert_seconds: float | None = None
    work: float = 0.0
    rerun_of: str | None = None
    # A keyed hash of the network address it came from; empty: not known, or not limited.
    address: str = ""
    # Of a submission that may come twice, as `scheduler.resubmission.uuid_for` gives it; None: a new one.
    uuid: str | None = None


def new_body(request: JobRequest, ert_seconds: float, input_size: int, priority: int, now: float) -> Body:
    """The document of a job that is accepted now and not yet queued; `priority` as `scheduler.fairness` gives it."""
    return {
        "uuid": request.uuid or new_ordered_uuid(),
        "kind": request.kind,
        "state": "queued",
        "owner": request.owner,
        "address": request.address,
        "created_at": now,
        "started_at": None,
        "finished_at": None,
        "model": dict(request.model),
        "settings": dict(request.settings),
        "input": {"sha256": request.input_sha256, "size": input_size},
        "source": dict(request.source),
        "estimate": {
            "seconds": request.estimate_seconds,
            "load_s": request.load_seconds,
            "computing_s": request.estimate_seconds if request.computing_seconds is None else request.computing_seconds,
            "ert_seconds": ert_seconds,
        },
        "work": request.work,
        "requires": dict(request.requires),
        "attempt": 0,
        "lost_claims": 0,
        "held": False,
        "lease": None,
        "last_lease": None,
        "queue": {
            "tube": Needs.read(request.requires).tube(request.kind),
            "job_id": None,
            "broker": None,
            "priority": priority,
        },
        "progress": {"stage": "queued", "fraction": 0.0, "message": "", "at": now},
        "error": None,
        "result": None,
        "log_sha256": None,
        "history": [{"at": now, "what": "submitted", "detail": ""}],
        "rerun_of": request.rerun_of,
        "blobs": [request.input_sha256],
        "garbage": [],
        "has_garbage": False,
        "buried": False,
        "deleted": False,
    }


def handle_of(body: Mapping[str, Any]) -> Handle | None:
    queue = body["queue"]
    return None if queue["job_id"] is None else Handle(queue["job_id"], queue["broker"])


def set_handle(body: Body, handle: Handle) -> None:
    body["queue"] |= {"job_id": handle.job_id, "broker": handle.broker}


def note(body: Body, now: float, what: str, detail: str = "") -> None:
    """Add a line to the job's history, which keeps its first and its latest lines."""
    history = body["history"]
    if len(history) >= MAXIMUM_HISTORY:
        del history[1]
    history.append({"at": now, "what": what, "detail": detail})


def _log_news(before: list[dict[str, Any]], body: Body) -> None:
    """Whatever enters a job's history enters the log of whoever wrote it."""
    news = list(itertools.takewhile(lambda line: not before or line != before[-1], reversed(body["history"])))
    for line in reversed(news):
        log.info("%s", f"{line['what']} {line['detail']}".rstrip(), extra={"job": body["uuid"]})


def _account_blobs(body: Body) -> None:
    """Write down every blob the job refers to in one flat list, so that a search finds who needs a blob."""
    used = {body["input"]["sha256"]}
    if body["lease"]:
        used.update(body["lease"]["files"].values())
    if body["result"]:
        used.update(file["sha256"] for file in body["result"]["files"])
    if body["log_sha256"]:
        used.add(body["log_sha256"])
    body["blobs"] = [] if body["deleted"] else sorted(used)
    body["has_garbage"] = bool(body["garbage"])


class Jobs:
    """The job documents. `changed` is called with the uuid after every change made here."""

    def __init__(self, documents: Documents, changed: Callable[[str], None] = lambda uuid: None) -> None:
        self._documents = documents
        self._changed = changed
        documents.declare(COLLECTION, FIELDS)

    def create_all(self, bodies: Sequence[Body]) -> list[Stored | UserError]:
        """What became of each: the document, or DocumentExists."""
        outcomes = self._documents.write(COLLECTION, [Write(body["uuid"], body) for body in bodies])
        for body, outcome in zip(bodies, outcomes, strict=True):
            if isinstance(outcome, Stored):
                _log_news([], body)
        return outcomes

    def get(self, uuid: str) -> Stored:
        """The job as it is now; raises JobMissing, also for one being deleted."""
        stored = self.get_any(uuid)
        if stored.body["deleted"]:
            raise JobMissing
        return stored

    def get_any(self, uuid: str) -> Stored:
        """The job, even while it is being deleted; raises JobMissing."""
        if not is_uuid(uuid):
            raise JobMissing
        try:
            return self._documents.get(COLLECTION, uuid)
        except DocumentMissing:
            raise JobMissing from None

    def change(self, uuid: str, transition: Transition, known: Stored | None = None) -> Stored:
        """Apply `transition` to the body, in place, and store it if nobody changed it meanwhile; else again.

        A transition that returns False leaves the document alone; what it raises passes. It may run several times.
        `known`, the document as it was a moment ago, saves reading it.
        """
        for _ in range(MAXIMUM_TRIES):
            stored, known = known or self.get_any(uuid), None
            body = _copied(stored.body)
            if transition(body) is False:
                return stored
            _account_blobs(body)
            write = Write(uuid, body, stored.revision, stored.body)
            replaced = self._documents.write(COLLECTION, [write], _lasts(stored.body, body))[0]
            if isinstance(replaced, RevisionConflict):
                continue
            if isinstance(replaced, UserError):
                raise JobMissing
            self._changed(uuid)
            _log_news(stored.body["history"], body)
            return replaced
        raise JobContended(f"The job {uuid} is being changed by too many at once.", "Try again.")

    def remove(self, uuid: str) -> None:
        """Delete the document."""
        try:
            self._documents.delete(COLLECTION, uuid)
        except DocumentMissing:
            return
        self._changed(uuid)

    def search(self, query: Query) -> Page:
        return self._documents.search(COLLECTION, query)

    def count(self, **filters: list[Any]) -> int:
        """How many jobs have one of the values in each of these fields."""
        return self.search(Query(filters=filters | {"deleted": [False]}, size=0)).total

    def edge(self, field: str, last: bool, **filters: list[Any]) -> Any:
        """The least or the greatest (`last`) value of a field in the jobs that pass the filters; None without any."""
        return self._documents.edge(COLLECTION, field, filters | {"deleted": [False]}, last)

    def any(self, **filters: list[Any]) -> bool:
        """Whether there is a job with one of the values in each of these fields."""
        return self.search(Query(filters=filters | {"deleted": [False]}, size=0, count_limit=1)).total > 0

    def before(self, body: Mapping[str, Any]) -> int:
        """How many queued jobs will be handed out before this one: of a smaller priority, or as old and of the same.

        Counted as far as FARTHEST_PLACE: nobody is helped by an exact number beyond it, and it takes no longer.
        """
        priority = body["queue"]["priority"]
        waiting: dict[str, list[Any]] = {"state": ["queued"], "deleted": [False]}
        sooner = {"queue.priority": (None, priority - 1)}
        count = self.search(Query(filters=waiting, ranges=sooner, size=0, count_limit=FARTHEST_PLACE)).total
        if count >= FARTHEST_PLACE:
            return count
        alike = {"queue.priority": (priority, priority), "created_at": (None, body["created_at"])}
        count += self.search(Query(filters=waiting, ranges=alike, size=0, count_limit=FARTHEST_PLACE + 1)).total
        return min(max(0, count - 1), FARTHEST_PLACE)


def _copied(body: Body) -> Body:
    """A deep copy of what JSON can say: ten times quicker than that of what anything can say."""
    copy: Body = marshal.loads(marshal.dumps(body))  # noqa: S302 - our own bytes
    return copy


def _lasts(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether a change must survive a power cut. One within an attempt need not: the job is then tried again."""
    return bool({before["state"], after["state"]} & FINAL_STATES) or after["deleted"]
