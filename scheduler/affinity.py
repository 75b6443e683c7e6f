"""Warm affinity: a job goes to a worker that already holds its model, if one is waiting idle, and at once.

beanstalkd hands a job to any worker that waits. When another one of this replica waits with the job's model loaded,
the claim is made in that one's name and handed to its waiting request, and the first goes on waiting. Only idle workers
are preferred, so that no job is ever held back for a warm one, and no worker waits while there is work it could do.

A request is `free`, `promised` a claim that somebody is making for it, or `busy` with a job it reserved itself.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
from collections.abc import Callable, Collection, Iterator

from scheduler.contract import Claim
from zoo.turns import REQUESTS

FREE, PROMISED, BUSY = "free", "promised", "busy"


class Waiting:
    """One request of a worker for a job. `wake` is readable when a claim was handed to it or a promise was broken."""

    def __init__(
        self, worker: str, device: str, token: str, tubes: Collection[str], models: Collection[str],
        gone: Callable[[], bool],
    ) -> None:  # fmt: skip
        self.worker, self.device, self.token = worker, device, token
        self.tubes, self.models = frozenset(tubes), frozenset(models)
        self.gone = gone
        self.state = FREE
        self.claim: Claim | None = None
        self.wake, self._wake_end = os.pipe()
        os.set_blocking(self._wake_end, False)

    def ring(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_end, b"!")

    def hush(self) -> None:
        """Forget what the bell rang for until now."""
        while select.select([self.wake], [], [], 0)[0]:
            os.read(self.wake, 4096)

    def rest(self, seconds: float) -> None:
        """Wait for the bell, up to so many seconds."""
        with REQUESTS.away():
            select.select([self.wake], [], [], seconds)

    def close(self) -> None:
        os.close(self.wake)
        os.close(self._wake_end)


class Affinity:
    """The requests of this process that wait for a job, in the order they came."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: list[Waiting] = []

    @contextlib.contextmanager
    def enter(self, waiting: Waiting) -> Iterator[None]:
        """Let the request be handed jobs within the block. Ask `leave` for a claim before its end."""
        with self._changed:
            self._waiting.append(waiting)
        try:
            yield
        finally:
            self.leave(waiting)
            waiting.close()

    def leave(self, waiting: Waiting) -> Claim | None:
        """Be handed nothing from now on; waits for a promise to be kept or broken, and returns the claim if any."""
        with self._changed:
            self._changed.wait_for(lambda: waiting.state != PROMISED)
            with contextlib.suppress(ValueError):
                self._waiting.remove(waiting)
            return waiting.claim

    def begin(self, waiting: Waiting) -> bool:
        """The request has reserved a job itself; False when it was promised another: then it must give that back."""
        with self._changed:
            if waiting.state != FREE or waiting.claim is not None:
                return False  # and `settled` waits until it is known what came of the promise
            waiting.state = BUSY
            return True

    def settled(self, waiting: Waiting) -> None:
        """Wait until a promise to the request is kept or broken."""
        with self._changed:
            self._changed.wait_for(lambda: waiting.state != PROMISED)

    def end(self, waiting: Waiting) -> None:
        """The job it reserved became no claim of its own: it goes on waiting."""
        with self._changed:
            waiting.state = FREE
            self._changed.notify_all()

    def promise(
        self, mine: Waiting, package_sha256: str, tube: str, able: Callable[[Waiting], bool] = lambda waiting: True
    ) -> Waiting | None:
        """Another request that should have this job: it waits free, serves the tube and holds the model, which `mine`
        does not, and is `able` to take a job. It is promised the job; call `keep` in any case.
        """
        if package_sha256 in mine.models:
            return None
        with self._changed:
            for other in self._waiting:
                warm = package_sha256 in other.models and tube in other.tubes
                free = other is not mine and other.state == FREE and other.claim is None
                if warm and free and not other.gone() and able(other):
                    other.state = PROMISED
                    return other
        return None

    def keep(self, other: Waiting, claim: Claim | None) -> None:
        """Hand the promised claim over, or None when it came to nothing."""
        with self._changed:
            other.state, other.claim = FREE, claim
            # Within the lock: once it may leave, its bell is closed, and its number may be another file's.
            other.ring()
            self._changed.notify_all()
