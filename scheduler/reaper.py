"""Blobs nobody needs any more: uploads of leases that went stale, and everything of deleted jobs; and orphans, which a
process stored that was killed before it wrote down why.

Equal bytes are one blob, so an upload that became garbage may at the same time be part of a live result, or of an
image somebody uploaded. A blob goes only when no document refers to it.
"""

from __future__ import annotations

from collections.abc import Iterator

from scheduler.clock import monotonic
from scheduler.jobs import COLLECTION, Body, Jobs
from zoo.blob_lock import BlobLock
from zoo.blobs import DiskBlobs
from zoo.documents import Documents, Query

# Every field of every collection in which a document names a blob it needs.
REFERENCES = {
    COLLECTION: ("blobs",),
    "images": ("sha256",),
    "model_versions": ("package_sha256",),
    "submissions": ("blobs",),
}


# An orphan is left alone for so long, though whoever stores a blob for a document holds the lock meanwhile.
ORPHAN_SECONDS = 3600.0


class Reaper:
    """Deletes garbage. Hold `lock` from looking at a blob to storing the document that refers to it."""

    def __init__(self, documents: Documents, blobs: DiskBlobs, jobs: Jobs) -> None:
        self._documents = documents
        self._blobs = blobs
        self._jobs = jobs
        self.lock = BlobLock(blobs.folder)
        self._unlooked: Iterator[str] | None = None

    def needed(self, sha256: str) -> bool:
        """Whether any document refers to the blob."""
        for collection, fields in REFERENCES.items():
            for field in fields:
                query = Query(filters={field: [sha256]}, size=0, count_limit=1)
                if self._documents.search(collection, query).total:
                    return True
        return False

    def collect(self, uuid: str) -> None:
        """Delete the job's garbage that nothing needs, and strike it from the job."""
        garbage = self._jobs.get_any(uuid).body["garbage"]
        if not garbage:
            return
        for sha256 in garbage:
            self.collect_one(sha256)

        def strike(body: Body) -> None:
            body["garbage"] = [sha256 for sha256 in body["garbage"] if sha256 not in garbage]

        self._jobs.change(uuid, strike)

    def collect_orphans(self, seconds: float) -> bool:
        """Delete old blobs that nothing needs and what dead writers left. Goes on where the last call stopped, for no
        longer than `seconds`; False when it leaves some to look at.
        """
        deadline = monotonic() + seconds
        if self._unlooked is None:
            self._blobs.remove_stale()
            self._unlooked = self._blobs.older_than(ORPHAN_SECONDS)
        for sha256 in self._unlooked:
            if not self.needed(sha256):
                self.collect_one(sha256)
            if monotonic() > deadline:
                return False
        self._unlooked = None
        return True

    def collect_one(self, sha256: str) -> None:
        """Delete the blob if nothing needs it."""
        with self.lock.removing():
            if not self.needed(sha256):
                self._blobs.delete(sha256)
