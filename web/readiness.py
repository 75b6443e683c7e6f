"""What a request needs beyond this process: documents that can be written, a queue that takes jobs, free disk."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from zoo.documents import DocumentExists, DocumentMissing, Documents, RevisionConflict
from zoo.errors import ZooscopeError

COLLECTION, PROBE = "probes", "ready"
# Anybody may ask, and asking writes to the disk.
KEPT_SECONDS = 1.0


class Readiness:
    """Looks when asked, at most once a second. `queue_state` answers ok, draining or down; files are written to
    `folder`, which should keep `free_bytes` free."""

    def __init__(
        self, documents: Documents, queue_state: Callable[[], str], folder: Path, free_bytes: int,
        stopping: Callable[[], bool],
    ) -> None:  # fmt: skip
        self._documents = documents
        self._queue_state = queue_state
        self._folder = folder
        self._free_bytes = free_bytes
        self._stopping = stopping
        self._lock = threading.Lock()
        self._found: dict[str, str] = {}
        self._looked_at = -float("inf")

    def checks(self) -> dict[str, str]:
        """By what was looked at, "ok" or a word for what is wrong: documents and beanstalkd may be down, beanstalkd
        draining, the disk full or unwritable, the service stopping."""
        with self._lock:
            if time.monotonic() - self._looked_at >= KEPT_SECONDS:
                self._found = {"documents": self._write(), "beanstalkd": self._queue_state(), "disk": self._disk()}
                self._looked_at = time.monotonic()
            return self._found | {"service": "stopping" if self._stopping() else "ok"}

    def _write(self) -> str:
        try:
            write_probe(self._documents)
        except ZooscopeError:
            return "down"
        return "ok"

    def _disk(self) -> str:
        try:
            if shutil.disk_usage(self._folder).free < self._free_bytes:
                return "full"
            with tempfile.TemporaryFile(dir=self._folder) as probe:
                probe.write(b"ready?")
        except OSError:
            return "unwritable"
        return "ok"


def write_probe(documents: Documents) -> None:
    """Write a document of no meaning; raises what writing raises."""
    try:
        stored = documents.get(COLLECTION, PROBE)
        documents.replace(COLLECTION, PROBE, {"at": time.time()}, stored.revision)
    except DocumentMissing:
        try:
            documents.create(COLLECTION, PROBE, {"at": time.time()})
        except DocumentExists:
            return
    except RevisionConflict:
        return  # another replica has just written it
