"""From a reserved queue entry to a lease: believe nothing in the entry that the job document does not confirm.

Whatever happens between two steps, the entry comes back and is looked at again: a job that is over has its entry
deleted, a job with a live lease has it delayed until that lease ends.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from scheduler import leases
from scheduler.clock import now
from scheduler.contract import FINAL_STATES, Claim
from scheduler.ending import Ending
from scheduler.entry import BadEntry, Entry
from scheduler.jobs import Body, JobMissing, Jobs, handle_of, set_handle
from scheduler.limits import HOLD_SECONDS, Limits
from scheduler.metrics import Metrics
from scheduler.queue import Queue, QueueDown, Reserved
from scheduler.tokens import BadToken, TokenExpired, Tokens
from zoo.documents import Stored
from zoo.settings import Settings

log = logging.getLogger(__name__)

PUT_OFF_SECONDS = 30.0


@dataclass
class _Outcome:
    """What the transition decided: leased, held, wait, over or exhausted."""

    what: str = ""
    lease: str = ""
    owner: str = ""
    seconds: float = 0.0
    lost: bool = False


class Claims:
    def __init__(
        self,
        jobs: Jobs,
        queue: Queue,
        tokens: Tokens,
        ending: Ending,
        metrics: Metrics,
        limits: Limits,
        settings: Settings,
    ) -> None:
        self._jobs = jobs
        self._queue = queue
        self._tokens = tokens
        self._ending = ending
        self._metrics = metrics
        self._limits = limits
        self._settings = settings

    def believe(self, reserved: Reserved, tubes: Collection[str]) -> Stored | None:
        """The document of the job that an entry, reserved from one of `tubes`, truly stands for; otherwise None, and
        the entry is settled.
        """
        job = self._told(reserved)
        if job is None:
            return None
        body = job.body
        if self._is_duplicate(reserved, body):
            log.info("job %s: a second queue entry %d is deleted", body["uuid"], reserved.handle.job_id)
            reserved.delete()
            return None
        if body["queue"]["tube"] not in tubes:
            # Somebody moved it: a worker must not be given what it cannot run.
            log.warning("queue entry %d is buried: it lies in a tube that is not its job's", reserved.handle.job_id)
            reserved.bury()
            return None
        return job

    def _told(self, reserved: Reserved) -> Stored | None:
        """The document of the job that an entry can prove to stand for; otherwise the entry is put away."""
        try:
            entry = Entry.parse(reserved.body)
            job = self._jobs.get(entry.uuid)
            self._tokens.check(entry.token, job.body)
        except JobMissing:
            reserved.delete()
        except TokenExpired as error:
            if leases.remaining(job.body, now()) > 0 or job.body["state"] in FINAL_STATES:
                return job
            self._give_up(entry.uuid, error)
            reserved.delete()
        except (BadEntry, BadToken) as error:
            log.warning("queue entry %d is buried: %s", reserved.handle.job_id, error)
            reserved.bury()
        else:
            return job
        return None

    def _give_up(self, uuid: str, error: TokenExpired) -> None:
        def expire(body: Body) -> bool | None:
            if body["state"] in FINAL_STATES or leases.remaining(body, now()) > 0:
                return False
            leases.finish(body, "failed", now(), error.to_json()["error"])
            return None

        self._jobs.change(uuid, expire)
        self._ending.settle(uuid)

    def _is_duplicate(self, reserved: Reserved, body: Body) -> bool:
        """Whether the document knows another entry of this job that is really there."""
        known = handle_of(body)
        if known is None or known.job_id == reserved.handle.job_id:
            return False
        return self._queue.state(known, body["uuid"]) is not None

    def lease(self, reserved: Reserved, job: Stored, worker: str, device: str, token: str = "") -> Claim | None:
        """Open a lease on the job of an entry that is believed, for a worker that showed the token called `token`;
        None when there is nothing to do for it now. Settles the entry.
        """
        uuid = job.id
        # What is decided without being written must be decided by what is true now.
        known = job if job.body["state"] == "queued" and job.body["lease"] is None else None
        outcome = _Outcome()

        def open_lease(body: Body) -> bool | None:
            time = now()
            outcome.owner, outcome.seconds = body["owner"], leases.remaining(body, time)
            if body["state"] in FINAL_STATES:
                outcome.what = "over"
                return False
            adopted = handle_of(body) != reserved.handle
            set_handle(body, reserved.handle)
            if outcome.seconds > 0:
                outcome.what = "wait"
                return None if leases.mend(body, time) or adopted else False
            outcome.lost = bool(body["lease"]) and body["lease"]["started"]
            leases.lose(body, time)
            if leases.exhausted(body, self._settings.attempts):
                outcome.what = "exhausted"
                leases.finish(body, "failed", time, leases.lost_error(body))
                leases.bury(body, time)
                return None
            if self._limits.full(body["owner"]):
                outcome.what = "held"
                leases.hold(body, time)
                return None
            outcome.what = "leased"
            outcome.lease = leases.open_lease(body, worker, device, self._settings.claim_seconds, time)
            body["lease"]["token"] = token
            return None

        try:
            with self._limits.claiming:
                body = self._jobs.change(uuid, open_lease, known).body
        except JobMissing:
            outcome.what = "over"
        else:
            if outcome.lost:
                self._metrics.ended(body["kind"], "lost", "worker-lost")
        if outcome.what == "leased":
            return self._hand_over(reserved, body)
        self._put_away(reserved, uuid, outcome)
        return None

    def _hand_over(self, reserved: Reserved, body: dict[str, Any]) -> Claim:
        try:
            reserved.release(self._settings.claim_seconds, body["queue"]["priority"])
        except QueueDown as error:
            # The lease is open all the same; the entry comes back at once and is delayed then.
            log.warning("job %s: its queue entry could not be delayed: %s", body["uuid"], error)
        if body["has_garbage"]:
            self._ending.collect(body["uuid"])
        return claim_of(body)

    def _put_away(self, reserved: Reserved, uuid: str, outcome: _Outcome) -> None:
        if outcome.what == "wait":
            reserved.release(outcome.seconds)
            return
        if outcome.what == "held":
            reserved.release(HOLD_SECONDS)
            self._limits.held(uuid, outcome.owner)
            return
        if not self._ending.settle(uuid):
            reserved.release(PUT_OFF_SECONDS)
        elif outcome.what == "exhausted":
            reserved.bury()
            self._limits.wake(outcome.owner)
        else:
            reserved.delete()


def claim_of(body: dict[str, Any]) -> Claim:
    return Claim(
        uuid=body["uuid"],
        kind=body["kind"],
        attempt=body["attempt"],
        lease=body["lease"]["id"],
        lease_until=body["lease"]["until"],
        ert_seconds=body["estimate"]["ert_seconds"],
        package_sha256=body["model"]["package_sha256"],
        input_sha256=body["input"]["sha256"],
        model=body["model"],
        settings=body["settings"],
        source=body["source"],
    )
