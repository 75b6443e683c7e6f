"""The pause switch: kinds of jobs of which none is handed out until a time, or until it is ended.

beanstalkd forgets a pause when it restarts and when its tube is empty and unwatched. So a pause is a document, which
every replica obeys by not asking for those tubes; beanstalkd is told as well, for the requests that wait already.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection

from scheduler.capabilities import tubes_of
from scheduler.clock import monotonic, now
from scheduler.fairness import KINDS
from scheduler.queue import Queue
from zoo.documents import DocumentExists, DocumentMissing, Documents, RevisionConflict
from zoo.errors import Unavailable, UserError

log = logging.getLogger(__name__)

COLLECTION, DOCUMENT = "pauses", "kinds"
# How old what a request for a job obeys may be.
CACHE_SECONDS = 1.0


class BadKind(UserError):
    code = "bad-kind"


class Pauses:
    """Thread-safe, and shared by replicas."""

    def __init__(self, documents: Documents, queue: Queue) -> None:
        self._documents = documents
        self._queue = queue
        self._lock = threading.Lock()
        self._until: dict[str, float] = {}
        self._read_at = -float("inf")

    def pause(self, kind: str, seconds: int) -> None:
        """Hand out no job of this kind for so many seconds; 0 goes on. Raises BadKind, DocumentsUnavailable."""
        if kind not in KINDS:
            raise BadKind(f"There are no jobs of the kind {kind[:40]!r}.", f"Kinds: {', '.join(KINDS)}.")
        self._write(kind, now() + seconds if seconds > 0 else None)
        with self._lock:
            self._read_at = -float("inf")
        log.info("jobs of the kind %s are %s", kind, f"paused for {seconds} s" if seconds > 0 else "handed out again")
        try:
            # A tube that is not there has nobody waiting at it.
            for tube in sorted({*tubes_of(kind)}.intersection(self._queue.tubes())):
                self._queue.pause(tube, seconds)
        except Unavailable as error:
            log.warning("the queue was not told of the pause, which holds all the same: %s", error)

    def _write(self, kind: str, until: float | None) -> None:
        while True:
            try:
                stored = self._documents.get(COLLECTION, DOCUMENT)
            except DocumentMissing:
                try:
                    self._documents.create(COLLECTION, DOCUMENT, {"until": {} if until is None else {kind: until}})
                except DocumentExists:
                    continue
                return
            kept = {name: time for name, time in stored.body["until"].items() if name != kind and time > now()}
            body = {"until": kept if until is None else kept | {kind: until}}
            try:
                self._documents.replace(COLLECTION, DOCUMENT, body, stored.revision)
            except (RevisionConflict, DocumentMissing):
                continue
            return

    def left(self) -> dict[str, int]:
        """Seconds that each paused kind stays so, as it is written now; in the order of kinds."""
        with self._lock:
            self._read()
            return self._left()

    def open(self, tubes: Collection[str]) -> list[str]:
        """Those of the tubes from which jobs may be handed out, in their order of names."""
        with self._lock:
            if monotonic() - self._read_at >= CACHE_SECONDS:
                self._read()
            closed = {tube for kind in self._left() for tube in tubes_of(kind)} if self._until else set()
        return sorted(set(tubes) - closed)

    def _left(self) -> dict[str, int]:
        time = now()
        left = {kind: self._until[kind] - time for kind in KINDS if kind in self._until}
        return {kind: max(1, round(seconds)) for kind, seconds in left.items() if seconds > 0}

    def _read(self) -> None:
        try:
            self._until = dict(self._documents.get(COLLECTION, DOCUMENT).body["until"])
        except DocumentMissing:
            self._until = {}
        self._read_at = monotonic()
