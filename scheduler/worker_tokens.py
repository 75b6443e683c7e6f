"""Tokens of single workers: named, revocable, and good for some kinds of jobs only. Only a hash of each is stored.

A token is `zsw_<name>_<secret>`. It is for the worker called `name`, or `name-...` where a machine has several. Beside
them the installation's own token is good for any worker: `zooscope up` gives it to those that it starts.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scheduler.clock import now
from scheduler.contract import FINAL_STATES, OWN_TOKEN, ReserveRequest, name_in_token
from scheduler.fairness import KINDS
from scheduler.jobs import Body, JobMissing, Jobs, handle_of
from scheduler.leases import take_away
from scheduler.queue import Queue
from zoo.documents import DocumentExists, DocumentMissing, Documents, Fields, Query, RevisionConflict
from zoo.errors import Unavailable, UserError
from zoo.identifiers import is_slug

log = logging.getLogger(__name__)

Filters = Mapping[str, Sequence[str | bool]]

COLLECTION = "worker_tokens"
SECRET_BYTES = 32
PAGE = 200


class BadName(UserError):
    code = "bad-worker-name"


class TokenUnknown(UserError):
    code = "bad-token"
    status = 401

    def __init__(self) -> None:
        super().__init__(
            "The worker's token is not right.",
            "Use the token in secrets/worker-token of the data folder, or one made with `zooscope workers token NAME`.",
        )


class TokenRevoked(UserError):
    code = "token-revoked"
    status = 401


class TokenExists(UserError):
    code = "token-exists"
    status = 409


class TokenMissing(UserError):
    code = "token-missing"
    status = 404


class OutOfScope(UserError):
    """The token is good, but not for this."""

    code = "out-of-scope"
    status = 403


@dataclass(frozen=True)
class Grant:
    """What a token is good for: the worker `name` and these `kinds`; the installation's own, "", for anything."""

    name: str = ""
    kinds: tuple[str, ...] = KINDS

    def check_worker(self, worker: str) -> None:
        """Raise OutOfScope unless the worker may call itself so: nobody speaks for another one."""
        if self.name and worker != self.name and not worker.startswith(f"{self.name}-"):
            raise OutOfScope(
                f"The token of {self.name} is not for a worker called {worker[:100]!r}.",
                f"Start the worker with --name {self.name}, or ask the operator for a token of its own.",
            )

    def kinds_for(self, asked: ReserveRequest) -> tuple[str, ...]:
        """The kinds that the worker asks for and may have; raises OutOfScope when there are none."""
        self.check_worker(asked.worker)
        if not self.name:
            return asked.capabilities
        kinds = tuple(kind for kind in asked.capabilities if kind in self.kinds)
        if not kinds:
            raise OutOfScope(
                f"The token of {self.name} is for jobs of the kinds {', '.join(self.kinds)}.",
                f"The worker asks for {', '.join(asked.capabilities)}; ask the operator for another token.",
            )
        return kinds


