"""What a job needs and what a worker can do: tubes, matching, and refusal of what nobody can serve."""

from __future__ import annotations

from typing import Any

import greenstalk
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scheduler_parts import Parts, Worker

from scheduler import contract
from scheduler.capabilities import (
    ALL_NEEDS,
    FORMATS,
    GPU_LEVELS,
    Ability,
    BadRequirement,
    Needs,
    NobodyCanServe,
    check_served,
    tubes_of,
)
from scheduler.fairness import KINDS

GPU16 = {"formats": ["keras", "onnx"], "gpu_formats": ["keras"], "gpu_memory_gb": 15.0}
requirements = st.fixed_dictionaries(
    {},
    optional={
        "formats": st.lists(st.sampled_from(FORMATS), max_size=3),
        "device": st.sampled_from(["any", "gpu"]),
        "gpu_memory_gb": st.floats(0, 80) | st.integers(0, 80),
    },
)
formats = st.lists(st.sampled_from(FORMATS), unique=True).map(tuple)
abilities = st.builds(
    Ability, st.just(("preview",)), formats, formats, st.sampled_from([0.0, 7.5, 11.0, 15.0, 22.5, 45.0, 79.6, 141.0])
)


@given(requirements)
def test_every_requirement_has_a_tube_that_says_what_it_was(requires: dict[str, Any]) -> None:
    needs = Needs.read(requires)
    tube = needs.tube("preview")
    assert needs in ALL_NEEDS
    assert Needs.of_tube(tube) == needs
    assert tube in tubes_of("preview")
    assert len(tube) <= 200
    assert set(tube) <= set("abcdefghijklmnopqrstuvwxyz0123456789.+-")
    assert needs.gpu_memory_gb >= requires.get("gpu_memory_gb", 0)
    if requires.get("formats"):
        assert needs.formats


@given(requirements, abilities)
def test_a_worker_watches_exactly_the_tubes_it_can_serve(requires: dict[str, Any], ability: Ability) -> None:
    needs = Needs.read(requires)
    assert (needs.tube("preview") in ability.tubes()) == ability.serves(needs)
    if ability.serves(needs):
        check_served("preview", needs, [ability])
    else:
        with pytest.raises(NobodyCanServe) as refused:
            check_served("preview", needs, [ability])
        assert refused.value.message.endswith(".")
        assert refused.value.hint.endswith(".")


@given(abilities, abilities)
def test_a_better_worker_serves_all_that_a_lesser_one_serves(one: Ability, more: Ability) -> None:
    best = Ability(
        one.kinds, one.formats + more.formats, one.gpu_formats + more.gpu_formats,
        max(one.gpu_memory_gb, more.gpu_memory_gb),
    )  # fmt: skip
    assert {*one.tubes(), *more.tubes()} <= {*best.tubes()}


def test_tubes_of_all_kinds_differ() -> None:
    tubes = [tube for kind in KINDS for tube in tubes_of(kind)]
    assert len(set(tubes)) == len(tubes) == len(KINDS) * len(ALL_NEEDS)


@pytest.mark.parametrize("sold", GPU_LEVELS)
def test_a_card_counts_as_it_is_sold(sold: int) -> None:
    """Cards tell of a little less memory than their box: 15 GiB of 16 GB, 22.5 of 24."""
    needs = Needs.read({"gpu_memory_gb": sold})
    assert Ability(gpu_formats=("keras",), gpu_memory_gb=sold * 0.93).serves(needs)
    assert not Ability(gpu_formats=("keras",), gpu_memory_gb=sold * 0.6).serves(needs)


@pytest.mark.parametrize("requires", [{"formats": ["torch"]}, {"device": "tpu"}, {"gpu_memory_gb": 100}])
def test_a_requirement_that_makes_no_sense_is_refused(parts: Parts, requires: dict[str, Any]) -> None:
    with pytest.raises(BadRequirement):
        parts.submit(requires=requires)
    assert parts.scheduler.status()["queued"] == 0


