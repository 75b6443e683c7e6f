"""Playing the queue forward: which worker takes which job when, if everything takes as long as is expected of it.

List scheduling: whoever is free first takes the first job in the queue's order that it can serve and whose owner may
run one more. A worker that holds the model already comes before others that are free as early, as when jobs are really
handed out. Pure; seconds count from the moment the play begins.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Machine:
    """A worker: the tubes it serves, the packages it holds warm, the latest last, and when it is free next."""

    tubes: frozenset[str]
    device: str = ""
    models: tuple[str, ...] = ()
    free_at: float = 0.0


@dataclass(frozen=True)
class Task:
    """A job that waits. `work` and `computing_s` are what it takes, by size and as was expected when it came."""

    uuid: str
    owner: str
    tube: str
    package: str
    work: float
    computing_s: float
    load_s: float


# What a task takes on a kind of device: seconds of computing, and of loading the model before.
Cost = Callable[[Task, str], tuple[float, float]]


@dataclass(frozen=True)
class Turn:
    """When a task starts and ends, in seconds."""

    start_s: float
    end_s: float


@dataclass
class Forecast:
    """The turns of the tasks by uuid, the machines as they are afterwards, and the ends of each owner's jobs."""

    machines: list[Machine]
    turns: dict[str, Turn] = field(default_factory=dict)
    ends: dict[str, list[float]] = field(default_factory=dict)


def play(
    machines: Sequence[Machine],
    running: Mapping[str, Sequence[float]],
    tasks: Sequence[Task],
    cost: Cost,
    running_per_owner: int = 0,
    models: int = 3,
) -> Forecast:
    """Let `machines` do `tasks`, in this order; `running` tells for each owner when their running jobs end.

    A machine keeps `models` packages warm; no owner runs more than `running_per_owner` at once, 0 for any number.
    Tasks that no machine serves have no turn.
    """
    found = Forecast(list(machines), ends={owner: list(ends) for owner, ends in running.items()})
    waiting = list(tasks)
    free = [(machine.free_at, number) for number, machine in enumerate(machines)]
    heapq.heapify(free)
    while waiting and free:
        time, number = heapq.heappop(free)
        place, later = _first(found, waiting, number, time, running_per_owner)
        if place is None:
            if later is not None:
                heapq.heappush(free, (later, number))
            continue
        task = waiting.pop(place)
        since, chosen = _warmest(found, free, task, time, number)
        if chosen != number:
            free.remove((since, chosen))
            heapq.heapify(free)
            heapq.heappush(free, (time, number))
        end = _run(found, chosen, task, time, cost, models)
        heapq.heappush(free, (end, chosen))
    return found


def next_turn(found: Forecast, task: Task, cost: Cost, running_per_owner: int = 0) -> Turn | None:
    """The turn of one more task behind all that were played; None when no machine serves it."""
    able = [machine for machine in found.machines if task.tube in machine.tubes]
    if not able:
        return None
    time = min(machine.free_at for machine in able)
    time = max(time, _allowed_from(found.ends.get(task.owner, ()), time, running_per_owner))
    # Of those that are free by then, one that need not load is as good as it gets.
    free = [machine for machine in able if machine.free_at <= time]
    machine = next((one for one in free if task.package in one.models), free[0])
    return Turn(time, time + seconds(task, machine, cost))


def seconds(task: Task, machine: Machine, cost: Cost) -> float:
    computing, load = cost(task, machine.device)
    return computing + (0.0 if task.package in machine.models else load)


def _first(
    found: Forecast, waiting: Sequence[Task], number: int, time: float, limit: int
) -> tuple[int | None, float | None]:
    """The place of the first task for the machine, or else when to look again: an owner may run one more then."""
    machine = found.machines[number]
    later: float | None = None
    for place, task in enumerate(waiting):
        if task.tube not in machine.tubes:
            continue
        allowed = _allowed_from(found.ends.get(task.owner, ()), time, limit)
        if allowed <= time:
            return place, None
        later = allowed if later is None else min(later, allowed)
    return None, later


def _allowed_from(ends: Sequence[float], time: float, limit: int) -> float:
    """From when on fewer than `limit` of an owner's jobs run."""
    if not limit:
        return time
    still = sorted(end for end in ends if end > time)
    return time if len(still) < limit else still[len(still) - limit]


def _warmest(
    found: Forecast, free: Sequence[tuple[float, int]], task: Task, time: float, number: int
) -> tuple[float, int]:
    """The machine of those free by now that holds the task's model, as it stands in `free`, or else the one whose turn
    it is.
    """
    if task.package in found.machines[number].models:
        return time, number
    for at, other in free:
        machine = found.machines[other]
        if at <= time and task.package in machine.models and task.tube in machine.tubes:
            return at, other
    return time, number


def _run(found: Forecast, number: int, task: Task, time: float, cost: Cost, models: int) -> float:
    machine = found.machines[number]
    end = time + seconds(task, machine, cost)
    warm = (*(model for model in machine.models if model != task.package), task.package)[-max(1, models) :]
    found.machines[number] = replace(machine, models=warm, free_at=end)
    found.turns[task.uuid] = Turn(time, end)
    found.ends.setdefault(task.owner, []).append(end)
    return end
