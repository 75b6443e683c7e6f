"""In which order jobs are handed out: kinds, owners in turn, and that a place in the queue is kept."""

from __future__ import annotations

import greenstalk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scheduler.contract import FAIL, RELEASE
from scheduler.fairness import KINDS, TURNS_PER_KIND, base
from tests.scheduler.scheduler_parts import Parts, Worker


def taken(parts: Parts, worker: Worker, count: int) -> list[str]:
    """The owners of the next `count` jobs, each done before the next is asked for."""
    owners = []
    for _ in range(count):
        claim = worker.reserve(1.0)
        assert claim is not None
        owners.append(parts.job(claim.uuid)["owner"])
        parts.scheduler.cancel(claim.uuid)
    return owners


def test_a_first_job_passes_anothers_second(parts: Parts, worker: Worker) -> None:
    for owner in ("ada", "ada", "ada", "ben", "cy"):
        parts.submit(owner)
    assert taken(parts, worker, 5) == ["ada", "ben", "cy", "ada", "ada"]


def test_a_place_in_the_queue_is_told_as_it_will_be_served(parts: Parts) -> None:
    uuids = [parts.submit(owner) for owner in ("ada", "ada", "ben")]
    assert [parts.scheduler.place(uuid) for uuid in uuids] == [0, 2, 1]


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=8))
def test_nobody_is_served_twice_before_anybody_once(parts: Parts, worker: Worker, owners: list[str]) -> None:
    for owner in owners:
        parts.submit(owner)
    order = taken(parts, worker, len(owners))
    served = [order[:index].count(owner) for index, owner in enumerate(order)]
    assert served == sorted(served)


def test_a_newcomer_does_not_pass_who_has_waited_for_that_turn(parts: Parts, worker: Worker) -> None:
    for _ in range(4):
        parts.submit("ada")
    assert taken(parts, worker, 2) == ["ada", "ada"]
    parts.submit("ben")
    parts.submit("ben")
    assert taken(parts, worker, 4) == ["ada", "ben", "ada", "ben"]


def test_previews_come_before_every_other_kind(parts: Parts, worker: Worker) -> None:
    for kind in reversed(KINDS):
        parts.submit(kind=kind)
    kinds = []
    for _ in KINDS:
        claim = worker.reserve(1.0, capabilities=KINDS)
        assert claim is not None
        kinds.append(claim.kind)
        parts.scheduler.cancel(claim.uuid)
    assert tuple(kinds) == KINDS


def test_kinds_never_overlap() -> None:
    assert [base(kind) for kind in KINDS] == [index * TURNS_PER_KIND for index in range(len(KINDS))]
    assert base("unknown") == len(KINDS) * TURNS_PER_KIND < 2**32


def test_a_job_handed_back_or_retried_keeps_its_place(parts: Parts, worker: Worker, bare: greenstalk.Client) -> None:
    uuid = parts.submit("ada")
    second = parts.submit("ada")
    for template, body in ((RELEASE, {}), (FAIL, {"code": "x", "message": "m", "retry": True})):
        claim = worker.reserve(3.0)
        assert claim is not None
        assert claim.uuid == uuid
        worker.post(template, {"lease": claim.lease} | body, uuid=uuid)
        entry = parts.job(uuid)["queue"]
        assert bare.stats_job(entry["job_id"])["pri"] == entry["priority"]
    assert parts.job(second)["queue"]["priority"] == parts.job(uuid)["queue"]["priority"] + 1
