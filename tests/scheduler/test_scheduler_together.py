"""What several threads want done at once: done in groups, each told what became of its own."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from scheduler.together import Together
from zoo.errors import Unavailable, UserError, ZooscopeError


class Gate:
    """An act that answers with ten times each number, and can be held up while others come."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.entered = threading.Event()
        self.go_on = threading.Event()

    def act(self, numbers: Sequence[int]) -> list[int | ZooscopeError]:
        self.groups.append(list(numbers))
        self.entered.set()
        assert self.go_on.wait(20)
        if 13 in numbers:
            raise ValueError("thirteen")
        if 99 in numbers:
            raise Unavailable("The queue is away.")
        return [UserError("odd") if number % 2 else 10 * number for number in numbers]


def waiting_behind(together: Together[int, int], count: int) -> None:
    """Until so many wait for the group that is being done."""
    deadline = threading.Event()
    while len(together._waiting) < count:
        assert not deadline.wait(0.001)


def together_with(*items: list[int]) -> tuple[Gate, list[object]]:
    """The first is being done while the others come; what each was told, or raised."""
    gate = Gate()
    together: Together[int, int] = Together(gate.act)

    def do(numbers: list[int]) -> object:
        try:
            return together.do(numbers)
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(items)) as pool:
        told = [pool.submit(do, items[0])]
        assert gate.entered.wait(20)
        for number, numbers in enumerate(items[1:], start=1):
            told.append(pool.submit(do, numbers))
            waiting_behind(together, number)
        gate.go_on.set()
        return gate, [one.result() for one in told]


def test_those_who_come_meanwhile_are_done_together_and_told_their_own() -> None:
    gate, told = together_with([2], [4, 6], [8], [10])
    assert gate.groups == [[2], [4, 6, 8, 10]]
    assert told == [[20], [40, 60], [80], [100]]


def test_what_fails_for_one_is_told_to_that_one() -> None:
    _, told = together_with([2], [3, 4], [6])
    assert [type(one) for one in told[1]] == [UserError, int]  # type: ignore[attr-defined]
    assert told[2] == [60]


@pytest.mark.parametrize(("wrong", "raised"), [(13, ValueError), (99, Unavailable)])
def test_what_is_raised_is_raised_for_the_group_and_nothing_is_done_twice(wrong: int, raised: type) -> None:
    gate, told = together_with([2], [wrong], [4])
    assert [type(one) for one in told] == [list, raised, raised]
    assert gate.groups == [[2], [wrong, 4]]


def test_a_thread_that_is_stopped_leaves_the_others_to_go_on() -> None:
    stopped = threading.Event()

    def act(numbers: Sequence[int]) -> list[int | ZooscopeError]:
        if not stopped.is_set():
            stopped.set()
            waiting_behind(together, 2)
            raise KeyboardInterrupt
        return list(numbers)

    together: Together[int, int] = Together(act)

    def be_stopped() -> None:
        with pytest.raises(KeyboardInterrupt):
            together.do([1])

    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(be_stopped)
        assert stopped.wait(20)
        others = [pool.submit(together.do, [number]) for number in (2, 3)]
        first.result()
        assert sorted(number for other in others for number in other.result()) == [2, 3]  # type: ignore[type-var]
    assert together.do([4]) == [4]
    assert together.do([]) == []


def test_of_a_group_that_is_stopped_the_others_are_done_again() -> None:
    gate, begun = Gate(), threading.Event()

    def act(numbers: Sequence[int]) -> list[int | ZooscopeError]:
        if len(numbers) > 1 and not begun.is_set():
            begun.set()
            raise KeyboardInterrupt
        return gate.act(numbers)

    together: Together[int, int] = Together(act)
    interrupted = []

    def do(number: int) -> list[int | ZooscopeError]:
        try:
            return together.do([number])
        except KeyboardInterrupt:
            interrupted.append(number)
            return []

    with ThreadPoolExecutor(3) as pool:
        told = [pool.submit(do, 2)]
        assert gate.entered.wait(20)
        for count, number in enumerate((4, 6), start=1):
            told.append(pool.submit(do, number))
            waiting_behind(together, count)
        gate.go_on.set()
        assert [one.result() for one in told] == [[20], [], [60]]
    assert interrupted == [4]


def test_a_group_waits_for_as_many_as_the_last_one_had(monkeypatch: pytest.MonkeyPatch) -> None:
    gate, _ = together_with([2], [4], [6])
    together: Together[int, int] = Together(gate.act)
    together._last = 2
    monkeypatch.setattr("scheduler.together.COMPANY_SECONDS", 20.0)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(together.do, [8])
        waiting_behind(together, 1)
        assert together.do([10]) == [100]
        assert first.result() == [80]
    assert gate.groups[-1] == [8, 10]
    # In vain, and then no longer.
    monkeypatch.setattr("scheduler.together.COMPANY_SECONDS", 0.01)
    assert together.do([12]) == [120]
    monkeypatch.setattr("scheduler.together.COMPANY_SECONDS", 20.0)
    assert together.do([14]) == [140]


def test_a_thread_that_is_stopped_while_it_waits_for_company_leaves_the_others_to_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gate, _ = together_with([2])
    together: Together[int, int] = Together(gate.act)
    together._last = 3
    with ThreadPoolExecutor(1) as pool:
        others = []

        def stopped(_: float) -> bool:
            monkeypatch.undo()
            others.append(pool.submit(together.do, [4]))
            waiting_behind(together, 2)
            raise KeyboardInterrupt

        monkeypatch.setattr(together._complete, "wait", stopped)
        with pytest.raises(KeyboardInterrupt):
            together.do([13])
        assert others[0].result() == [40]
    assert gate.groups[-1] == [4]
