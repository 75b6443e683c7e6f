"""In which order jobs are handed out: kinds before kinds, and within a kind everyone's next job in turn.

Start-time fair queueing (Goyal, Vin and Cheng 1996) with every job of the same weight: a job's turn is one after its
owner's last one, but never before the turn that is being served now. Who has a hundred jobs waiting lets everybody
else's first one pass, and nobody who comes later can keep an old job waiting for ever. The turn travels as
beanstalkd's priority, so that the order costs nothing when a job is handed out.
"""

from __future__ import annotations

import threading

from scheduler.jobs import Jobs

# What a person waits for comes first, pieces of a data set last.
KINDS = ("preview", "check", "evaluate", "train", "run")
TURNS_PER_KIND = 2**24
STRIPES = 64
TURN = "queue.priority"


class Turns:
    """Locks under which one owner's submissions get their turns one after another; other owners need not wait.

    Replicas that take a submission of one owner at the very same time may give both the same turn.
    """

    def __init__(self) -> None:
        self._locks = [threading.Lock() for _ in range(STRIPES)]

    def of(self, owner: str) -> threading.Lock:
        return self._locks[hash(owner) % STRIPES]


def base(kind: str) -> int:
    """The priority of the first turn of a kind; beanstalkd serves the smallest number first."""
    return (KINDS.index(kind) if kind in KINDS else len(KINDS)) * TURNS_PER_KIND


def next_priority(jobs: Jobs, kind: str, owner: str) -> int:
    """The priority of a job that `owner` submits now."""
    first = base(kind)
    served = jobs.edge(TURN, False, state=["queued"], kind=[kind])
    # State by state, because each is one look into an index, however many jobs there are.
    mine = [jobs.edge(TURN, True, state=[state], kind=[kind], owner=[owner]) for state in ("queued", "running")]
    after = max((int(turn) for turn in mine if turn is not None), default=-1) + 1
    return min(max(first if served is None else int(served), after), first + TURNS_PER_KIND - 1)
