"""Shows the worker to the scheduler while it does not ask for a job: as it starts, and every few seconds as it works.

It runs in a thread of its own in the supervisor's process, so that a supervisor that hangs is seen to be gone.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from scheduler.contract import ALIVE_SECONDS, Alive
from worker.client import SchedulerClient
from zoo.errors import ZooscopeError

_log = logging.getLogger(__name__)


class Presence:
    """`about` tells what to say, or None while the worker waits for a job, which shows it as well."""

    def __init__(
        self, client: SchedulerClient, about: Callable[[], Alive | None], every: float = ALIVE_SECONDS
    ) -> None:
        self._client, self._about, self._every = client, about, every
        self._ended = threading.Event()
        self._draining = False
        self._thread = threading.Thread(target=self._run, name="presence", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._ended.set()

    def told(self, draining: bool) -> None:
        """Say so once when the worker is being drained, and when that is over."""
        if draining != self._draining:
            self._draining = draining
            if draining:
                _log.warning("This worker is being drained: it finishes its job and is given no other one.")
            else:
                _log.info("This worker is not being drained any more: it takes jobs again.")

    def _run(self) -> None:
        while True:
            about = self._about()
            if about is not None:
                try:
                    self.told(self._client.alive(about))
                except ZooscopeError as error:  # the main thread meets the same, and knows what to do
                    _log.debug("The scheduler did not hear that this worker is there: %s", error)
            if self._ended.wait(self._every):
                return
