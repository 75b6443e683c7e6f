"""A crew: so many at a time, others in the place of those that wait, nobody forgotten."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from web.crew import Crew

SIZE, SPARE, LONG = 2, 2, 20.0


class Client:
    """Served until it is released; waits for others in between when it is told to."""

    def __init__(self, crew: Callable[[], Crew[Client]], waits: bool = False) -> None:
        self.crew = crew
        self.waits = waits
        self.begun, self.waiting, self.go_on, self.served = (threading.Event() for _ in range(4))

    def serve(self) -> None:
        self.begun.set()
        if self.waits:
            self.crew().left()
            self.waiting.set()
            assert self.go_on.wait(LONG)
            self.crew().back()
        assert self.go_on.wait(LONG)
        self.served.set()


@pytest.fixture
def crew() -> Iterator[Crew[Client]]:
    with ThreadPoolExecutor(SIZE + SPARE) as pool:
        yield Crew(pool, SIZE, Client.serve)


def several(crew: Crew[Client], count: int, waits: bool = False) -> list[Client]:
    clients = [Client(lambda: crew, waits) for _ in range(count)]
    for client in clients:
        crew.line_up(client)
    return clients


def test_so_many_are_served_at_a_time_and_the_others_in_order(crew: Crew[Client]) -> None:
    clients = several(crew, 5)
    for first in range(len(clients) - SIZE):
        assert all(client.begun.wait(LONG) for client in clients[first : first + SIZE])
        assert not any(client.begun.is_set() for client in clients[first + SIZE :])
        assert crew.has_line
        clients[first].go_on.set()
        assert clients[first + SIZE].begun.wait(LONG)
    assert not crew.has_line
    for client in clients:
        client.go_on.set()


def test_who_waits_has_another_in_its_place_and_goes_on_beside_it(crew: Crew[Client]) -> None:
    waiting = several(crew, SIZE, waits=True)
    assert all(client.waiting.wait(LONG) for client in waiting)
    others = several(crew, SIZE + 1)
    assert all(client.begun.wait(LONG) for client in others[:SIZE])
    assert not others[SIZE].begun.is_set()
    for client in waiting:
        client.go_on.set()
        assert client.served.wait(LONG)
    # There are as many as may be: those that were back stopped.
    assert crew.has_line
    assert not others[SIZE].begun.is_set()
    others[0].go_on.set()
    assert others[SIZE].begun.wait(LONG)
    for client in others:
        client.go_on.set()


def test_more_that_wait_than_there_are_threads_hold_up_nobody_for_good(crew: Crew[Client]) -> None:
    clients = several(crew, 3 * (SIZE + SPARE), waits=True)
    for client in clients:
        assert client.waiting.wait(LONG)
        client.go_on.set()
    assert all(client.served.wait(LONG) for client in clients)
    assert not crew.has_line


def test_nobody_is_served_by_a_pool_that_was_shut_down() -> None:
    pool = ThreadPoolExecutor(1)
    crew: Crew[Client] = Crew(pool, 1, Client.serve)
    pool.shutdown()
    [client] = several(crew, 1)
    assert not client.begun.is_set()
    crew.left()
    crew.back()
