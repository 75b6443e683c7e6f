"""Schedulers on a simulated beanstalkd and clock, side by side on one data folder, that die at any step one likes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.simulation.broker import SimulatedBroker
from benchmarks.simulation.clock import SimulatedClock
from benchmarks.simulation.queue import SimulatedQueue
from scheduler.contract import FINAL_STATES
from scheduler.service import Scheduler
from zoo.blobs import Blob, DiskBlobs
from zoo.documents import Query, Stored
from zoo.documents_sqlite import SqliteDocuments
from zoo.settings import Settings

SHARED_MEMORY = Path("/dev/shm")
WRITES = ("create", "replace", "write", "delete")


class Crash(BaseException):
    """The process of a scheduler ends here."""


class Fuse:
    """Counts what a scheduler does to the world: commands to beanstalkd, writes of documents and of blobs.

    Once it has burnt, nothing that the dead process still tries has any effect.
    """

    def __init__(self) -> None:
        self.dead = False
        self._left: int | None = None
        self._after = False
        self._then: Callable[[], None] = self._die

    def arm(self, steps: int, after: bool, then: Callable[[], None] | None = None) -> None:
        """Die, or do something else, at the step after so many, just before it or just after it."""
        self._left, self._after, self._then = steps, after, then or self._die

    def _die(self) -> None:
        self.dead = True
        raise Crash

    def disarm(self) -> None:
        self._left = None

    @contextlib.contextmanager
    def step(self) -> Iterator[None]:
        if self.dead:
            raise Crash
        burns = False
        if self._left is not None:
            self._left -= 1
            burns = self._left < 0
        if burns:
            self._left = None
        if burns and not self._after:
            self._then()
        yield
        if burns and self._after:
            self._then()


class MortalDocuments:
    """The documents as one scheduler sees them."""

    def __init__(self, documents: SqliteDocuments, fuse: Fuse) -> None:
        self._documents = documents
        self._fuse = fuse

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._documents, name)
        if name not in WRITES:
            return found

        def write(*arguments: Any, **named: Any) -> Any:
            with self._fuse.step():
                return found(*arguments, **named)

        return write


class MortalBlobs(DiskBlobs):
    """The blobs as one scheduler sees them."""

    def __init__(self, folder: Path, fuse: Fuse) -> None:
        super().__init__(folder)
        self._fuse = fuse

    def put(self, *arguments: Any, **named: Any) -> Blob:
        with self._fuse.step():
            return super().put(*arguments, **named)

    def delete(self, *arguments: Any, **named: Any) -> None:
        with self._fuse.step():
            super().delete(*arguments, **named)


class World:
    """`replicas` schedulers. The clock must be `scheduler.clock`'s while they are used."""

    def __init__(self, folder: Path, replicas: int = 2, **settings: Any) -> None:
        self.settings = Settings(data=folder, free_disk_bytes=0, **settings)
        self.clock = SimulatedClock()
        self.broker = SimulatedBroker(self.clock)
        self.documents = SqliteDocuments(self.settings.documents_file)
        self.blobs = DiskBlobs(self.settings.blobs_folder)
        self.fuses = [Fuse() for _ in range(replicas)]
        self.schedulers = [self._start(fuse) for fuse in self.fuses]

    def _start(self, fuse: Fuse) -> Scheduler:
        documents: Any = MortalDocuments(self.documents, fuse)
        blobs = MortalBlobs(self.settings.blobs_folder, fuse)
        return Scheduler(documents, blobs, self.settings, SimulatedQueue(self.broker, fuse.step))

    def restart(self, replica: int) -> None:
        """The process of a scheduler is gone, with its connections; another one takes its place."""
        self.fuses[replica].dead = True
        self.schedulers[replica].close()
        self.fuses[replica] = Fuse()
        self.schedulers[replica] = self._start(self.fuses[replica])

    def mend(self) -> None:
        """beanstalkd runs, answers and takes jobs."""
        if self.broker.stopped:
            self.broker.resume()
        if self.broker.draining:
            self.broker.kill()
        if not self.broker.running:
            self.broker.start()
        self.broker.cut_in = None

    def all(self, collection: str) -> list[Stored]:
        return self.documents.search(collection, Query(size=200)).items

    def entries_wait(self) -> bool:
        """A clock set back leaves entries behind that are looked at, and deleted, when it has caught up."""
        return any(state != "buried" for _, state, _ in self.broker.bodies())

    def check_nothing_is_left(self, *other_blobs: str) -> None:
        """Every job is over, and nothing is there but what it needs, an entry if it is buried, and `other_blobs`."""
        stored, wanted = self.all("jobs"), set(other_blobs)
        for one in stored:
            assert one.body["state"] in FINAL_STATES, one
            assert one.body["lease"] is None, one
            assert not one.body["garbage"], one
            assert not one.body["deleted"], one
            wanted.update(one.body["blobs"])
        buried = [one.id.encode() for one in stored if one.body["buried"]]
        for tube, state, body in self.broker.bodies():
            assert state == "buried", (tube, state, body)
            assert any(uuid in body for uuid in buried), (tube, state, body)
        assert not self.all("job_logs")
        files = {path.name for path in self.settings.blobs_folder.glob("??/*")}
        assert files - set(other_blobs) == wanted - set(other_blobs)

    def close(self) -> None:
        for scheduler in self.schedulers:
            scheduler.close()
        self.broker.kill()
        self.documents.close()
