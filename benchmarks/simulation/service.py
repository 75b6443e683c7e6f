"""The simulation itself: the real scheduler, its workers and users as events on a simulated clock."""

from __future__ import annotations

import contextlib
import hashlib
import heapq
import io
import itertools
import random
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.simulation.broker import SimulatedBroker
from benchmarks.simulation.clock import SimulatedClock
from benchmarks.simulation.load import Wish
from benchmarks.simulation.queue import SimulatedQueue
from scheduler import clock
from scheduler.capabilities import Ability
from scheduler.contract import Claim, ReserveRequest
from scheduler.fairness import KINDS
from scheduler.jobs import JobRequest
from scheduler.leases import JobOver, StaleLease
from scheduler.service import Scheduler
from zoo.blobs import DiskBlobs
from zoo.documents_sqlite import SqliteDocuments
from zoo.settings import Settings

OVERLAY = b"what a preview shows"
# A machine that died is back after this long; somebody who waits asks again this often.
REPAIR_SECONDS, ASK_SECONDS = 60.0, 60.0
# A watchdog extends the lease when this share of it is over.
EXTEND_AT = 0.9
# Submitted and never done after so many days: lost.
LONGEST_SECONDS = 7 * 86400.0


@dataclass
class Run:
    """What became of a wish, in seconds since the beginning. `attempts` started; `worked` by the one that counted,
    `wasted` by those that died or came too late; `gaps` from a death to the next start."""

    wish: Wish
    uuid: str = ""
    started: float | None = None
    done: float | None = None
    attempts: int = 0
    results: int = 0
    worked: float = 0.0
    wasted: float = 0.0
    spans: list[tuple[float, float]] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)


class Simulation:
    """`deaths` is the share of attempts whose machine dies on the way; with `fifo`, priorities are ignored."""

    def __init__(
        self, folder: Path, wishes: Sequence[Wish], workers: int, deaths: float, seed: int, fifo: bool = False
    ) -> None:
        self.clock = SimulatedClock()
        self.broker = SimulatedBroker(self.clock)
        self.broker.fifo = fifo
        settings = Settings(data=folder, free_disk_bytes=0, queued_per_owner=100_000, attempts=10)
        self._documents = SqliteDocuments(settings.documents_file)
        self._blobs = DiskBlobs(settings.blobs_folder)
        self._input = self._blobs.put_bytes(b"an input crop").sha256
        self._package = self._blobs.put_bytes(b"a model package").sha256
        self.scheduler = Scheduler(self._documents, self._blobs, settings, SimulatedQueue(self.broker))
        self.runs = [Run(wish) for wish in wishes]
        self._by_uuid: dict[str, Run] = {}
        self._idle = deque(f"worker-{number:04d}" for number in range(workers))
        self._deaths = deaths
        self._random = random.Random(seed)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._begin = self.clock.now()
        self._tubes = set(Ability(kinds=tuple(KINDS)).tubes())
        self._open = len(self.runs)

    @property
    def now(self) -> float:
        """Seconds since the beginning."""
        return self.clock.now() - self._begin

    def run(self) -> None:
        """Until every wish is fulfilled. Raises RuntimeError when one is lost."""
        with clock.replaced(self.clock), contextlib.closing(self.scheduler), contextlib.closing(self._documents):
            for run in self.runs:
                self._at(run.wish.at, self._submitting(run))
            self._at(ASK_SECONDS, self._ask)
            while self._open:
                self._step()
            self.broker.kill()

    def _at(self, moment: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._events, (moment, next(self._order), what))

    def _step(self) -> None:
        """The next thing that happens, and whoever is idle takes what became ready by it."""
        moment = self._events[0][0]
        end = self.broker.entries.next_end() - self._begin
        if moment > LONGEST_SECONDS:
            raise RuntimeError(f"{self._open} jobs are lost")
        self.clock.advance_to(self._begin + min(moment, end))
        if moment <= end:
            heapq.heappop(self._events)[2]()
        while self._idle and self.broker.entries.first_ready(self._tubes, self.broker.now()) is not None:
            if not self._reserve():
                break

    def _ask(self) -> None:
        """Of those who wait for a job, one asks again; that is when the scheduler looks after what was lost."""
        if self._idle:
            self._reserve()
        self._at(self.now + ASK_SECONDS, self._ask)

    def _reserve(self) -> bool:
        """Whether the worker that waits the longest got a job."""
        worker = self._idle.popleft()
        claim = self.scheduler.reserve(ReserveRequest(worker, tuple(KINDS), timeout_seconds=0.0, device="cpu"))
        if claim is None:
            self._idle.append(worker)
            # An entry that was put away makes room for the one behind it.
            return self.broker.entries.first_ready(self._tubes, self.broker.now()) is not None
        self._begin_attempt(worker, claim)
        return True

    def _submitting(self, run: Run) -> Callable[[], None]:
        wish = run.wish
        request = JobRequest(
            kind=wish.kind,
            owner=wish.owner,
            model={"id": "nuclei", "version": "1.0.0", "name": "Nuclei", "package_sha256": self._package},
            settings={},
            input_sha256=self._input,
            source={},
            estimate_seconds=wish.estimate,
            load_seconds=0.0,
        )

        def submit() -> None:
            run.uuid = self.scheduler.submit(request)["uuid"]
            self._by_uuid[run.uuid] = run

        return submit

    def _begin_attempt(self, worker: str, claim: Claim) -> None:
        run = self._by_uuid[claim.uuid]
        self.scheduler.attempts.start(claim.uuid, claim.lease)
        if run.attempts:
            run.gaps.append(self.now - run.spans[-1][1])
        run.attempts += 1
        run.started = self.now if run.started is None else run.started
        began, ends = self.now, self.now + run.wish.seconds
        if self._random.random() < self._deaths:
            dies = self._random.uniform(began, ends)
            self._watch(claim, began, dies)
            self._at(dies, lambda: self._die(worker, run, began))
        else:
            self._watch(claim, began, ends)
            self._at(ends, lambda: self._end(worker, run, claim, began))

    def _watch(self, claim: Claim, began: float, until: float) -> None:
        """The watchdog extends the lease for as long as its machine lives."""
        step = EXTEND_AT * claim.ert_seconds
        if began + step < until:

            def extend() -> None:
                with contextlib.suppress(StaleLease, JobOver):
                    self.scheduler.attempts.extend(claim.uuid, claim.lease)
                    self._watch(claim, self.now, until)

            self._at(began + step, extend)

    def _die(self, worker: str, run: Run, began: float) -> None:
        run.wasted += self.now - began
        run.spans.append((began, self.now))
        self._at(self.now + REPAIR_SECONDS, lambda: self._idle.append(worker))

    def _end(self, worker: str, run: Run, claim: Claim, began: float) -> None:
        attempts, digest = self.scheduler.attempts, hashlib.sha256(OVERLAY).hexdigest()
        run.spans.append((began, self.now))
        self._idle.append(worker)
        try:
            attempts.file(claim.uuid, claim.lease, "overlay.png", io.BytesIO(OVERLAY), digest)
            files = [{"name": "overlay.png", "sha256": digest}]
            attempts.result(claim.uuid, claim.lease, files, {"objects": 0}, {"inferring": run.wish.seconds})
        except (StaleLease, JobOver):
            run.wasted += self.now - began
            return
        run.worked, run.done = self.now - began, self.now
        run.results += 1
        self._open -= 1

    def left_over(self) -> Iterator[str]:
        """Tubes of the entries that are still there at the end."""
        yield from (tube for tube, _, _ in self.broker.bodies())
