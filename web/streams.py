"""How many event streams may be open at once: each keeps a thread of the web server."""

from __future__ import annotations

import threading


class Streams:
    """Places for `limit` streams. Thread-safe."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._free = threading.BoundedSemaphore(limit)
        self._lock = threading.Lock()
        self.open = 0
        self.refused = 0

    def acquire(self) -> bool:
        """Take a place; False when there is none."""
        taken = self._free.acquire(blocking=False)
        with self._lock:
            if taken:
                self.open += 1
            else:
                self.refused += 1
        return taken

    def release(self) -> None:
        with self._lock:
            self.open -= 1
        self._free.release()
