"""The lock between those who keep a blob and those who remove it, across threads and processes.

Keepers hold it together from looking at a blob (or storing it) until the document that refers to it is stored;
a remover holds it alone from asking whether any document refers to the blob until the blob is gone. It is a lock of
the file system (flock), so several replicas on one data folder respect each other, and one that is killed lets go.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from zoo.errors import Unavailable

# A process that is stopped while it holds the lock must not stop all the others for long.
KEEPER_SECONDS = 10.0
REMOVER_SECONDS = 2.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.0005, 0.02


class BlobsBusy(Unavailable):
    code = "blobs-busy"

    def __init__(self) -> None:
        super().__init__("The stored files are being cleaned up.", "Try again in a moment.")


class BlobLock:
    """`with lock:` keeps blobs, and may be nested in one thread; `with lock.removing():` is alone with them.

    Both raise BlobsBusy after a while. Removing while the same thread keeps is a mistake of the program.
    """

    def __init__(self, folder: Path) -> None:
        self._file = Path(folder) / "lock"
        # Removers come through the gate first and keep it, so that a stream of keepers cannot starve them.
        self._gate = Path(folder) / "lock.gate"
        self._mine = threading.local()

    def __enter__(self) -> BlobLock:
        depth = getattr(self._mine, "depth", 0)
        if depth == 0:
            deadline = time.monotonic() + KEEPER_SECONDS
            with _held(self._gate, fcntl.LOCK_SH, deadline):
                self._mine.held = _lock(self._file, fcntl.LOCK_SH, deadline)
        self._mine.depth = depth + 1
        return self

    def __exit__(self, *_: object) -> None:
        self._mine.depth -= 1
        if self._mine.depth == 0:
            os.close(self._mine.held)

    @contextlib.contextmanager
    def removing(self) -> Iterator[None]:
        """Nobody keeps a blob, and nobody else removes one, inside this block."""
        assert getattr(self._mine, "depth", 0) == 0, "this thread keeps blobs itself"
        deadline = time.monotonic() + REMOVER_SECONDS
        with _held(self._gate, fcntl.LOCK_EX, deadline), _held(self._file, fcntl.LOCK_EX, deadline):
            yield


@contextlib.contextmanager
def _held(file: Path, how: int, deadline: float) -> Iterator[None]:
    descriptor = _lock(file, how, deadline)
    try:
        yield
    finally:
        os.close(descriptor)


def _lock(file: Path, how: int, deadline: float) -> int:
    """An open descriptor that holds the lock until it is closed; every one stands for itself, even in one process."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    pause = FIRST_PAUSE_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                os.close(descriptor)
                raise BlobsBusy from None
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        except BaseException:
            os.close(descriptor)
            raise
        else:
            return descriptor
