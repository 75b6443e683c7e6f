"""Warm affinity: a job goes to an idle worker that holds its model, at once, and nobody waits for it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from scheduler_parts import SHORT, Parts, Worker, free_port

from scheduler.affinity import FREE, Affinity, Waiting
from scheduler.capabilities import Ability
from scheduler.contract import Claim, ReserveRequest
from scheduler.worker_tokens import TokenRevoked
from zoo.settings import Settings

A, B = "a" * 64, "b" * 64
TUBES = ("zooscope.preview", "zooscope.preview.gpu")
Waits = Callable[..., "Future[Claim | None]"]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A claim that nobody starts is not handed out again while a test looks on."""
    return Settings(data=tmp_path / "data", beanstalkd=f"127.0.0.1:{free_port()}", **SHORT | {"claim_seconds": 60.0})


@pytest.fixture
def waits(parts: Parts) -> Iterator[Waits]:
    """Lets a worker wait for a job; returns when it is waiting, with what it will be given."""
    with ThreadPoolExecutor(8) as pool, contextlib.ExitStack() as stack:
        stack.callback(setattr, parts.scheduler, "stopping", lambda: True)
        affinity = parts.scheduler._reserving._affinity

        def wait(name: str, *models: str, seconds: float = 5.0, token: str = "", **more: Any) -> Future[Claim | None]:
            entered = threading.Event()
            request = ReserveRequest(name, timeout_seconds=seconds, warm_models=models)
            enter = affinity.enter

            @contextlib.contextmanager
            def entering(waiting: Waiting) -> Iterator[None]:
                with enter(waiting):
                    entered.set()
                    yield

            affinity.enter = entering  # type: ignore[method-assign]
            waiting = pool.submit(parts.scheduler.reserve, request, token=token, **more)
            assert entered.wait(10)
            affinity.enter = enter  # type: ignore[method-assign]
            return waiting

        yield wait


def submit(parts: Parts, package: str, owner: str = "ada") -> str:
    return parts.submit(owner, model=dict(parts.request().model) | {"package_sha256": package})


def test_a_job_goes_to_the_waiting_worker_that_holds_its_model(parts: Parts, waits: Waits) -> None:
    cold = [waits("cold-1"), waits("cold-2", B)]
    warm = waits("warm", A)
    cold.append(waits("cold-3"))
    uuid = submit(parts, A)
    claim = warm.result(10)
    assert claim is not None
    assert (claim.uuid, parts.job(uuid)["lease"]["worker"]) == (uuid, "warm")
    assert not any(waiting.done() for waiting in cold)
    # The others went on waiting, and the next job of the model is not held back for the one that is busy now.
    other = submit(parts, A, "ben")
    taken = next(as_completed(cold)).result()
    assert taken is not None
    assert (taken.uuid, taken.attempt) == (other, 1)


def test_of_several_warm_workers_each_is_given_one_before_a_cold_one(parts: Parts, waits: Waits) -> None:
    first, second, _ = waits("warm-1", A), waits("warm-2", A), waits("cold")
    claims = []
    for owner in ("ada", "ben"):
        submit(parts, A, owner)
    for waiting in (first, second):
        claim = waiting.result(10)
        assert claim is not None
        claims.append(claim.uuid)
    assert len(set(claims)) == 2


def test_a_warm_worker_that_is_drained_or_gone_or_revoked_is_passed_over(parts: Parts, waits: Waits) -> None:
    tokens = parts.scheduler.worker_tokens
    tokens.make("revoked")
    waits("drained", A)
    parts.scheduler.workers.drain("drained")
    revoked = waits("revoked", A, token="revoked")
    tokens.revoke("revoked")
    gone = Waiting("gone", "cpu", "", Ability().tubes(), [A], lambda: True)
    with parts.scheduler._reserving._affinity.enter(gone):
        cold = waits("cold")
        uuid = submit(parts, A)
        claim = cold.result(10)
        assert claim is not None
        assert claim.uuid == uuid
    with pytest.raises(TokenRevoked):
        revoked.result(10)


def test_a_waiting_worker_is_told_when_its_token_is_revoked(parts: Parts, waits: Waits) -> None:
    parts.scheduler.worker_tokens.make("gpu-1")
    waiting = waits("gpu-1", token="gpu-1")
    parts.scheduler.worker_tokens.revoke("gpu-1")
    uuid = submit(parts, A)
    with pytest.raises(TokenRevoked):
        waiting.result(10)
    assert parts.job(uuid)["lease"] is None


