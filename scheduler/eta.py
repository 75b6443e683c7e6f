"""When a job will start and end: the queue played forward from what runs now, with what models are known to take.

One picture of the queue serves everybody who asks. It holds the running jobs and the head of the queue; what waits
behind the head is reckoned to be like the head, so that a long queue costs no more than a short one. It is taken anew
when it is old, or older than the job it is asked about, as long as taking pictures costs a small part of the time.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from scheduler.capabilities import Ability, Needs
from scheduler.clock import monotonic, now
from scheduler.ert import FIXED_SECONDS
from scheduler.fairness import last_turn, next_priority, turn_served
from scheduler.forecast import Forecast, Machine, Task, Turn, next_turn, play, seconds
from scheduler.jobs import FARTHEST_PLACE, Jobs
from scheduler.runtimes import Figures, Runtimes
from scheduler.workers import ability_of
from zoo.documents import Query
from zoo.settings import Settings

PICTURE_SECONDS = 0.25
# Taking pictures is at most this part of the time in the long run, and so many seconds of it at once.
BUSY_PART, BUSY_SECONDS = 0.03, 0.3
FIGURES_SECONDS = 1.0
HEAD = 50
PAGES_OF_RUNNING, RUNNING = 5, 200
# A job that takes longer than expected is expected to go on for this part of what it was expected to take; one that
# takes much longer goes on as its progress says.
OVERDUE, LONG_OVERDUE = 0.1, 1.25

WAITING: Mapping[str, Sequence[str | bool]] = {"state": ["queued"], "deleted": [False]}
IN_HAND: Mapping[str, Sequence[str | bool]] = {"state": ["running"], "deleted": [False]}

Body = Mapping[str, Any]


@dataclass(frozen=True)
class Eta:
    """Seconds from now until the job starts (0 when it runs) and ends, both None while no worker can serve it;
    `workers` is how many can; `paused_s` is how long an operator lets none of its kind be handed out."""

    start_s: float | None
    end_s: float | None
    workers: int
    paused_s: float = 0.0

    def to_json(self) -> dict[str, Any]:
        return {"start_s": _rounded(self.start_s), "end_s": _rounded(self.end_s), "workers": self.workers}


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 2)


@dataclass
class _Picture:
    """`order` is the priority and the time of submission of each of the head's tasks; `whole` that none are behind;
    `taken_at` is of the monotonic clock, `clock_at` of the other."""

    taken_at: float
    clock_at: float
    machines: list[Machine] = field(default_factory=list)
    rests: dict[str, float] = field(default_factory=dict)
    tasks: list[Task] = field(default_factory=list)
    order: list[tuple[int, float]] = field(default_factory=list)
    whole: bool = True
    forecast: Forecast = field(default_factory=lambda: Forecast([]))
    paused: Mapping[str, float] = field(default_factory=dict)

    def place(self, order: tuple[int, float]) -> int:
        """How many of its tasks come before one of this priority and time."""
        return bisect_left(self.order, order)

    def able(self, task: Task) -> int:
        return sum(task.tube in machine.tubes for machine in self.machines)


class Etas:
    """Thread-safe. `present` gives the workers that are there, as `Workers.present` does, and `paused` the seconds that
    kinds stay paused, as `Pauses.left` does."""

    def __init__(
        self,
        jobs: Jobs,
        runtimes: Runtimes,
        present: Callable[[], Sequence[Body]],
        paused: Callable[[], Mapping[str, float]],
        settings: Settings,
    ) -> None:
        self._jobs = jobs
        self._runtimes = runtimes
        self._present = present
        self._paused = paused
        self._settings = settings
        self._lock = threading.Lock()
        self._picture: _Picture | None = None
        self._allowance, self._allowed_at = BUSY_SECONDS, monotonic()
        self._figures: dict[tuple[str, str], tuple[float, Figures]] = {}

    def of(self, body: Body, place: int | None = None) -> Eta | None:
        """The ETA of a job, None when it is over; `place` is how many are before it in the queue, if that is known."""
        if body["state"] not in ("queued", "running"):
            return None
        since = body["started_at"] if body["state"] == "running" else body["created_at"]
        picture = self._look(since or 0.0)
        task = task_of(body)
        if body["state"] == "running" or _claimed(body):
            return Eta(0.0, self._rest(picture, body), picture.able(task))
        turn = picture.forecast.turns.get(task.uuid)
        if turn is None:
            turn = self._turn_beside(picture, task, (body["queue"]["priority"], body["created_at"]), place)
        return _eta(picture, task, turn, body["kind"])

    def priority(self, kind: str, owner: str) -> int:
        """The priority of a job that `owner` would submit now, for `of_new`."""
        return next_priority(kind, turn_served(self._jobs, kind), last_turn(self._jobs, kind, owner))

    def of_new(self, kind: str, needs: Needs, priority: int, task: Task) -> tuple[Eta, int]:
        """The ETA of a job that could be submitted now, and how many would be before it. `task` need name no tube."""
        order, task = (priority, now()), replace(task, tube=needs.tube(kind))
        picture = self._look(order[1])
        place = picture.place(order)
        if place == len(picture.tasks) and not picture.whole:
            place = max(place, self._place(order))
        return _eta(picture, task, self._turn_beside(picture, task, order, place), kind), place

    # One job beside the picture

    def _turn_beside(self, picture: _Picture, task: Task, order: tuple[int, float], place: int | None) -> Turn | None:
        """The turn of a job that is not in the picture: behind its head, or newer than it."""
        last = next_turn(picture.forecast, task, self._cost, self._settings.running_per_owner)
        if last is None:
            return None
        seen = picture.place(order)
        start = last.start_s
        if seen < len(picture.tasks):
            # It pushes back the one that has this turn now.
            pushed = picture.forecast.turns.get(picture.tasks[seen].uuid)
            start = pushed.start_s if pushed else start
        elif not picture.whole and (place is None or place >= FARTHEST_PLACE):
            place = self._place(order)
        unseen = max(0, (place or 0) - seen)
        start += unseen * self._typical(picture, task) / max(1, picture.able(task))
        return Turn(start, start + last.end_s - last.start_s)

    def _place(self, order: tuple[int, float]) -> int:
        """How many are before one that waits behind the head; far back in a long queue, as many as wait at all."""
        before = self._jobs.before({"queue": {"priority": order[0]}, "created_at": order[1]})
        return before if before < FARTHEST_PLACE else max(before, self._jobs.count(state=["queued"]) - 1)

    def _typical(self, picture: _Picture, task: Task) -> float:
        """Seconds that a job before this one takes which is not in the picture: as those of its tube that are."""
        turns = [picture.forecast.turns.get(one.uuid) for one in picture.tasks if one.tube == task.tube]
        took = [turn.end_s - turn.start_s for turn in turns if turn]
        return sum(took) / len(took) if took else self._cost(task, "")[0]

    def _cost(self, task: Task, device: str) -> tuple[float, float]:
        """Seconds of computing and of loading: as finished jobs of the model taught, before them as was expected."""
        if not task.work:
            return task.computing_s, task.load_s
        key = (task.package, device.partition(":")[0])
        at, figures = self._figures.get(key, (-float("inf"), None))
        if figures is None or monotonic() - at > FIGURES_SECONDS:
            figures = self._runtimes.figures(task.package, device, _expected(task))
            self._figures[key] = monotonic(), figures
        return figures.fixed_s + figures.seconds_per_megapixel * task.work, figures.load_s

    def _rest(self, picture: _Picture, body: Body) -> float:
        """Seconds until a running job ends."""
        known = picture.rests.get(body["uuid"])
        return self._rest_now(body, None) if known is None else max(0.0, known - (monotonic() - picture.taken_at))

    def _rest_now(self, body: Body, machine: Machine | None) -> float:
        """Seconds until a job ends that a worker has; a worker that is not known loads the model first."""
        task = task_of(body)
        machine = machine or Machine(frozenset(), (body["lease"] or {}).get("device", ""))
        whole = seconds(task, machine, self._cost)
        passed = max(0.0, now() - body["started_at"]) if body["state"] == "running" else 0.0
        done = float(body["progress"]["fraction"])
        if passed > LONG_OVERDUE * whole and 0 < done < 1:
            return max(OVERDUE * whole, passed * (1 - done) / done)
        return max(whole - passed, OVERDUE * whole, OVERDUE * passed)

    # The picture

    def _look(self, since: float) -> _Picture:
        """A picture not older than `since`, seconds since the epoch, or about as fresh as may be."""
        if not self._lock.acquire(blocking=self._picture is None):
            # While another thread takes the next one, the last must do.
            assert self._picture is not None
            return self._picture
        try:
            time = monotonic()
            self._allowance = min(BUSY_SECONDS, self._allowance + BUSY_PART * (time - self._allowed_at))
            self._allowed_at = time
            picture = self._picture
            old = picture is None or time - picture.taken_at > PICTURE_SECONDS or picture.clock_at < since
            if picture is None or (old and self._allowance > 0):
                self._picture = picture = self._take()
                self._allowance -= monotonic() - time
            return picture
        finally:
            self._lock.release()

    def _take(self) -> _Picture:
        picture = _Picture(monotonic(), now(), paused=self._paused())
        workers = {worker["name"]: _machine(worker) for worker in self._present() if not worker.get("draining")}
        head = Query(filters=WAITING, sort="queue.priority", descending=False, size=HEAD, count_limit=HEAD + 1)
        found = self._jobs.search(head)
        queued = sorted((stored.body for stored in found.items), key=_order)
        picture.whole = found.total <= len(queued)
        ends: dict[str, list[float]] = {}
        for body in [*self._running(), *filter(_claimed, queued)]:
            name = (body["lease"] or {}).get("worker", "")
            rest = self._rest_now(body, workers.get(name))
            picture.rests[body["uuid"]] = rest
            ends.setdefault(body["owner"], []).append(rest)
            if name in workers:
                warm = (*workers[name].models, body["model"]["package_sha256"])
                workers[name] = replace(workers[name], models=warm, free_at=rest)
        picture.machines = list(workers.values())
        waiting = [body for body in queued if not _claimed(body)]
        picture.tasks, picture.order = [task_of(body) for body in waiting], [_order(body) for body in waiting]
        limits = self._settings.running_per_owner, self._settings.worker_models
        picture.forecast = play(picture.machines, ends, picture.tasks, self._cost, *limits)
        return picture

    def _running(self) -> list[Body]:
        found: list[Body] = []
        for page in range(1, PAGES_OF_RUNNING + 1):
            query = Query(filters=IN_HAND, sort="started_at", page=page, size=RUNNING, count_limit=1)
            items = self._jobs.search(query).items
            found += [stored.body for stored in items]
            if len(items) < RUNNING:
                break
        return found


def _claimed(body: Body) -> bool:
    return bool(body["lease"]) and body["lease"]["until"] > now()


def _order(body: Body) -> tuple[int, float]:
    return body["queue"]["priority"], body["created_at"]


def _machine(worker: Body) -> Machine:
    # One that did not say yet what it can do can do what every worker can.
    ability = ability_of(worker) if worker["kinds"] else Ability()
    return Machine(_tubes(ability), worker["device"], tuple(worker["models"]))


@lru_cache(maxsize=64)
def _tubes(ability: Ability) -> frozenset[str]:
    return frozenset(ability.tubes())


def _eta(picture: _Picture, task: Task, turn: Turn | None, kind: str) -> Eta:
    past = monotonic() - picture.taken_at
    paused = max(0.0, picture.paused.get(kind, 0.0) - past)
    if turn is None:
        return Eta(None, None, picture.able(task), paused)
    # What waits goes on in its order when the pause is over.
    start = max(0.0, turn.start_s - past) + paused
    return Eta(start, start + turn.end_s - turn.start_s, picture.able(task), paused)


def task_of(body: Body) -> Task:
    estimate = body["estimate"]
    return Task(
        body["uuid"],
        body["owner"],
        body["queue"]["tube"],
        body["model"]["package_sha256"],
        body["work"],
        estimate.get("computing_s", estimate["seconds"]),
        estimate["load_s"],
    )


def _expected(task: Task) -> Figures:
    """What was expected of the task's model when it was submitted, as figures that its observations then correct."""
    fixed = min(FIXED_SECONDS, task.computing_s)
    return Figures(task.load_s, fixed, (task.computing_s - fixed) / task.work)
