"""In which order jobs are handed out: kinds before kinds, and within a kind everyone's next job in turn.

Start-time fair queueing (Goyal, Vin and Cheng 1996) with every job of the same weight: a job's turn is one after its
owner's last one, but never before the turn that is being served now. Who has a hundred jobs waiting lets everybody
else's first one pass, and nobody who comes later can keep an old job waiting for ever. The turn travels as
beanstalkd's priority, so that the order costs nothing when a job is handed out.
"""

from __future__ import annotations

from scheduler.jobs import Jobs

# What a person waits for comes first, pieces of a data set last.
KINDS = ("preview", "check", "evaluate", "train", "run")
TURNS_PER_KIND = 2**24
TURN = "queue.priority"


def base(kind: str) -> int:
    """The priority of the first turn of a kind; beanstalkd serves the smallest number first."""
    return (KINDS.index(kind) if kind in KINDS else len(KINDS)) * TURNS_PER_KIND


def turn_served(jobs: Jobs, kind: str) -> int | None:
    """The priority of the job of a kind that is handed out next, None without one."""
    served = jobs.edge(TURN, False, state=["queued"], kind=[kind])
    return None if served is None else int(served)


def last_turn(jobs: Jobs, kind: str, owner: str) -> int | None:
    """The priority of the owner's last job of a kind that is not over, None without one."""
    # State by state, because each is one look into an index, however many jobs there are.
    mine = [jobs.edge(TURN, True, state=[state], kind=[kind], owner=[owner]) for state in ("queued", "running")]
    return max((int(turn) for turn in mine if turn is not None), default=None)


def next_priority(kind: str, served: int | None, last: int | None) -> int:
    """That of a job that is submitted now: after its owner's `last` one, and not before the turn that is `served`."""
    first = base(kind)
    return min(max(first if served is None else served, -1 if last is None else last + 1), first + TURNS_PER_KIND - 1)
