"""However many jobs there are, nothing that is asked often looks at all of them: SQLite tells its plans, no clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from scheduler_parts import Parts, Worker

from scheduler.contract import START
from scheduler.jobs import FARTHEST_PLACE
from zoo.documents import Query
from zoo.documents_sqlite import SqliteDocuments

# Of few: the jobs that run, and those of one owner that are held or not over.
SORTED_ALL_THE_SAME = ("started_at", "held")


@contextmanager
def statements(documents: SqliteDocuments) -> Iterator[list[str]]:
    """What SQLite is asked inside the block, with the values in place."""
    said: list[str] = []
    connections = [*documents._sqlite._idle, documents._sqlite._writer]
    for connection in connections:
        assert connection is not None
        connection.set_trace_callback(said.append)
    yield said
    for connection in connections:
        assert connection is not None
        connection.set_trace_callback(None)


def costs(documents: SqliteDocuments, said: list[str]) -> list[str]:
    """The steps of the statements' plans that take longer the more jobs there are."""
    found = []
    with documents._sqlite.reading() as connection:
        for statement in {one.replace("Inf", "9e999") for one in said if one.lstrip().startswith(("SELECT", "UPDATE"))}:
            for *_, step in connection.execute(f"EXPLAIN QUERY PLAN {statement}"):
                whole = step.startswith("SCAN") and not step.startswith("SCAN (")
                sorts = "TEMP B-TREE FOR ORDER BY" in step and not any(n in statement for n in SORTED_ALL_THE_SAME)
                # A count that is kept for every kind and state has a handful of rows.
                if (whole and "count_" not in statement and "declared" not in statement) or sorts:
                    found.append(f"{step}: {statement}")
    return found


ASKED: dict[str, Callable[[Parts, str], object]] = {
    "submit": lambda parts, uuid: parts.submit("ben"),
    "place": lambda parts, uuid: parts.scheduler.place(uuid),
    "status": lambda parts, uuid: parts.scheduler.status(),
    "metrics": lambda parts, uuid: parts.scheduler.metrics.text(),
    "a person's jobs": lambda parts, uuid: parts.scheduler.jobs_of("ada"),
    "buried": lambda parts, uuid: parts.scheduler.buried(),
    "who needs a blob": lambda parts, uuid: parts.scheduler.needs_blob(parts.package_sha256),
    "cancel": lambda parts, uuid: parts.scheduler.cancel(uuid),
    "delete": lambda parts, uuid: parts.scheduler.delete(uuid),
    "recover": lambda parts, uuid: parts.scheduler.maintenance.recover(),
}


@pytest.mark.parametrize("question", ASKED)
def test_nothing_that_is_asked_looks_at_every_job(parts: Parts, worker: Worker, question: str) -> None:
    uuid = parts.submit("ada")
    for owner in ("ada", "ben"):
        parts.submit(owner)
    worker.finish(worker.begin())
    with statements(parts.documents) as said:
        ASKED[question](parts, uuid)
    assert said
    assert costs(parts.documents, said) == []


def test_nothing_a_worker_asks_looks_at_every_job(parts: Parts, worker: Worker) -> None:
    parts.submit("ada", estimate_seconds=60.0)
    parts.submit("ben")
    parts.scheduler.maintenance.run_if_due(idle=True)
    with statements(parts.documents) as said:
        claim = worker.claim()
        assert worker.say(START, claim).status_code == 200
        assert worker.finish(claim).status_code == 200
    assert costs(parts.documents, said) == []


def test_a_place_far_behind_is_told_no_further(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scheduler.jobs.FARTHEST_PLACE", 3)
    assert FARTHEST_PLACE > 1000
    uuids = [parts.submit(f"o{number}") for number in range(6)]
    assert [parts.scheduler.place(uuid) for uuid in uuids] == [0, 1, 2, 3, 3, 3]


def test_a_question_without_an_index_would_be_found(parts: Parts) -> None:
    parts.submit("ada")
    for query in (Query(sort="rerun_of"), Query(filters={"error.code": ["boom"]}, size=0)):
        with statements(parts.documents) as said:
            parts.documents.search("jobs", query)
        assert costs(parts.documents, said) != []
