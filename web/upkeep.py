"""What goes on though nobody looks: checks that are over are written down, publications and DOIs gone on with.

A thread of the server; each of its tasks may be done by several servers at once, and again after a crash.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from web import checks
from web.service import Service
from zoo.errors import ZooscopeError
from zoo.packages import preload

log = logging.getLogger("zooscope.upkeep")

EVERY_SECONDS = 10.0
# How soon it notices that the server stops.
LOOK_SECONDS = 0.5


class Upkeep:
    def __init__(self, parts: Service, every_seconds: float = EVERY_SECONDS) -> None:
        publishing = parts.publishing
        self._parts = parts
        self._every_seconds = every_seconds
        self._tasks: dict[str, Callable[[], object]] = {
            "checks": lambda: checks.settle_all(parts),
            "publications": publishing.publication.resume,
            "changes of versions": publishing.changes.resume,
            "DOIs": publishing.minting.resume,
        }

    def run_once(self) -> None:
        """Do all of it; what fails does not keep the rest from being done, and is tried again the next time."""
        for name, task in self._tasks.items():
            if self._parts.stopping():
                return
            try:
                task()
            except ZooscopeError as error:
                log.warning("%s are looked after later: %s", name, error.message)
            except Exception:
                log.exception("%s could not be looked after", name)

    def start(self) -> None:
        """At once, and from then on again and again until the server stops."""
        threading.Thread(target=self._run, name="upkeep", daemon=True).start()

    def _run(self) -> None:
        pause = threading.Event()
        self.run_once()
        # The first package that is published is not to wait for the validator to be imported.
        preload()
        while not self._parts.stopping():
            waited = 0.0
            while waited < self._every_seconds and not self._parts.stopping():
                pause.wait(LOOK_SECONDS)
                waited += LOOK_SECONDS
            self.run_once()
