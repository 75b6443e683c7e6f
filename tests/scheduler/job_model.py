"""A job as its user and its workers know it: what the documents of a scheduler are compared with."""

from __future__ import annotations

from dataclasses import dataclass, field

from scheduler.contract import FINAL_STATES

CLAIM_SECONDS, ERT_SECONDS, ATTEMPTS = 5.0, 20.0, 2
MAXIMUM_LOST_CLAIMS = 20


@dataclass
class Seen:
    """`lease` is the one that holds the job, `last` the latest there was; `files` by lease and name."""

    uuid: str
    owner: str
    state: str = "queued"
    lease: str | None = None
    last: str | None = None
    started: bool = False
    until: float = 0.0
    attempt: int = 0
    lost: int = 0
    buried: bool = False
    deleted: bool = False
    result: str | None = None
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    @property
    def over(self) -> bool:
        return self.state in FINAL_STATES

    def holds(self, lease: str) -> bool:
        return not self.over and not self.deleted and self.lease == lease

    def ended_by(self, lease: str) -> bool:
        return not self.deleted and self.lease is None and self.last == lease

    def end_attempt(self, state: str) -> None:
        self.state, self.lease, self.started = state, None, False

    def lose(self) -> None:
        if self.lease is not None and not self.started:
            self.attempt, self.lost = self.attempt - 1, self.lost + 1
        self.end_attempt("queued")

    def exhausted(self) -> bool:
        return self.attempt >= ATTEMPTS or self.lost > MAXIMUM_LOST_CLAIMS

    def open(self, lease: str, now: float) -> None:
        self.lose()
        self.lease = self.last = lease
        self.attempt, self.until = self.attempt + 1, now + CLAIM_SECONDS

    def exhausted_once_lost(self) -> bool:
        """Whether the job is to be given up, rather than handed out, when its lease is found to have run out."""
        unstarted = self.lease is not None and not self.started
        return self.attempt - unstarted >= ATTEMPTS or self.lost + unstarted > MAXIMUM_LOST_CLAIMS
