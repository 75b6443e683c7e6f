"""Logs of jobs: while a job runs its log lies in a beanstalkd tube of its own, `log.<uuid>`; afterwards in a blob.

Chunks carry the lease and the worker's sequence number, so the same post twice is kept once. An index document per
running job holds the chunks' ids, so that the log can be read without taking it out of the tube. A tube with a job in
it lives forever, therefore every log is drained when its job ends, and once more by maintenance if that failed. While
beanstalkd takes nothing new, because it drains or its disk is full, the log goes on in the blob.
"""

from __future__ import annotations

import contextlib
import json
from typing import Any

from scheduler.contract import FINAL_STATES
from scheduler.jobs import Body, JobMissing, Jobs
from scheduler.queue import Queue, QueueDraining, QueueFull
from zoo.blob_lock import BlobLock
from zoo.blobs import DiskBlobs
from zoo.documents import DocumentExists, DocumentMissing, Documents, Fields, RevisionConflict, Stored
from zoo.identifiers import is_uuid

COLLECTION = "job_logs"
TUBE_PREFIX = "log."
# JSON writes a character in at most six bytes (a control character), so a chunk stays below beanstalkd's 65,535.
CHUNK_CHARACTERS = 10_000
MAXIMUM_CHUNKS = 2000
# Instead of the id of a chunk that is in the blob; ids begin with 1.
NOWHERE = 0


def _tube(uuid: str) -> str:
    return TUBE_PREFIX + uuid