class WorkerTokens:
    """Thread-safe. Every check reads the document, so that a revoked token is refused by all replicas at once."""

    def __init__(self, documents: Documents, jobs: Jobs, queue: Queue) -> None:
        self._documents = documents
        self._jobs = jobs
        self._queue = queue
        documents.declare(COLLECTION, Fields(single=("name",), orders=(("name",),)))

    def make(self, name: str, kinds: Sequence[str] = ()) -> str:
        """A new token for the worker `name`, which is never shown again; `kinds` of jobs it is good for, none: all.

        Raises BadName, OutOfScope for an unknown kind, and TokenExists while the worker has another one.
        """
        if not is_slug(name):
            raise BadName(
                f"{name[:100]!r} cannot be a worker's name.", "Use lower-case letters, digits, dots and hyphens."
            )
        unknown = [kind for kind in kinds if kind not in KINDS]
        if unknown:
            raise OutOfScope(f"There are no jobs of the kind {unknown[0][:40]!r}.", f"Kinds: {', '.join(KINDS)}.")
        secret = secrets.token_hex(SECRET_BYTES)
        body = {
            "name": name, "sha256": _hash(secret), "kinds": list(kinds) or list(KINDS),
            "created_at": now(), "revoked_at": None,
        }  # fmt: skip
        try:
            self._documents.create(COLLECTION, name, body)
        except DocumentExists:
            stored = self._documents.get(COLLECTION, name)
            if stored.body["revoked_at"] is None:
                raise TokenExists(
                    f"The worker {name} has a token already.", f"Revoke it first: zooscope workers revoke {name}."
                ) from None
            try:
                self._documents.replace(COLLECTION, name, body, stored.revision)
            except RevisionConflict:
                raise TokenExists(f"Another token for {name} was made just now.", "Use that one.") from None
        log.info("a token for the worker %s was made", name)
        return f"{OWN_TOKEN}_{name}_{secret}"

    def check(self, shown: str) -> Grant:
        """What the token is good for; raises TokenUnknown or TokenRevoked."""
        name, secret = name_in_token(shown), shown.rpartition("_")[2]
        if not name or not secret or len(shown) > 500 or not shown.isprintable():
            raise TokenUnknown
        try:
            body = self._documents.get(COLLECTION, name).body
        except DocumentMissing:
            raise TokenUnknown from None
        if not hmac.compare_digest(_hash(secret), body["sha256"]):
            raise TokenUnknown
        _refuse_revoked(body)
        return Grant(name, tuple(body["kinds"]))

    def check_good(self, name: str) -> None:
        """Raise TokenRevoked if the token of that name, which was good a while ago, is not any more."""
        try:
            _refuse_revoked(self._documents.get(COLLECTION, name).body)
        except DocumentMissing:
            raise TokenUnknown from None

    def revoke(self, name: str) -> int:
        """Refuse the token from now on and take its jobs away, for others to do at once; returns how many it had.

        Raises TokenMissing; a token that was revoked before stays as it is.
        """
        while True:
            try:
                stored = self._documents.get(COLLECTION, name)
                if stored.body["revoked_at"] is None:
                    revoked = stored.body | {"revoked_at": now()}
                    self._documents.replace(COLLECTION, name, revoked, stored.revision)
            except DocumentMissing:
                raise TokenMissing(
                    f"There is no token for a worker called {name[:100]!r}.",
                    "`zooscope workers` lists those there are.",
                ) from None
            except RevisionConflict:
                continue
            break
        log.info("the token of the worker %s was revoked", name)
        return self._take_away(name)

    def listed(self) -> list[dict[str, Any]]:
        """{name, kinds, created_at, revoked_at} of every token ever made, by name."""
        found: list[dict[str, Any]] = []
        while True:
            page = len(found) // PAGE + 1
            items = self._documents.search(COLLECTION, Query(sort="name", descending=False, size=PAGE, page=page)).items
            found += [{key: one.body[key] for key in ("name", "kinds", "created_at", "revoked_at")} for one in items]
            if len(items) < PAGE:
                return found

    def _take_away(self, name: str) -> int:
        """Open leases under the token `name` are lost; it is not the jobs' fault, so their attempts do not count."""
        filters: Filters = {"lease.token": [name], "state": ["queued", "running"], "deleted": [False]}
        held = [stored.id for stored in self._jobs.search(Query(filters=filters, sort="created_at", size=PAGE)).items]
        return sum(self._take_one(uuid, name) for uuid in held)

    def _take_one(self, uuid: str, name: str) -> bool:
        taken = False

        def take(body: Body) -> bool | None:
            nonlocal taken
            taken = bool(body["lease"]) and body["lease"].get("token") == name and body["state"] not in FINAL_STATES
            if not taken:
                return False
            take_away(body, now(), "the worker's token was revoked")
            return None

        try:
            body = self._jobs.change(uuid, take).body
            handle = handle_of(body)
            if taken and handle is not None:
                self._queue.delay_again(handle, uuid, 0.0)
        except JobMissing:
            return False
        except Unavailable as error:
            log.warning("job %s: its queue entry is made ready later: %s", uuid, error)
        return taken


def _refuse_revoked(body: Mapping[str, Any]) -> None:
    if body["revoked_at"] is not None:
        at = time.strftime("%Y-%m-%d %H:%M", time.gmtime(body["revoked_at"]))
        name = body["name"]
        raise TokenRevoked(
            f"The token of the worker {name} was revoked on {at} UTC.", "Ask the operator for a new one."
        )


def _hash(secret: str) -> str:
    """Secrets are random and long, so that a plain hash keeps them."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()
