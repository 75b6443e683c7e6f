"""The files of an attempt's result: uploaded one by one while it works, or, if small, along with the result itself."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO

from scheduler import leases
from scheduler.contract import SHOWN_EARLY, files_of
from scheduler.jobs import Body, Jobs, Transition
from zoo.blob_lock import BlobLock
from zoo.blobs import Blob, DiskBlobs
from zoo.documents import Stored
from zoo.errors import UserError
from zoo.identifiers import is_sha256


class BadResultFile(UserError):
    code = "bad-result-file"
    status = 422


class BadResult(UserError):
    code = "bad-result"
    status = 422


class ResultFiles:
    """Files of at most `limit` bytes; `change` is how a job's document is changed within an attempt.

    A file is announced in the document before it is stored: from there on the reaper leaves the blob alone, or knows it
    as garbage.
    """

    def __init__(
        self,
        jobs: Jobs,
        blobs: DiskBlobs,
        lock: BlobLock,
        limit: int,
        change: Callable[[str, Transition], Stored],
    ) -> None:
        self._jobs = jobs
        self._blobs = blobs
        self._lock = lock
        self._limit = limit
        self._change = change

    def store(self, uuid: str, lease: str, name: str, stream: BinaryIO, sha256: str) -> Blob:
        """Store one file. Nothing of it stays when the lease is lost meanwhile."""
        if not is_sha256(sha256):
            raise BadResultFile("The upload does not name its sha256.", "Add ?sha256= with 64 hexadecimal digits.")
        with self._lock:
            self._announce(uuid, lease, {name: sha256})
        blob = self._blobs.put(
            stream,
            limit=self._limit,
            expected_sha256=sha256,
            publishing=lambda: self._publishing(uuid, lease, name, sha256),
        )
        if name == SHOWN_EARLY:
            self._change(uuid, lambda body: leases.show_early(body, lease, sha256))
        return blob

    def store_along(self, uuid: str, lease: str, along: Mapping[str, bytes]) -> Stored:
        """Store files that came along with a result, unless it was accepted before; given by name. Returns the job."""
        digests = {name: hashlib.sha256(data).hexdigest() for name, data in along.items()}
        # Whoever ends the lease meanwhile collects them when this lets go of the lock.
        with self._lock:
            try:
                job = self._announce(uuid, lease, digests)
            except leases.JobOver:
                job = self._jobs.get(uuid)
                if not ended_by_result(job.body, lease):
                    raise
                return job
            for data in along.values():
                self._blobs.put_bytes(data)
        return job

    def _announce(self, uuid: str, lease: str, files: Mapping[str, str]) -> Stored:
        """Write down the sha256 of files by name."""

        def announce(body: Body) -> None:
            leases.check(body, lease)
            known = files_of(body["kind"])
            if strange := set(files) - set(known):
                raise BadResultFile(f"{min(strange)[:100]!r} is not a file of a result.", f"Files: {', '.join(known)}.")
            there = body["lease"]["files"]
            replaced = {there[name] for name, sha256 in files.items() if there.get(name, sha256) != sha256}
            body["garbage"] = sorted({*replaced, *body["garbage"]})
            there.update(files)

        return self._change(uuid, announce)

    @contextlib.contextmanager
    def _publishing(self, uuid: str, lease: str, name: str, sha256: str) -> Iterator[None]:
        """Only while the lease holds does an upload become a blob; whoever ends the lease then collects it after us."""
        with self._lock:
            body = self._jobs.get(uuid).body
            leases.check(body, lease)
            if body["lease"]["files"].get(name) != sha256:
                raise BadResultFile(f"Another {name} was uploaded meanwhile.", "Upload each file once at a time.")
            yield

    def stored(self, body: Body, name: str, sha256: str) -> dict[str, Any]:
        """A stored file as results name it; raises BadResult when it was not uploaded under the lease of the body."""
        uploaded = body["lease"]["files"].get(name)
        if uploaded != sha256 or not self._blobs.exists(sha256):
            raise BadResult(f"The file {name[:100]!r} of the result was not uploaded.", "Upload it, then post again.")
        return {
            "name": name,
            "sha256": sha256,
            "size": self._blobs.size(sha256),
            "media_type": files_of(body["kind"])[name],
        }


def ended_by_result(body: Mapping[str, Any], lease: str) -> bool:
    """Whether this lease itself ended the job, with its result."""
    return bool(body["result"]) and body["result"]["lease"] == lease
