"""How often a sign-in may fail, and how many passwords are looked at at once.

Counted in this process: a restart forgets, which takes longer than it gains. A name and an address together have few
attempts, so that nobody can lock another out from elsewhere; a name alone has more, against many addresses.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from zoo.errors import UserError

# What fails counts against each of these: failures, within seconds.
PAIR = (5, 300.0)
LOGIN = (50, 3600.0)
ADDRESS = (100, 3600.0)
# New accounts from one address: a course room behind one router makes a few dozen.
NEW_ACCOUNTS = (60, 3600.0)
MOST_KEYS = 20_000
# Each takes 32 MB and a core for about 0.1 s.
HASHES_AT_ONCE = 4
HASH_WAIT_SECONDS = 10.0


class TooManyAttempts(UserError):
    code = "too-many-attempts"
    status = 429


class SignInLimit:
    """Failures by what they are counted against, the oldest forgotten first. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()
        self._hashes = threading.BoundedSemaphore(HASHES_AT_ONCE)

    def check(self, login: str, address: str) -> None:
        """Raise TooManyAttempts when too many failed before this one."""
        self._refuse(self._keys(login, address), "Too many attempts to sign in failed.")

    def new_account(self, address: str) -> None:
        """Count an account that is about to be made; raise TooManyAttempts when too many were before."""
        keys = [(f"new\n{address}", NEW_ACCOUNTS)] if address else []
        self._refuse(keys, "Too many accounts were made from your network.")
        self._count(keys)

    def failed(self, login: str, address: str) -> None:
        """Count a failure."""
        self._count(self._keys(login, address))

    def succeeded(self, login: str, address: str) -> None:
        """Forget what its owner mistyped."""
        with self._lock:
            self._failures.pop(f"pair\n{login}\n{address}", None)

    @contextmanager
    def hashing(self) -> Iterator[None]:
        """Held while a password is hashed; raises TooManyAttempts when too many others are."""
        if not self._hashes.acquire(timeout=HASH_WAIT_SECONDS):
            error = TooManyAttempts("Too many people sign in at this moment.", "Try again in a few seconds.")
            error.retry_after_seconds = 5
            raise error
        try:
            yield
        finally:
            self._hashes.release()

    def _refuse(self, keys: list[tuple[str, tuple[int, float]]], why: str) -> None:
        now = self._clock()
        with self._lock:
            wait = max((self._wait(key, limit, now) for key, limit in keys), default=0.0)
        if wait > 0:
            error = TooManyAttempts(why, f"Try again in {int(wait // 60) + 1} min, or ask the operator.")
            error.retry_after_seconds = int(wait) + 1
            raise error

    def _count(self, keys: list[tuple[str, tuple[int, float]]]) -> None:
        now = self._clock()
        with self._lock:
            for key, (most, _) in keys:
                times = self._failures.setdefault(key, deque())
                times.append(now)
                if len(times) > most:
                    times.popleft()
                self._failures.move_to_end(key)
            while len(self._failures) > MOST_KEYS:
                self._failures.popitem(last=False)

    def _keys(self, login: str, address: str) -> list[tuple[str, tuple[int, float]]]:
        """What counts: the machine itself, whose address is empty, has no limit as an address."""
        keys = [(f"pair\n{login}\n{address}", PAIR), (f"login\n{login}", LOGIN)]
        return [*keys, (f"address\n{address}", ADDRESS)] if address else keys

    def _wait(self, key: str, limit: tuple[int, float], now: float) -> float:
        """Seconds until one more may be tried."""
        most, within = limit
        times = self._failures.get(key, deque())
        return times[-most] + within - now if len(times) >= most else 0.0
