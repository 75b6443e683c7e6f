"""How often models are tried and downloaded: counted in memory, written in batches, never in anybody's way.

Collection `usage` has a document per model, {id, tried, downloads}, which outlives what is shown; the same numbers
stand in the model's own document, to be sorted by. A crash loses at most what was counted since the last writing.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter

from zoo.documents import DocumentExists, DocumentMissing, Documents, Fields, RevisionConflict
from zoo.errors import ZooscopeError
from zoo.shown_models import MODELS

COLLECTION = "usage"
KINDS = ("tried", "downloads")
# Counts reach the documents after so long, at the latest.
WRITTEN_AFTER_SECONDS = 5.0
# Nobody makes this process remember more models than this by asking for them.
MOST_WAITING = 10_000
TRIES = 20

log = logging.getLogger("zooscope.usage")


class Usage:
    """Counts for the models in `documents`. Threads share one; processes have one each."""

    def __init__(self, documents: Documents, written_after: float = WRITTEN_AFTER_SECONDS) -> None:
        self._documents = documents
        self._written_after = written_after
        self._waiting: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._timer: threading.Timer | None = None
        self._closed = False
        documents.declare(COLLECTION, Fields())

    def count(self, model_id: str, kind: str, number: int = 1) -> None:
        """Count that a model was `tried` or that its package is among the `downloads`. Returns at once."""
        if kind not in KINDS:
            raise ValueError(f"{kind!r} is not counted; {', '.join(KINDS)} are.")
        with self._lock:
            if len(self._waiting) >= MOST_WAITING and (model_id, kind) not in self._waiting:
                return
            self._waiting[model_id, kind] += number
            if self._timer is None and not self._closed:
                self._timer = threading.Timer(self._written_after, self.write)
                self._timer.daemon = True
                self._timer.start()

    def write(self) -> None:
        """Write what was counted so far; what cannot be written now is kept for the next time."""
        with self._writing:
            with self._lock:
                waiting, self._waiting, self._timer = self._waiting, Counter(), None
            for id in dict.fromkeys(id for id, _ in waiting):
                more = {kind: waiting[id, kind] for kind in KINDS if waiting[id, kind]}
                try:
                    self._show(id, self._add(id, more))
                except DocumentMissing:
                    log.debug("Nothing is counted for %s, which is no model.", id)
                except ZooscopeError as error:
                    log.warning("The usage of %s waits: %s", id, error.message)
                    for kind, number in more.items():
                        self.count(id, kind, number)

    def close(self) -> None:
        """Write the rest; nothing is counted afterwards."""
        with self._lock:
            self._closed = True
            if self._timer is not None:
                self._timer.cancel()
        self.write()

    def _add(self, id: str, more: dict[str, int]) -> dict[str, int]:
        """Add to the model's counts and return them; raises DocumentMissing for what is no model."""
        for _ in range(TRIES):
            try:
                stored = self._documents.get(COLLECTION, id)
                counts = {kind: int(stored.body.get(kind, 0)) + more.get(kind, 0) for kind in KINDS}
                self._documents.replace(COLLECTION, id, {"id": id} | counts, stored.revision, lasting=False)
                return counts
            except DocumentMissing:
                self._documents.get(MODELS, id)
                counts = {kind: more.get(kind, 0) for kind in KINDS}
                try:
                    self._documents.create(COLLECTION, id, {"id": id} | counts)
                    return counts
                except DocumentExists:
                    continue
            except RevisionConflict:
                continue
        raise RevisionConflict(f"The usage of {id!r} is being changed by many at once.")

    def _show(self, id: str, counts: dict[str, int]) -> None:
        """Enter the counts into the model's document, unless another process already entered higher ones."""
        for _ in range(TRIES):
            stored = self._documents.get(MODELS, id)
            before = stored.body.get("usage") or {}
            usage = {kind: max(counts[kind], int(before.get(kind, 0))) for kind in KINDS}
            if usage == before:
                return
            try:
                self._documents.replace(MODELS, id, stored.body | {"usage": usage}, stored.revision, lasting=False)
                return
            except RevisionConflict:
                continue
