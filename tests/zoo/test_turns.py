"""Turns: one at a time while they are short, never a lock."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from zoo.turns import Turns

LONG = 20.0


def in_line(turns: Turns, count: int) -> None:
    """Until so many wait for their turns."""
    pause = threading.Event()
    while len(turns._waiting) < count:
        assert not pause.wait(0.001)


def test_turns_come_one_after_another_in_order() -> None:
    turns, told = Turns(LONG), []

    def take(number: int) -> None:
        with turns.turn():
            told.append(number)

    with ThreadPoolExecutor(8) as pool, turns.turn():
        for number in range(8):
            pool.submit(take, number)
            in_line(turns, number + 1)
        assert told == []
    assert told == list(range(8))


def test_only_one_has_a_turn() -> None:
    turns, lock, there, most = Turns(LONG), threading.Lock(), [], []

    def compute(number: int) -> None:
        with lock:
            there.append(number)
            most.append(len(there))
        with lock:
            there.remove(number)

    def take(number: int) -> None:
        for _ in range(200):
            with turns.turn():
                compute(number)
                with turns.away():
                    pass
                compute(number)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(take, range(6)))
    assert set(most) == {1}
    assert turns._current is None
    assert not turns._waiting


def test_who_is_away_lets_those_in_line_go_first_and_comes_back_behind_them() -> None:
    turns, told = Turns(LONG), []

    def take() -> None:
        with turns.turn():
            told.append("other")

    with ThreadPoolExecutor(1) as pool, turns.turn():
        pool.submit(take)
        in_line(turns, 1)
        told.append("before")
        with turns.away():
            pass
        told.append("after")
    assert told == ["before", "other", "after"]


def test_a_turn_that_takes_too_long_keeps_nobody_waiting() -> None:
    turns, over = Turns(0.005), threading.Event()

    def take() -> None:
        with turns.turn():
            over.set()

    with ThreadPoolExecutor(3) as pool, turns.turn():
        pool.submit(take)
        assert over.wait(LONG), "it waited for the end of a turn that is over"
        over.clear()
        pool.submit(take)
        assert over.wait(LONG)
    with turns.turn():
        pass


def test_without_a_turn_there_is_nothing_to_leave() -> None:
    turns = Turns(LONG)
    with turns.away(), turns.turn():
        pass
    with turns.away():
        assert turns._current is None


def test_an_error_ends_a_turn() -> None:
    turns = Turns(LONG)
    with pytest.raises(ValueError), turns.turn(), turns.away():
        raise ValueError
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: turns.turn().__enter__()).result(LONG) is None


def test_who_leaves_its_turn_to_wait_says_so_and_that_it_is_back() -> None:
    turns, told = Turns(LONG), []
    turns.on_leaving, turns.on_coming_back = lambda: told.append("left"), lambda: told.append("back")
    with turns.away():
        pass
    assert told == []
    with turns.turn():
        with turns.away():
            told.append("away")
        with pytest.raises(ValueError, match="wrong"), turns.away():
            raise ValueError("wrong")
    assert told == ["left", "away", "back", "left", "back"]
