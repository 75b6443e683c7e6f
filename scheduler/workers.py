"""The workers: what each is, what it does now, and whether it is being drained. Documents, so that replicas agree.

Workers speak often and documents are dear, so that what is heard is kept here and written once in a while; what is
read of the others' is at most a second old. Only whether a worker is being drained is always read anew.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

from scheduler.capabilities import Ability
from scheduler.clock import monotonic, now
from zoo.documents import DocumentExists, DocumentMissing, Documents, Fields, Query, RevisionConflict
from zoo.errors import UserError, ZooscopeError

log = logging.getLogger(__name__)

COLLECTION = "workers"
PRESENT_SECONDS = 60.0
FORGET_SECONDS = 30 * 86400.0
# A worker's document is written when what it is has changed, this often while what it does changes, and this often
# only to say that it is there.
BUSY_SECONDS, QUIET_SECONDS = 2.0, 15.0
CACHE_SECONDS = 1.0
PAGE = 200
DOING = ("job", "phase", "models")

Body = dict[str, Any]
# Before a worker has said what it is.
UNKNOWN: Body = {
    "device": "",
    "device_name": "",
    "gpu_memory_gb": 0.0,
    "memory_gb": 0.0,
    # Not told yet: a worker may be heard at a replica, or after a crash, where it never asked for a job.
    "kinds": [],
    "formats": list(Ability().formats),
    "gpu_formats": [],
    "models": [],
    "version": "",
    "token": "",
    "job": None,
    "phase": "waiting",
    "draining": False,
}
NEVER: tuple[float, list[Ability]] = (-float("inf"), [])


class WorkerMissing(UserError):
    code = "worker-missing"
    status = 404

    def __init__(self, name: str) -> None:
        super().__init__(f"No worker called {name[:100]!r} was ever here.", "`zooscope workers` lists those there are.")


class Workers:
    """Thread-safe. What is heard never fails for the documents' sake: it is written the next time."""

    def __init__(self, documents: Documents) -> None:
        documents.declare(COLLECTION, Fields(single=("seen_at",), orders=(("seen_at",),)))
        self._documents = documents
        self._lock = threading.Lock()
        self._heard: dict[str, Body] = {}
        self._written: dict[str, tuple[float, Body]] = {}
        self._others: dict[str, Body] = {}
        self._read_at = -float("inf")
        self._forgot_at = -float("inf")
        self._able, self._told = NEVER, 0

    # What workers say

    def says(self, name: str, **said: Any) -> None:
        """A worker tells some of what UNKNOWN lists: what it is, its `job`, its `phase`: starting, waiting, working."""
        with self._lock:
            heard = self._heard.setdefault(name, {})
            heard.update(said | {"seen_at": now()})
            due = self._due(name, heard)
            body = dict(heard)
        if due:
            self._write(name, body)

    def waiting(self, name: str, **said: Any) -> None:
        """A worker asks for a job; `said` is what it tells of itself."""
        self.says(name, job=None, phase="waiting", **said)

    def working(self, name: str, device: str, job: str) -> None:
        """A worker says something about its job."""
        self.says(name, job=job, phase="working", **({"device": device} if device else {}))

    def free(self, name: str, job: str) -> None:
        """A worker is done with its job."""
        with self._lock:
            heard = self._heard.get(name)
            busy = heard is not None and heard.get("job") == job
        if busy:
            self.says(name, job=None, phase="waiting")

    def _due(self, name: str, heard: Body) -> bool:
        at, written = self._written.get(name, (-float("inf"), {}))
        changed = {key for key, value in heard.items() if key != "seen_at" and written.get(key) != value}
        if changed - set(DOING):
            self._able, self._told = NEVER, self._told + 1
            return True
        return monotonic() - at >= (BUSY_SECONDS if changed else QUIET_SECONDS)

    def _write(self, name: str, heard: Body) -> None:
        def tell(body: Body) -> None:
            body.update(heard)

        with self._lock:
            self._written[name] = (monotonic(), heard)
        try:
            self._change(name, tell, create=True)
        except ZooscopeError as error:
            with self._lock:
                self._written.pop(name, None)
            log.warning("worker %s: what it said is written later: %s", name, error)

    def _change(self, name: str, transition: Callable[[Body], None], create: bool = False) -> None:
        while True:
            try:
                stored = self._documents.get(COLLECTION, name)
                body = stored.body
                transition(body)
                # What a worker said it says again.
                self._documents.replace(COLLECTION, name, body, stored.revision, lasting=not create)
            except DocumentMissing:
                if not create:
                    raise WorkerMissing(name) from None
                body = UNKNOWN | {"name": name, "first_seen_at": now(), "seen_at": now()}
                transition(body)
                try:
                    self._documents.create(COLLECTION, name, body)
                except DocumentExists:
                    continue
            except RevisionConflict:
                continue
            return

    # What operators do

    def drain(self, name: str, on: bool = True) -> Body:
        """Let the worker finish its job and give it no other, or go on (`on=False`); raises WorkerMissing."""

        def set_draining(body: Body) -> None:
            body["draining"] = on

        self._change(name, set_draining)
        with self._lock:
            self._read_at = -float("inf")
        return self.one(name)

    def draining(self, name: str) -> bool:
        """As it is written now, for all replicas."""
        try:
            return bool(self._documents.get(COLLECTION, name).body["draining"])
        except DocumentMissing:
            return False

    def one(self, name: str) -> Body:
        """The worker as `present` shows it, even if it is gone; raises WorkerMissing."""
        try:
            stored = self._documents.get(COLLECTION, name).body
        except DocumentMissing:
            raise WorkerMissing(name) from None
        with self._lock:
            return _shown(name, stored, self._heard.get(name, {}))

    # Who is there

    def present(self) -> list[Body]:
        """Those seen in the last minute, by name, with `state`: starting, waiting, working or draining."""
        return [worker for worker in self.known() if worker["seen_at"] >= now() - PRESENT_SECONDS]

    def known(self) -> list[Body]:
        """All that were seen lately, present or not, by name."""
        self._read_others()
        with self._lock:
            names = sorted(self._others.keys() | self._heard.keys())
            return [_shown(name, self._others.get(name, {}), self._heard.get(name, {})) for name in names]

    def abilities(self) -> list[Ability]:
        """What each worker that is present can do, as far as it told. New at once when it is heard here, else within a
        second: every submission asks for it, and there may be a thousand workers.
        """
        with self._lock:
            (read_at, able), told = self._able, self._told
            if monotonic() - read_at < CACHE_SECONDS:
                return able
        able = [ability_of(worker) for worker in self.present() if worker["kinds"]]
        with self._lock:
            if told == self._told:
                self._able = (monotonic(), able)
        return able

    def _read_others(self) -> None:
        """Read the documents unless that was just done; what is heard here of a worker that is gone is forgotten."""
        with self._lock:
            if monotonic() - self._read_at < CACHE_SECONDS:
                return
            self._read_at = monotonic()
        oldest = now() - PRESENT_SECONDS
        found: dict[str, Body] = {}
        for page in range(1, 51):
            seen: Mapping[str, tuple[float | None, float | None]] = {"seen_at": (now() - FORGET_SECONDS, None)}
            query = Query(ranges=seen, sort="seen_at", descending=True, size=PAGE, page=page)
            items = self._documents.search(COLLECTION, query).items
            found |= {stored.id: stored.body for stored in items}
            if len(items) < PAGE:
                break
        with self._lock:
            self._others = found
            gone = [name for name, heard in self._heard.items() if heard["seen_at"] < oldest]
            for name in gone:
                del self._heard[name]
                self._written.pop(name, None)

    def forget_old(self) -> None:
        """Once an hour: remove the documents of workers that were not here for a month."""
        with self._lock:
            if monotonic() - self._forgot_at < 3600:
                return
            self._forgot_at = monotonic()
        old = Query(ranges={"seen_at": (None, now() - FORGET_SECONDS)}, sort="seen_at", size=PAGE)
        for stored in self._documents.search(COLLECTION, old).items:
            try:
                self._documents.delete(COLLECTION, stored.id, stored.revision)
            except (DocumentMissing, RevisionConflict):
                continue


def ability_of(worker: Mapping[str, Any]) -> Ability:
    return Ability(
        tuple(worker["kinds"]), tuple(worker["formats"]), tuple(worker["gpu_formats"]), float(worker["gpu_memory_gb"])
    )


def _shown(name: str, stored: Body, heard: Body) -> Body:
    """The newer of what is written and what was heard here."""
    newer = heard if heard.get("seen_at", 0.0) >= stored.get("seen_at", 0.0) else {}
    worker = UNKNOWN | {"name": name, "first_seen_at": now()} | stored | newer
    phase = "working" if worker["job"] else worker["phase"]
    return worker | {"state": "draining" if worker["draining"] and phase == "waiting" else phase}
