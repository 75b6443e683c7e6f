"""A worker's request for a job: it waits at beanstalkd in pieces, and is handed a claim, or nothing in its time."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from scheduler.affinity import Affinity, Waiting
from scheduler.capabilities import Ability
from scheduler.claims import PUT_OFF_SECONDS, Claims
from scheduler.clock import monotonic
from scheduler.contract import Claim, ReserveRequest
from scheduler.maintenance import Maintenance
from scheduler.pauses import Pauses
from scheduler.queue import Queue, Reserved
from scheduler.worker_tokens import TokenRevoked, TokenUnknown, WorkerTokens
from scheduler.workers import Workers
from zoo.errors import UserError, ZooscopeError
from zoo.settings import Settings

log = logging.getLogger(__name__)

# A long poll waits in pieces, so that it notices a worker that hung up and a service that stops.
WAIT_SECONDS = 1
KIND = re.compile(r"[a-z0-9][a-z0-9-]{0,49}")
MAXIMUM_KINDS = 16


class BadCapability(UserError):
    code = "bad-capability"


class Draining(UserError):
    """The worker is being drained and waited in vain."""

    code = "draining"


@dataclass
class Reserving:
    """`stopping` says that the service ends."""

    queue: Queue
    claims: Claims
    workers: Workers
    tokens: WorkerTokens
    pauses: Pauses
    maintenance: Maintenance
    settings: Settings
    stopping: Callable[[], bool]

    def __post_init__(self) -> None:
        self._affinity = Affinity()

    def reserve(
        self, request: ReserveRequest, gone: Callable[[], bool] = lambda: False, token: str = ""
    ) -> Claim | None:
        """A job for this worker, or None when there was none in its time. `gone` says that nobody waits any more,
        `token` names the token that the worker showed.

        Raises BadCapability, TokenRevoked, and Draining at the end of its time when the worker is being drained.
        """
        tubes = _ability(request).tubes()
        deadline = monotonic() + min(max(0.0, request.timeout_seconds), self.settings.reserve_seconds)
        self._says(request, token)
        self.maintenance.run_if_due(idle=False)
        waiting = Waiting(request.worker, request.device, token, tubes, request.warm_models, gone)
        with self._affinity.enter(waiting):
            try:
                while not (self.stopping() or gone()):
                    if self._over(waiting, deadline - monotonic()):
                        break
                    self._says(request, token)
            except ZooscopeError:
                # What it was handed meanwhile is its own all the same.
                if self._affinity.leave(waiting) is None:
                    raise
            claim = self._affinity.leave(waiting)
        if claim is not None:
            self.workers.working(request.worker, request.device, claim.uuid)
        return claim

    def _over(self, waiting: Waiting, left: float) -> bool:
        """Wait for a moment; True when there is a claim or no time left."""
        if waiting.token:
            self.tokens.check_good(waiting.token)
        if self.workers.draining(waiting.worker):
            if left <= 0:
                raise Draining("This worker is being drained: it is given no jobs.")
            waiting.rest(min(WAIT_SECONDS, left))
            nothing = True
        else:
            nothing = self._one_piece(waiting, max(0.0, left))
        return waiting.claim is not None or (nothing and left <= 0)

    def _one_piece(self, waiting: Waiting, left: float) -> bool:
        """Wait at beanstalkd for a moment; True when nothing came."""
        seconds = min(WAIT_SECONDS, math.ceil(left))
        waiting.hush()
        if waiting.claim is not None:
            return False
        reserved = None
        if tubes := self.pauses.open(waiting.tubes):
            with self.queue.reserving(tubes, seconds, waiting.wake) as reserved:
                # A job that is left alone is ready again for somebody else at once.
                if reserved is not None and not waiting.gone() and self._affinity.begin(waiting):
                    self._claim(reserved, waiting)
        else:
            waiting.rest(min(WAIT_SECONDS, left))
        self._affinity.settled(waiting)
        if reserved is not None or waiting.claim is not None:
            return False
        self.maintenance.run_if_due(idle=True)
        self.workers.forget_old()
        return True

    def _claim(self, reserved: Reserved, mine: Waiting) -> None:
        """Make a claim of the reserved entry: for the request that reserved it, or for one that holds its model."""
        other, claim = None, None
        try:
            job = self.claims.believe(reserved, mine.tubes)
            if job is None:
                return
            package, tube = job.body["model"]["package_sha256"], job.body["queue"]["tube"]
            other = self._affinity.promise(mine, package, tube, self._takes)
            taker = other or mine
            if other is not None or self._takes(mine):
                claim = self.claims.lease(reserved, job, taker.worker, taker.device, taker.token)
        except ZooscopeError:
            raise
        except Exception:
            # Whatever is wrong with this job must not keep those behind it waiting.
            log.exception("queue entry %d is put off", reserved.handle.job_id)
            reserved.release(PUT_OFF_SECONDS)
        finally:
            if other is not None:
                self._affinity.keep(other, claim)
            else:
                mine.claim = claim
            self._affinity.end(mine)

    def _takes(self, waiting: Waiting) -> bool:
        """Whether its worker may be given a job now, however long it waited."""
        if waiting.token:
            try:
                self.tokens.check_good(waiting.token)
            except (TokenRevoked, TokenUnknown):
                return False
        return not self.workers.draining(waiting.worker)

    def _says(self, request: ReserveRequest, token: str) -> None:
        self.workers.waiting(request.worker, token=token, **request.told())


def _ability(request: ReserveRequest) -> Ability:
    kinds, facts = request.capabilities, request.facts
    if not 0 < len(kinds) <= MAXIMUM_KINDS or not all(map(KIND.fullmatch, kinds)):
        raise BadCapability("The worker's capabilities are not valid.", "Name one or more, such as 'preview'.")
    return Ability(kinds, facts.formats, facts.gpu_formats, facts.gpu_memory_gb)