class Logs:
    """`limit` is the most bytes kept of one job's log; `lock` guards blobs against being collected meanwhile."""

    def __init__(
        self, documents: Documents, blobs: DiskBlobs, queue: Queue, jobs: Jobs, lock: BlobLock, limit: int
    ) -> None:
        documents.declare(COLLECTION, Fields())
        self._documents = documents
        self._blobs = blobs
        self._queue = queue
        self._jobs = jobs
        self._lock = lock
        self._limit = limit

    def append(self, uuid: str, lease: str, attempt: int, sequence: int, text: str) -> None:
        """Add `text` to the log of a running job; its lease was checked. Beyond the limit the log is cut, once."""
        index = self._index(uuid)
        if index.body["cut"] or _has(index.body, lease, sequence):
            return
        text, cut = self._fit(text, index.body)
        key = {"uuid": uuid, "lease": lease, "attempt": attempt, "sequence": sequence}
        chunks = []
        for part, start in enumerate(range(0, len(text), CHUNK_CHARACTERS)):
            message = key | {"part": part, "text": text[start : start + CHUNK_CHARACTERS]}
            try:
                handle = self._queue.put(_tube(uuid), json.dumps(message, ensure_ascii=False).encode())
            except (QueueDraining, QueueFull):
                self._move(uuid)
                self._keep(uuid, text[start:], repeated=False)
                chunks.append([lease, sequence, NOWHERE])
                break
            chunks.append([lease, sequence, handle.job_id])
        if chunks:
            self._enter(index, chunks, len(text.encode("utf-8", "replace")), cut)

    def _index(self, uuid: str) -> Stored:
        try:
            return self._documents.get(COLLECTION, uuid)
        except DocumentMissing:
            pass
        try:
            return self._documents.create(COLLECTION, uuid, {"bytes": 0, "cut": False, "chunks": []})
        except DocumentExists:
            return self._documents.get(COLLECTION, uuid)

    def _fit(self, text: str, index: dict[str, Any]) -> tuple[str, bool]:
        room = self._limit - index["bytes"]
        data = text.encode("utf-8", "replace")
        if len(data) <= room and len(index["chunks"]) < MAXIMUM_CHUNKS:
            return data.decode(), False
        return data[: max(0, room)].decode(
            "utf-8", "ignore"
        ) + f"\n[The log is cut here, at {self._limit} bytes.]\n", True

    def _enter(self, index: Stored, chunks: list[list[Any]], size: int, cut: bool) -> None:
        """Write the chunks into the index; the draining of a job that ended meanwhile needs no index."""
        while True:
            body = index.body
            changed = body | {"bytes": body["bytes"] + size, "cut": cut, "chunks": body["chunks"] + chunks}
            try:
                self._documents.replace(COLLECTION, index.id, changed, index.revision)
            except RevisionConflict:
                try:
                    index = self._documents.get(COLLECTION, index.id)
                except DocumentMissing:
                    return
            except DocumentMissing:
                return
            else:
                return

    def text(self, uuid: str) -> str:
        """The log of a job so far, or for good; raises JobMissing."""
        body = self._jobs.get(uuid).body
        while True:
            found = self._found(body)
            newest = self._jobs.get(uuid).body
            if newest["log_sha256"] == body["log_sha256"]:
                return found
            # Drained meanwhile: some chunks may have been gone when it was their turn to be read.
            body = newest

    def _found(self, body: Body) -> str:
        kept = self._blobs.read(body["log_sha256"]).decode() if body["log_sha256"] else ""
        if body["state"] in FINAL_STATES and kept:
            return kept
        try:
            index = self._documents.get(COLLECTION, body["uuid"]).body
        except DocumentMissing:
            return kept
        chunks = [(job_id, self._queue.peek(job_id)) for _, _, job_id in index["chunks"] if job_id != NOWHERE]
        return kept + _joined(body["uuid"], [(job_id, data) for job_id, data in chunks if data is not None])

    def drain(self, uuid: str) -> None:
        """Move what is in the tube into a blob of the job. Harmless when there is nothing, or it was begun before."""
        self._move(uuid)
        # Most jobs have none, and looking costs less than a transaction.
        with contextlib.suppress(DocumentMissing):
            self._documents.get(COLLECTION, uuid)
            self._documents.delete(COLLECTION, uuid)

    def _move(self, uuid: str) -> None:
        if self._queue.has_tube(_tube(uuid)):
            with self._queue.emptying(_tube(uuid)) as chunks:
                text = _joined(uuid, chunks)
                if text:
                    self._keep(uuid, text)

    def _keep(self, uuid: str, text: str, repeated: bool = True) -> None:
        """Add to the blob; what may be `repeated` and is there already is not added again."""
        with self._lock:
            try:
                while not self._add(uuid, self._jobs.get(uuid).body["log_sha256"], text, repeated):
                    pass
            except JobMissing:
                return

    def _add(self, uuid: str, before: str | None, text: str, repeated: bool) -> bool:
        """Add to the log kept so far, `before`; False when another drain was quicker."""
        kept = self._blobs.read(before).decode() if before else ""
        # A drain that was cut off after this point finds the same chunks again.
        if repeated and text in kept:
            return True
        blob = self._blobs.put_bytes((kept + text).encode())

        def enter(body: Body) -> bool | None:
            if body["log_sha256"] != before:
                body["garbage"] = sorted({blob.sha256, *body["garbage"]})
                return None
            if before:
                body["garbage"] = sorted({before, *body["garbage"]})
            body["log_sha256"] = blob.sha256
            return None

        return bool(self._jobs.change(uuid, enter).body["log_sha256"] == blob.sha256)

    def left_behind(self) -> list[str]:
        """The uuids whose log still has a tube."""
        names = [tube.removeprefix(TUBE_PREFIX) for tube in self._queue.tubes() if tube.startswith(TUBE_PREFIX)]
        return [name for name in names if is_uuid(name)]


def _has(index: dict[str, Any], lease: str, sequence: int) -> bool:
    return any(chunk[0] == lease and chunk[1] == sequence for chunk in index["chunks"])


def _joined(uuid: str, chunks: list[tuple[int, bytes]]) -> str:
    """The text of chunks given with their ids: attempts in their order, each in its sequence, nothing twice."""
    leases: dict[str, int] = {}
    parts: dict[tuple[int, int, int], dict[str, Any]] = {}
    for _, data in sorted(chunks):
        try:
            message = json.loads(data)
            if message["uuid"] != uuid:
                continue
            order = leases.setdefault(message["lease"], len(leases))
            parts.setdefault((order, int(message["sequence"]), int(message["part"])), message)
        except (ValueError, KeyError, TypeError):
            continue
    text, current = [], -1
    for (order, _, _), message in sorted(parts.items()):
        if order != current and len(leases) > 1:
            text.append(f"[attempt {message['attempt']}]\n")
        current = order
        text.append(message["text"])
    return "".join(text)
