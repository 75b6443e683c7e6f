"""Leases: who may work on a job, and until when. Pure transitions of a job's body, made under compare-and-set.

A lease is a random id. Whoever shows the current one may write to the job, even when its time has run out and nobody
else has taken the job; once another lease was opened, the old one is stale for good. That is the fence.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scheduler.contract import FINAL_STATES
from scheduler.jobs import Body, note
from zoo.errors import UserError
from zoo.identifiers import new_uuid

# Claims that nobody ever started do not count as attempts; a job that always kills its worker at once still ends.
MAXIMUM_LOST_CLAIMS = 20
LONGEST_RETRY_SECONDS = 60.0
# By how much the clocks of replicas may differ without anybody thinking that one was set back.
CLOCK_SKEW_SECONDS = 2.0


class StaleLease(UserError):
    code = "stale-lease"
    status = 409

    def __init__(self) -> None:
        super().__init__("Another attempt owns this job now.", "Forget the job and ask for another one.")


class JobOver(UserError):
    code = "job-over"
    status = 410

    def __init__(self, state: str) -> None:
        super().__init__(f"The job is over: {state}.", "Stop working on it and ask for another one.")


def check(body: Mapping[str, Any], lease: str) -> None:
    """Raise JobOver or StaleLease unless `lease` is the job's current one."""
    if body["state"] in FINAL_STATES:
        raise StaleLease if body["state"] != "cancelled" and body["last_lease"] != lease else JobOver(body["state"])
    if body["lease"] is None or body["lease"]["id"] != lease:
        raise StaleLease


def ended_by(body: Mapping[str, Any], lease: str) -> bool:
    """Whether this lease itself has already ended this attempt: its message came twice."""
    return body["lease"] is None and body["last_lease"] == lease


def remaining(body: Mapping[str, Any], now: float) -> float:
    """Seconds the current lease still runs; 0 when there is none, and never more than leases are given for."""
    return min(max(0.0, body["lease"]["until"] - now), _span(body)) if body["lease"] else 0.0


def _span(body: Mapping[str, Any]) -> float:
    lease = body["lease"]
    return float(body["estimate"]["ert_seconds"] if lease["started"] else lease["until"] - lease["opened_at"])


def mend(body: Body, now: float) -> bool:
    """A lease from the future was given before the clock was set back: it runs from now. True if it was one."""
    if not body["lease"] or body["lease"]["until"] - now <= _span(body) + CLOCK_SKEW_SECONDS:
        return False
    body["lease"] |= {"opened_at": now, "until": now + _span(body)}
    return True


def close(body: Body) -> None:
    """End the current lease; what was uploaded under it and is no result becomes garbage."""
    if body["lease"] is None:
        return
    kept = {file["sha256"] for file in body["result"]["files"]} if body["result"] else set()
    uploaded = set(body["lease"]["files"].values()) - kept
    body["garbage"] = sorted(uploaded.union(body["garbage"]))
    body["lease"] = None


def lose(body: Body, now: float) -> None:
    """Close a lease whose time has run out without a word from its worker."""
    lease = body["lease"]
    if lease is None:
        return
    if lease["started"]:
        note(body, now, "lost", f"{lease['worker']} stopped answering")
    else:
        body["attempt"] -= 1
        body["lost_claims"] += 1
    close(body)


def exhausted(body: Mapping[str, Any], attempts: int) -> bool:
    return body["attempt"] >= attempts or body["lost_claims"] > MAXIMUM_LOST_CLAIMS


def open_lease(body: Body, worker: str, device: str, seconds: float, now: float) -> str:
    """Give the job to a worker for `seconds` in which it must start; returns the lease's id."""
    lease = new_uuid()
    body["attempt"] += 1
    body |= {"state": "queued", "held": False}
    body["last_lease"] = lease
    body["lease"] = {
        "id": lease,
        "worker": worker,
        "device": device,
        "opened_at": now,
        "until": now + seconds,
        "started": False,
        "files": {},
        "overlay": None,
    }
    body["progress"] = {"stage": "queued", "fraction": 0.0, "message": "", "at": now}
    return lease


def hold(body: Body, now: float) -> None:
    """Leave the job waiting: its owner has as many running as may run at once."""
    if not body.get("held"):
        note(body, now, "held", "its owner has as many running as may run at once")
    body |= {"state": "queued", "held": True}


def start(body: Body, lease: str, now: float) -> None:
    check(body, lease)
    if not body["lease"]["started"]:
        body["started_at"] = now
        body["progress"] = {"stage": "loading", "fraction": 0.0, "message": "", "at": now}
        note(body, now, "started", f"{body['lease']['worker']}, attempt {body['attempt']}")
    body["state"] = "running"
    body["lease"] |= {"started": True, "until": now + body["estimate"]["ert_seconds"]}


def extend(body: Body, lease: str, now: float) -> None:
    check(body, lease)
    body["lease"]["until"] = now + body["estimate"]["ert_seconds"]


def hand_back(body: Body, lease: str, now: float) -> None:
    """The worker gives the job back unharmed: this attempt does not count."""
    check(body, lease)
    note(body, now, "handed back", body["lease"]["worker"])
    body["attempt"] -= 1
    requeue(body, now)


def take_away(body: Body, now: float, why: str) -> None:
    """The worker may not keep the job: others do it, and this attempt does not count."""
    note(body, now, "taken away", f"{body['lease']['worker']}: {why}")
    body["attempt"] -= 1
    requeue(body, now)


def requeue(body: Body, now: float) -> None:
    close(body)
    body["state"] = "queued"
    body["progress"] = {"stage": "queued", "fraction": 0.0, "message": "", "at": now}


def finish(body: Body, state: str, now: float, error: Mapping[str, Any] | None = None) -> None:
    """Bring the job into a final state. A result, if any, is in the body already."""
    close(body)
    body |= {"state": state, "finished_at": now, "error": None if error is None else dict(error)}
    # Where it came from is only known while that matters.
    body |= {"held": False, "address": ""}
    note(body, now, state, "" if error is None else str(error["message"]))


def bury(body: Body, now: float) -> None:
    """Mark a job that failed after all its attempts: its queue entry is buried, for an operator to look at."""
    body["buried"] = True
    note(body, now, "buried", f"after {body['attempt']} attempts")


def retry_seconds(attempt: int) -> float:
    """How long a job that failed its `attempt`-th time waits for the next: 1, 2, 4 … seconds."""
    return min(2.0 ** (max(1, attempt) - 1), LONGEST_RETRY_SECONDS)


def lost_error(body: Mapping[str, Any]) -> dict[str, str]:
    """Why a job is given up whose workers kept disappearing."""
    tries = max(body["attempt"], 1) if body["lost_claims"] <= MAXIMUM_LOST_CLAIMS else body["lost_claims"]
    return {
        "code": "worker-lost",
        "message": f"The worker stopped answering while it ran this job, {tries} times in a row.",
        "hint": "Try a smaller region or another model; the operator finds more in the worker's log.",
    }


def show_early(body: Body, lease: str, sha256: str) -> None:
    """The overlay of the attempt under `lease` is stored and may be looked at; raises what `check` raises."""
    check(body, lease)
    body["lease"]["overlay"] = sha256