def test_what_comes_back_of_a_broken_promise_is_given_to_the_next(
    parts: Parts, waits: Waits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The claim that a cold worker makes for a warm one fails: both go on waiting, and the job is done all the same."""
    claims = parts.scheduler._claims
    lease, failed = claims.lease, []

    def fail_once(*arguments: Any) -> Claim | None:
        if not failed:
            failed.append(arguments[2])
            raise ValueError("a fault in the middle")
        return lease(*arguments)

    monkeypatch.setattr(claims, "lease", fail_once)
    monkeypatch.setattr("scheduler.reserving.PUT_OFF_SECONDS", 1)
    waits("cold")
    warm = waits("warm", A)
    uuid = submit(parts, A)
    claim = warm.result(15)
    assert claim is not None
    assert (claim.uuid, failed) == (uuid, ["warm"])


@hypothesis.settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.sets(st.sampled_from([A, B])), min_size=1, max_size=4),
    st.lists(st.sampled_from([A, B, "c" * 64]), min_size=1, max_size=12),
)
def test_every_job_is_given_to_exactly_one_worker_whoever_is_warm(
    parts: Parts, new_worker: Callable[[str], Worker], warm: list[set[str]], packages: list[str]
) -> None:
    """Workers come and go at random while jobs arrive: each job is claimed once, and all are, before anyone's time."""
    given_out: list[str] = []
    wanted: set[str] = set()
    lock, all_in, done = threading.Lock(), threading.Event(), threading.Event()

    def work(index: int, models: set[str]) -> None:
        request = ReserveRequest(f"w{index}", timeout_seconds=5.0, warm_models=tuple(sorted(models)))
        while not done.is_set():
            claim = parts.scheduler.reserve(request, done.is_set)
            if claim is None:
                continue
            parts.scheduler.cancel(claim.uuid)
            with lock:
                given_out.append(claim.uuid)
            if index % 2:
                models = models | {claim.package_sha256}
                request = replace(request, warm_models=tuple(sorted(models)))
            if all_in.is_set() and len(given_out) >= len(wanted):
                done.set()

    threads = [threading.Thread(target=work, args=(index, models)) for index, models in enumerate(warm)]
    for thread in threads:
        thread.start()
    for number, package in enumerate(packages):
        wanted.add(submit(parts, package, f"owner{number % 3}"))
    all_in.set()
    if len(given_out) >= len(wanted):
        done.set()
    finished = done.wait(30)
    done.set()
    for thread in threads:
        thread.join()
    assert finished, (given_out, wanted)
    assert sorted(given_out) == sorted(wanted)


# The registry alone, against a model of it


def test_a_bell_is_rung_before_its_request_may_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request leaves as soon as it has its claim and closes its bell, whose number another file may get."""
    affinity = Affinity()
    mine, other = (Waiting(name, "cpu", "", TUBES, models, lambda: False) for name, models in (("m", ()), ("o", (A,))))
    entered, promised, ring, stayed = threading.Event(), threading.Event(), other.ring, []

    def request() -> None:
        with affinity.enter(other):
            entered.set()
            promised.wait(10)

    def ring_slowly() -> None:
        thread.join(0.1)  # time enough to leave, if it could
        stayed.append(thread.is_alive())
        ring()

    monkeypatch.setattr(other, "ring", ring_slowly)
    thread = threading.Thread(target=request)
    with affinity.enter(mine):
        thread.start()
        assert entered.wait(10)
        assert affinity.promise(mine, A, TUBES[0]) is other
        promised.set()
        affinity.keep(other, None)
        thread.join()
    assert stayed == [True]


class Nothing:
    """Stands for a claim."""


events = st.lists(
    st.one_of(
        st.tuples(st.just("enter"), st.sets(st.sampled_from([A, B])), st.sets(st.sampled_from(TUBES), min_size=1)),
        st.tuples(st.just("reserve"), st.integers(0, 9), st.sampled_from([A, B]), st.booleans()),
        st.tuples(st.just("leave"), st.integers(0, 9)),
        st.tuples(st.just("unable"), st.integers(0, 9)),
    ),
    max_size=40,
)


@given(events)
def test_the_registry_prefers_idle_warm_workers_and_never_loses_or_doubles_a_claim(steps: list[Any]) -> None:
    affinity = Affinity()
    with contextlib.ExitStack() as stack:
        waiting: list[Waiting] = []
        unable: set[int] = set()
        handed: dict[int, Any] = {}
        for what, *rest in steps:
            if what == "enter":
                one = Waiting(f"w{len(waiting)}", "cpu", "", rest[1], rest[0], lambda: False)
                stack.enter_context(affinity.enter(one))
                waiting.append(one)
                continue
            if not waiting:
                continue
            mine = waiting[rest[0] % len(waiting)]
            if what == "unable":
                unable.add(id(mine))
            elif what == "leave":
                assert affinity.leave(mine) is handed.get(id(mine))
                unable.add(id(mine))
            elif affinity.begin(mine):
                assert id(mine) not in handed
                _, package, kept = rest
                tube = sorted(mine.tubes)[0]
                others = [
                    one for one in waiting
                    if one is not mine and one.state == FREE and id(one) not in handed and id(one) not in unable
                    and package in one.models and tube in one.tubes
                ]  # fmt: skip
                other = affinity.promise(mine, package, tube, lambda one: id(one) not in unable)
                expected = others[0] if others and package not in mine.models else None
                assert other is expected
                claim: Any = Nothing() if kept else None
                if other is not None:
                    assert not affinity.begin(other)
                    affinity.keep(other, claim)
                    taker = other
                else:
                    mine.claim = claim
                    taker = mine
                if claim is not None:
                    handed[id(taker)] = claim
                affinity.end(mine)
            else:
                assert id(mine) in handed
        for one in waiting:
            assert affinity.leave(one) is handed.get(id(one))
