"""How many jobs one person may have: queued, from one network address, and running at once.

What exceeds the first two is refused when it is submitted. What exceeds the last is held: its entry is delayed and
made ready when one of its owner's jobs ends. Nobody polls for that; the delay only heals what a crash cut short.
Replicas that claim for one owner at the very same time may pass the limit on running jobs by one each.
"""

from __future__ import annotations

import logging
import threading

from scheduler.clock import now
from scheduler.jobs import Body, Jobs, handle_of
from scheduler.queue import Queue
from zoo.documents import Query
from zoo.errors import UserError, ZooscopeError
from zoo.settings import Settings

log = logging.getLogger(__name__)

HOLD_SECONDS = 60.0
RETRY_SECONDS = 10


class TooManyJobs(UserError):
    code = "too-many-jobs"
    status = 429
    retry_after_seconds = RETRY_SECONDS


class Limits:
    """Hold `claiming` from asking `full` until the lease is open."""

    def __init__(self, jobs: Jobs, queue: Queue, settings: Settings) -> None:
        self._jobs = jobs
        self._queue = queue
        self._settings = settings
        self.claiming = threading.Lock()

    def check_submit(self, owner: str, address: str, more: int = 0, more_here: int = 0) -> int:
        """How many jobs the owner has queued and running. Raises TooManyJobs unless `owner` may submit one more from
        `address`; an empty address is not limited.

        `more` jobs of the owner, and `more_here` from the address, are about to be stored.
        """
        mine = more + self._jobs.count(owner=[owner], state=["queued", "running"])
        if mine >= self._settings.queued_per_owner:
            raise TooManyJobs(
                f"You have {mine} previews waiting or running, which is as many as one person may have.",
                "Wait until some are done, or cancel some.",
            )
        if not address or not self._settings.queued_per_address:
            return mine
        waiting = more_here + self._jobs.count(address=[address], state=["queued", "running"])
        if waiting >= self._settings.queued_per_address:
            raise TooManyJobs(
                f"{waiting} previews from your network are waiting or running, which is as many as one address may "
                "have.",
                "Wait until some are done. If many of you work behind one address, ask the operator for more "
                "(ZOOSCOPE_QUEUED_PER_ADDRESS).",
            )
        return mine

    def full(self, owner: str) -> bool:
        """Whether workers hold as many of the owner's jobs as may run at once. A lease that ran out does not count."""
        limit = self._settings.running_per_owner
        if not limit:
            return False
        live = Query(
            filters={"owner": [owner], "state": ["queued", "running"], "deleted": [False]},
            ranges={"lease.until": (now(), None)},
            size=0,
            count_limit=limit,
        )
        return self._jobs.search(live).total >= limit

    def wake(self, owner: str) -> None:
        """One of the owner's jobs ended: make the first one that is held for it ready."""
        if not self._settings.running_per_owner:
            return
        try:
            if not self._jobs.any(owner=[owner], held=[True], state=["queued"]):
                return
            held = Query(
                filters={"owner": [owner], "held": [True], "state": ["queued"], "deleted": [False]},
                sort="queue.priority",
                descending=False,
                size=1,
            )
            found = self._jobs.search(held).items
            if found and not self.full(owner):
                self._let_go(found[0].id)
        except ZooscopeError as error:
            log.warning("owner %s: what is held for them starts later: %s", owner, error)

    def held(self, uuid: str, owner: str) -> None:
        """The job is held and its entry delayed: let it go if another one ended just before, and could not find it."""
        try:
            if not self.full(owner):
                self._let_go(uuid)
        except ZooscopeError as error:
            log.warning("job %s: it is held longer than it need be: %s", uuid, error)

    def _let_go(self, uuid: str) -> None:
        def let_go(body: Body) -> bool | None:
            if not body.get("held"):
                return False
            body["held"] = False
            return None

        body = self._jobs.change(uuid, let_go).body
        handle = handle_of(body)
        if handle is not None and body["state"] == "queued" and body["lease"] is None:
            self._queue.delay_again(handle, uuid, 0.0)