def test_a_worker_takes_only_what_it_can_serve(parts: Parts, worker: Worker, bare: greenstalk.Client) -> None:
    large = parts.submit(requires={"gpu_memory_gb": 16, "formats": ["keras"]})
    assert "zooscope.preview.keras-gpu16" in bare.tubes()
    assert worker.reserve() is None
    small = parts.submit("ben", requires={"formats": ["onnx"]})
    assert worker.claim().uuid == small
    assert worker.reserve(facts=GPU16 | {"gpu_memory_gb": 8.0}) is None
    claim = worker.reserve(facts=GPU16)
    assert claim is not None
    assert claim.uuid == large


def test_order_holds_across_the_tubes_that_a_worker_serves(parts: Parts, worker: Worker) -> None:
    wanted = [{"formats": ["keras"]}, {}, {"formats": ["onnx"]}, {"device": "gpu"}, {"formats": ["keras", "onnx"]}]
    uuids = [parts.submit(requires=requires) for requires in wanted]
    claims = [worker.reserve(2.0, facts=GPU16) for _ in wanted]
    assert [claim.uuid for claim in claims if claim is not None] == uuids


def test_without_any_worker_a_job_is_accepted_and_waits(parts: Parts) -> None:
    assert parts.job(parts.submit(requires={"gpu_memory_gb": 80}))["state"] == "queued"


def test_what_nobody_online_can_serve_is_refused_with_what_is_missing(parts: Parts, worker: Worker) -> None:
    worker.reserve()
    with pytest.raises(NobodyCanServe, match=r"has no GPU") as refused:
        parts.submit(requires={"gpu_memory_gb": 16})
    assert "a GPU with 16 GB" in refused.value.hint
    assert refused.value.status == 409
    assert parts.scheduler.status()["queued"] == 0
    worker.reserve(facts=GPU16, worker="other")
    with pytest.raises(NobodyCanServe, match=r"None of the 2 workers online has a GPU with 48 GB.*largest has 15 GB"):
        parts.submit(requires={"gpu_memory_gb": 40})
    with pytest.raises(NobodyCanServe, match="reviewed TensorFlow models"):
        parts.submit(requires={"formats": ["reviewed"]})
    with pytest.raises(NobodyCanServe, match="jobs of the kind 'train'"):
        parts.submit(kind="train")
    assert parts.job(parts.submit(requires={"gpu_memory_gb": 16}))["state"] == "queued"


def test_a_job_whose_only_worker_is_drained_is_accepted(parts: Parts, worker: Worker) -> None:
    worker.reserve(facts=GPU16)
    parts.scheduler.workers.drain("w1")
    assert parts.job(parts.submit(requires={"device": "gpu"}))["state"] == "queued"


def test_an_entry_moved_to_another_tube_is_given_to_nobody(
    parts: Parts, worker: Worker, bare: greenstalk.Client
) -> None:
    uuid = parts.submit(requires={"device": "gpu"})
    assert worker.reserve() is None  # and what was lost before is healed
    bare.watch("zooscope.preview.gpu")
    job = bare.reserve(timeout=1)
    bare.delete(job)
    bare.use("zooscope.preview")
    bare.put(job.body)
    assert worker.reserve() is None
    assert bare.stats_tube("zooscope.preview")["current-jobs-buried"] == 1
    parts.scheduler.maintenance.recover()
    claim = worker.reserve(2.0, facts=GPU16)
    assert claim is not None
    assert claim.uuid == uuid


def test_a_pause_holds_for_every_tube_of_a_kind(parts: Parts, worker: Worker) -> None:
    parts.submit(requires={"formats": ["onnx"]})
    parts.scheduler.pause("preview", 60)
    assert worker.reserve() is None
    assert 50 <= parts.scheduler.paused()["preview"] <= 60
    parts.scheduler.pause("preview", 0)
    assert worker.reserve(2.0) is not None


@pytest.mark.parametrize(
    "facts",
    [{"gpu_memory_gb": "much"}, {"gpu_memory_gb": -1}, {"formats": "keras"}, {"device_name": 3}, {"memory_gb": 1e9}],
)
def test_facts_that_make_no_sense_are_refused(worker: Worker, facts: dict[str, Any]) -> None:
    refused = worker.post(contract.RESERVE, {"worker": "w1", "timeout_seconds": 0, "facts": facts})
    assert (refused.status_code, refused.json["error"]["code"]) == (400, "bad-message")
