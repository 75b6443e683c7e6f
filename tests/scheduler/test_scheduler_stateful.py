"""Anything that may happen to jobs in any order, with every fault between any two steps, against a small model.

Two real schedulers work side by side on a simulated beanstalkd and clock. After every step the documents say what the
model says; at the end, with all faults mended, every job is over, once, and nothing of it is left lying about.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)
from job_model import ATTEMPTS, CLAIM_SECONDS, ERT_SECONDS, Seen
from mortal_scheduler import SHARED_MEMORY, Crash, World

from scheduler import clock
from scheduler.contract import ReserveRequest
from scheduler.fairness import KINDS
from scheduler.jobs import JobRequest
from scheduler.service import Scheduler
from zoo.errors import Unavailable, UserError

RUNNING = 2
INPUT = b"an input crop"
OWNERS = ("ada", "bob")
# Minutes after which every delay is over, whatever clocks did.
PATIENCE = 600
REFUSALS = {"stale-lease", "job-over", "not-found"}
# A claim takes some thirty steps, the first one on a connection; most others take three to ten.
STEPS = st.one_of(st.integers(0, 6), st.integers(0, 40))


@dataclass(frozen=True)
class Fault:
    """`crash`: the scheduler dies; `cut`: its link to beanstalkd breaks. At the step after `steps`, before or after."""

    what: str
    steps: int
    after: bool


NO_FAULT = Fault("", 0, after=False)
MISHAPS = (
    "scheduler restarts", "network breaks", "clock steps", "comes back", "blind kick", "entry deleted", "drains",
    "hangs", "dies", "restarts", "restarts empty",
)  # fmt: skip
FAULTS = st.one_of(
    st.just(NO_FAULT), st.builds(Fault, st.sampled_from(["crash", "cut"]), STEPS, st.booleans())
)  # fmt: skip
REPLICAS = st.integers(0, 1)


class SchedulerMachine(RuleBasedStateMachine):
    jobs: Bundle[str] = Bundle("jobs")
    leases: Bundle[tuple[str, str]] = Bundle("leases")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir=SHARED_MEMORY if SHARED_MEMORY.is_dir() else None))
        self.world = World(
            self.folder,
            claim_seconds=CLAIM_SECONDS,
            ert_floor_seconds=1.0,
            attempts=ATTEMPTS,
            running_per_owner=RUNNING,
            queued_per_owner=1000,
        )
        self.model: dict[str, Seen] = {}
        self.serial = 0
        self.retried = False
        self.broker_lost = False
        self._clock = clock.replaced(self.world.clock)
        self._clock.__enter__()

    @initialize(target=jobs, kinds=st.lists(st.sampled_from(KINDS), min_size=4, max_size=4))
    def submit_some(self, kinds: list[str]) -> Any:
        self.input = self.world.blobs.put_bytes(INPUT).sha256
        self.package = self.world.blobs.put_bytes(b"a model package").sha256
        return multiple(*(self.submit(0, NO_FAULT, OWNERS[len(kind) % 2], kind) for kind in kinds))

    def now(self) -> float:
        return self.world.clock.now()

    def do(self, replica: int, fault: Fault, action: Callable[[Scheduler], Any]) -> Any:
        """What a client hears in the end, who asks again while it hears nothing: the answer, or the refusal."""
        world = self.world
        self.retried = False
        if fault.what == "crash":
            world.fuses[replica].arm(fault.steps, fault.after)
        elif fault.what == "cut":
            world.broker.cut_in, world.broker.cut_after = fault.steps + 1, fault.after
        for _ in range(3):
            try:
                return action(world.schedulers[replica])
            except Crash:
                world.restart(replica)
            except Unavailable:
                world.mend()
            except UserError as error:
                return error
            finally:
                world.fuses[replica].disarm()
                world.broker.cut_in = None
            self.retried = True
        raise AssertionError("it never answered")

    # What users do

    @rule(target=jobs, replica=REPLICAS, fault=FAULTS, owner=st.sampled_from(OWNERS), kind=st.sampled_from(KINDS))
    def submit(self, replica: int, fault: Fault, owner: str, kind: str) -> str:
        self.serial += 1
        uuid = f"{self.serial:032x}"
        request = JobRequest(
            kind=kind,
            owner=owner,
            model={"id": "nuclei", "version": "1.0.0", "name": "Nuclei", "package_sha256": self.package},
            settings={},
            input_sha256=self.input,
            source={},
            estimate_seconds=1.0,
            load_seconds=1.0,
            ert_seconds=ERT_SECONDS,
            uuid=uuid,
        )
        # It may have gone with the last job that had it.
        self.world.blobs.put_bytes(INPUT)
        answer = self.do(replica, fault, lambda scheduler: scheduler.submit(request))
        assert not isinstance(answer, Exception), answer
        self.model[uuid] = Seen(uuid, owner)
        return uuid

    @rule(job=jobs, replica=REPLICAS, fault=FAULTS)
    def cancel(self, job: str, replica: int, fault: Fault) -> None:
        seen = self.model[job]
        answer = self.do(replica, fault, lambda scheduler: scheduler.cancel(job))
        if seen.deleted:
            assert _refused(answer)
        else:
            assert not isinstance(answer, Exception)
            if not seen.over:
                seen.end_attempt("cancelled")

    @rule(job=jobs, replica=REPLICAS, fault=FAULTS)
    def delete(self, job: str, replica: int, fault: Fault) -> None:
        seen = self.model[job]
        answer = self.do(replica, fault, lambda scheduler: scheduler.delete(job))
        assert answer is None or ((seen.deleted or self.retried) and _refused(answer))
        if not seen.over:
            seen.end_attempt("cancelled")
        seen.deleted = True

    # What workers do

    @rule(target=leases, worker=st.sampled_from(["w1", "w2"]), replica=REPLICAS, fault=FAULTS)
    def reserve(self, worker: str, replica: int, fault: Fault) -> Any:
        request = ReserveRequest(worker, tuple(KINDS), timeout_seconds=0.0)
        claim = self.do(replica, fault, lambda scheduler: scheduler.reserve(request))
        assert not isinstance(claim, Exception), claim
        self.observe(unheard=self.retried, heard=claim)
        if claim is None:
            return multiple()
        seen = self.model[claim.uuid]
        assert not seen.over
        assert not seen.deleted
        assert seen.lease is None or seen.until <= self.now()
        assert not seen.exhausted_once_lost()
        seen.open(claim.lease, self.now())
        assert claim.attempt == seen.attempt
        held = [other for other in self.model.values() if other.owner == seen.owner and not other.over]
        assert sum(other.lease is not None and other.until > self.now() for other in held) <= RUNNING
        return claim.uuid, claim.lease

    @rule(target=leases, replica=REPLICAS, fault=FAULTS)
    def begin(self, replica: int, fault: Fault) -> Any:
        lease = self.reserve("w1", replica, fault)
        if isinstance(lease, tuple):
            self.start(lease, replica, NO_FAULT)
        return lease

    def start(self, lease: tuple[str, str], replica: int, fault: Fault) -> None:
        seen = self.model[lease[0]]
        if self.attempt_does(replica, fault, lease, lambda attempts: attempts.start(*lease)):
            seen.state, seen.started, seen.until = "running", True, self.now() + ERT_SECONDS

    def extend(self, lease: tuple[str, str], replica: int, fault: Fault) -> None:
        if self.attempt_does(replica, fault, lease, lambda attempts: attempts.extend(*lease)):
            self.model[lease[0]].until = self.now() + ERT_SECONDS

    def progress(self, lease: tuple[str, str], replica: int, fault: Fault) -> None:
        self.serial += 1
        fraction = self.serial % 100 / 100
        self.attempt_does(replica, fault, lease, lambda attempts: attempts.progress(*lease, "inferring", fraction, ""))

    def log(self, lease: tuple[str, str], replica: int, fault: Fault) -> None:
        self.serial += 1
        number, text = self.serial, f"line {self.serial} of the log\n"
        if self.attempt_does(replica, fault, lease, lambda attempts: attempts.log(*lease, number, text)):
            self.model[lease[0]].said.append(text)

    @rule(lease=leases, what=st.sampled_from(["start", "extend", "progress", "log"]), replica=REPLICAS, fault=FAULTS)
    def report(self, lease: tuple[str, str], what: str, replica: int, fault: Fault) -> None:
        getattr(self, what)(lease, replica, fault)

    @rule(lease=leases, replica=REPLICAS, fault=FAULTS, name=st.sampled_from(["overlay.png", "log.txt"]))
    def file(self, lease: tuple[str, str], replica: int, fault: Fault, name: str) -> None:
        # Another attempt's upload may well have the same bytes.
        data = f"{name} of {lease[0]}".encode()
        digest = hashlib.sha256(data).hexdigest()
        if self.attempt_does(
            replica, fault, lease, lambda attempts: attempts.file(*lease, name, io.BytesIO(data), digest)
        ):
            self.model[lease[0]].files.setdefault(lease[1], {})[name] = data

    @rule(lease=leases, replica=REPLICAS, fault=FAULTS, with_file=st.booleans())
    def result(self, lease: tuple[str, str], replica: int, fault: Fault, with_file: bool) -> None:
        seen = self.model[lease[0]]
        along = {"manifest.json": f"manifest of {lease[0]}".encode()} if with_file else {}
        files = seen.files.get(lease[1], {}) | along
        if not files:
            return
        named = [{"name": name, "sha256": hashlib.sha256(data).hexdigest()} for name, data in files.items()]
        repeated = seen.state == "done" and seen.result == lease[1] and not seen.deleted
        answer = self.do(
            replica,
            fault,
            lambda scheduler: scheduler.attempts.result(*lease, named, {"objects": 1}, {"inferring": 1}, along),
        )
        if not (seen.holds(lease[1]) or repeated):
            assert _refused(answer), answer
            return
        assert answer is None, answer
        if not repeated:
            seen.files[lease[1]] = files
            seen.end_attempt("done")
            seen.result = lease[1]

    @rule(lease=leases, replica=REPLICAS, fault=FAULTS, retry=st.sampled_from([True, True, False]))
    def fail(self, lease: tuple[str, str], replica: int, fault: Fault, retry: bool) -> None:
        seen = self.model[lease[0]]
        repeated = seen.ended_by(lease[1]) and seen.state in ("queued", "failed")
        answer = self.do(
            replica, fault, lambda scheduler: scheduler.attempts.fail(*lease, "broken", "It broke.", "", retry)
        )
        if repeated:
            assert answer == seen.state
        elif seen.holds(lease[1]):
            again = retry and not seen.exhausted()
            seen.buried = retry and not again
            seen.end_attempt("queued" if again else "failed")
            assert answer == seen.state
        else:
            assert _refused(answer), answer

    @rule(lease=leases, replica=REPLICAS, fault=FAULTS)
    def release(self, lease: tuple[str, str], replica: int, fault: Fault) -> None:
        seen = self.model[lease[0]]
        repeated = seen.ended_by(lease[1]) and seen.state == "queued"
        answer = self.do(replica, fault, lambda scheduler: scheduler.attempts.release(*lease))
        if repeated:
            assert answer is None
        elif seen.holds(lease[1]):
            assert answer is None
            seen.attempt -= 1
            seen.end_attempt("queued")
        else:
            assert _refused(answer), answer

    def attempt_does(self, replica: int, fault: Fault, lease: tuple[str, str], what: Callable[[Any], Any]) -> bool:
        """Whether the lease held; if not, that it was refused."""
        seen = self.model[lease[0]]
        answer = self.do(replica, fault, lambda scheduler: what(scheduler.attempts))
        if seen.holds(lease[1]):
            assert not isinstance(answer, Exception), answer
            return True
        assert _refused(answer), answer
        return False

    # What operators do

    @precondition(lambda self: any(seen.buried for seen in self.model.values()))
    @rule(job=st.one_of(st.none(), jobs), replica=REPLICAS, fault=FAULTS)
    def kick(self, job: str | None, replica: int, fault: Fault) -> None:
        job = job or next(seen.uuid for seen in self.model.values() if seen.buried)
        seen = self.model[job]
        answer = self.do(replica, fault, lambda scheduler: scheduler.kick(job))
        if seen.deleted or not seen.buried:
            assert isinstance(answer, UserError)
            assert answer.code in {"not-buried", "not-found"}
            return
        assert isinstance(answer, dict) or self.retried, answer
        seen.state, seen.buried, seen.attempt, seen.lost = "queued", False, 0, 0

    @rule(replica=REPLICAS, fault=FAULTS, sweep=st.booleans())
    def maintain(self, replica: int, fault: Fault, sweep: bool) -> None:
        def run(scheduler: Scheduler) -> None:
            scheduler.maintenance.sweep() if sweep else scheduler.maintenance.recover()

        assert self.do(replica, fault, run) is None

    # What happens to machines, and what operators do to beanstalkd behind our back

    @rule(data=st.data(), what=st.sampled_from(MISHAPS))
    def mishap(self, data: st.DataObject, what: str) -> None:
        world, broker = self.world, self.world.broker
        if what == "scheduler restarts":
            world.restart(data.draw(REPLICAS))
        elif what == "network breaks":
            broker.cut_links()
        elif what == "clock steps":
            broker.step(data.draw(st.sampled_from([-3600.0, -20.0, 20.0, 3600.0])))
        elif what == "comes back" or not broker.running:
            world.mend()
        elif what == "blind kick":
            broker.kick(f"zooscope.{data.draw(st.sampled_from(KINDS))}", 10)
        elif what == "entry deleted":
            self.delete_an_entry(data)
        elif what == "drains":
            broker.draining = True
        elif what == "hangs":
            broker.stop()
        else:
            broker.kill()
            if what != "dies":
                broker.start(binlog=what != "restarts empty")
                self.broker_lost |= what == "restarts empty"

    def delete_an_entry(self, data: st.DataObject) -> None:
        free = [id for id, entry in self.world.broker.entries.jobs.items() if entry.state != "reserved"]
        if free:
            entry = self.world.broker.entries.jobs[data.draw(st.sampled_from(sorted(free)))]
            self.world.broker.entries.remove(entry)
            self.broker_lost |= entry.tube.startswith("log.")

    @rule(seconds=st.sampled_from([0.5, 2.0, 6.0, 21.0, 70.0]))
    def time_passes(self, seconds: float) -> None:
        self.world.clock.advance(seconds)

    # What must hold

    def observe(self, unheard: bool, heard: Any) -> None:
        """Follow what a claim did beside the lease that was heard: leases nobody heard of, and jobs given up."""
        for seen in self.model.values():
            if seen.over or (heard is not None and heard.uuid == seen.uuid):
                continue
            body = self.world.documents.get("jobs", seen.uuid).body
            expired = seen.lease is None or seen.until <= self.now()
            if body["lease"] is None and body["state"] == "failed" and expired:
                seen.lose()
                assert seen.exhausted()
                seen.end_attempt("failed")
                seen.buried = True
            elif body["lease"] is None and seen.lease is not None and expired:
                # Its owner has as many running as may be: it was lost, and is held.
                seen.lose()
            elif unheard and expired and body["lease"] is not None and body["lease"]["id"] != seen.lease:
                seen.open(body["lease"]["id"], self.now())

    @invariant()
    def documents_agree(self) -> None:
        for seen in self.model.values():
            if seen.deleted:
                continue
            body = self.world.documents.get("jobs", seen.uuid).body
            assert body["state"] == seen.state, seen
            assert (body["lease"] or {}).get("id") == seen.lease, seen
            assert body["attempt"] == seen.attempt, seen
            assert body["buried"] == seen.buried, seen
            assert (body["result"] or {}).get("lease") == seen.result, seen
            for file in (body["result"] or {}).get("files", []):
                assert self.world.blobs.read(file["sha256"]) == seen.files[seen.result or ""][file["name"]]

    def teardown(self) -> None:
        try:
            if hasattr(self, "input"):
                self.settle()
        finally:
            self.world.close()
            self._clock.__exit__(None, None, None)
            shutil.rmtree(self.folder)

    def settle(self) -> None:
        """All is mended, a worker works: every job ends, and nothing but documents and results is left."""
        self.world.mend()
        idle = 0
        while idle < 2 or any(not seen.over for seen in self.model.values()) or self.world.entries_wait():
            lease = self.reserve("w1", 0, NO_FAULT)
            if isinstance(lease, tuple):
                idle = 0
                self.start(lease, 0, NO_FAULT)
                self.file(lease, 0, NO_FAULT, "overlay.png")
                self.result(lease, 0, NO_FAULT, True)
            else:
                idle += 1
                assert idle < PATIENCE, "a job is lost"
                self.world.clock.advance(61.0)
        self.documents_agree()
        self.world.schedulers[0].maintenance.sweep()
        self.nothing_is_left()

    def nothing_is_left(self) -> None:
        self.world.check_nothing_is_left(self.input, self.package)
        stored = {one.id for one in self.world.all("jobs")}
        assert stored == {seen.uuid for seen in self.model.values() if not seen.deleted}
        for uuid in stored:
            text = self.world.schedulers[0].log_text(uuid)
            for line in self.model[uuid].said:
                assert text.count(line) == 1 or (self.broker_lost and line not in text)


def _refused(answer: Any) -> bool:
    return isinstance(answer, UserError) and answer.code in REFUSALS


# The same examples every time, so that the suite stays the same; `ZOOSCOPE_TEST_EXAMPLES=2000` looks for new ones.
EXAMPLES = os.environ.get("ZOOSCOPE_TEST_EXAMPLES")


def test_anything_in_any_order_with_faults_between_any_two_steps() -> None:
    run_state_machine_as_test(
        SchedulerMachine,
        settings=hypothesis_settings(
            max_examples=int(EXAMPLES or 20), stateful_step_count=40, derandomize=EXAMPLES is None, deadline=None
        ),
    )
