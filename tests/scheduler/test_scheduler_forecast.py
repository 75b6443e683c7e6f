"""Playing the queue forward, against what must hold whoever waits for whatever."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from scheduler.forecast import Forecast, Machine, Task, Turn, next_turn, play

LOAD = 2.0
BOTH = frozenset({"a", "b"})


def cost(task: Task, device: str) -> tuple[float, float]:
    """A GPU is ten times as fast."""
    return task.work * (0.1 if device.startswith("gpu") else 1.0), task.load_s


def task(uuid: str, work: float = 4.0, owner: str = "ada", tube: str = "a", package: str = "p") -> Task:
    return Task(uuid, owner, tube, package, work, 0.0, LOAD)


def test_one_worker_does_one_after_the_other_and_loads_once() -> None:
    found = play([Machine(BOTH, free_at=1.0)], {}, [task("1"), task("2", work=3.0)], cost)
    assert found.turns == {"1": Turn(1.0, 7.0), "2": Turn(7.0, 10.0)}
    assert next_turn(found, task("3"), cost) == Turn(10.0, 14.0)


def test_a_warm_worker_comes_before_another_that_is_free_as_early() -> None:
    machines = [Machine(BOTH), Machine(BOTH, models=("p",)), Machine(BOTH, models=("p",), free_at=9.0)]
    assert play(machines, {}, [task("1")], cost).turns == {"1": Turn(0.0, 4.0)}


def test_a_warm_worker_that_waited_for_an_owner_s_running_job_is_chosen_when_that_ends() -> None:
    machines = [Machine(BOTH), Machine(BOTH, models=("p",))]
    found = play(machines, {"ada": [5.0]}, [task("1"), task("2")], cost, running_per_owner=1)
    assert found.turns == {"1": Turn(5.0, 9.0), "2": Turn(9.0, 13.0)}


def test_a_worker_keeps_as_many_models_as_it_may() -> None:
    tasks = [task(str(number), package=package) for number, package in enumerate("pqp")]
    starts = [turn.start_s for turn in play([Machine(BOTH)], {}, tasks, cost, models=1).turns.values()]
    assert starts == [0.0, 6.0, 12.0]
    found = play([Machine(BOTH)], {}, tasks, cost, models=2)
    assert found.turns["2"] == Turn(12.0, 16.0)


def test_a_task_waits_for_a_worker_that_serves_it_while_others_pass() -> None:
    machines = [Machine(frozenset({"a"}), models=("p",)), Machine(BOTH, models=("p",), free_at=50.0)]
    found = play(machines, {}, [task("b", tube="b"), task("a1"), task("a2")], cost)
    assert found.turns == {"a1": Turn(0.0, 4.0), "a2": Turn(4.0, 8.0), "b": Turn(50.0, 54.0)}
    nobody = play([Machine(frozenset({"a"}))], {}, [task("b", tube="b")], cost)
    assert nobody.turns == {}
    assert next_turn(nobody, task("b", tube="b"), cost) is None


def test_nobody_runs_more_than_they_may() -> None:
    machines = [Machine(BOTH, models=("p",)) for _ in range(3)]
    tasks = [task("1"), task("2"), task("3", owner="ben")]
    found = play(machines, {"ada": [10.0]}, tasks, cost, running_per_owner=2)
    assert found.turns == {"1": Turn(0.0, 4.0), "3": Turn(0.0, 4.0), "2": Turn(4.0, 8.0)}
    assert next_turn(found, task("4"), cost, running_per_owner=1) == Turn(10.0, 14.0)
    assert next_turn(found, task("4", owner="cy"), cost, running_per_owner=1) == Turn(0.0, 4.0)


def test_without_workers_nothing_has_a_turn() -> None:
    assert play([], {}, [task("1")], cost).turns == {}
    assert next_turn(Forecast([]), task("1"), cost) is None


machines_ = st.lists(
    st.builds(
        Machine,
        st.sampled_from([frozenset({"a"}), frozenset({"b"}), BOTH]),
        st.sampled_from(["cpu", "gpu:0"]),
        st.sampled_from([(), ("p",), ("p", "q")]),
        st.floats(0, 50),
    ),
    min_size=1,
    max_size=5,
)
tasks_ = st.lists(
    st.tuples(st.floats(0.01, 20), st.sampled_from(["ada", "ben"]), st.sampled_from("ab"), st.sampled_from("pqr")),
    max_size=15,
).map(lambda rows: [task(str(number), *row) for number, row in enumerate(rows)])


@given(machines_, tasks_, st.integers(0, 3))
def test_every_task_that_can_be_served_has_one_turn_on_a_worker_that_does_nothing_else(
    machines: list[Machine], tasks: list[Task], limit: int
) -> None:
    found = play(machines, {}, tasks, cost, limit)
    served = {one.uuid for one in tasks if any(one.tube in machine.tubes for machine in machines)}
    assert set(found.turns) == served
    turns = found.turns.values()
    for turn in turns:
        at_once = [other for other in turns if other.start_s <= turn.start_s < other.end_s]
        assert len(at_once) <= len(machines)
        assert turn.start_s >= min(machine.free_at for machine in machines)
    for owner in ("ada", "ben") if limit else ():
        mine = [found.turns[one.uuid] for one in tasks if one.owner == owner and one.uuid in served]
        for turn in mine:
            assert sum(other.start_s <= turn.start_s < other.end_s for other in mine) <= limit


@given(tasks_, st.integers(1, 4))
def test_equal_workers_start_what_waits_in_its_order(tasks: list[Task], count: int) -> None:
    found = play([Machine(BOTH)] * count, {}, tasks, cost)
    starts = [found.turns[one.uuid].start_s for one in tasks]
    assert all(one <= other for one, other in pairwise(starts))
    total = sum(turn.end_s - turn.start_s for turn in found.turns.values())
    if tasks:
        longest = max(turn.end_s - turn.start_s for turn in found.turns.values())
        # Graham's bound for list scheduling.
        assert max(turn.end_s for turn in found.turns.values()) <= total / count + longest + 1e-6
