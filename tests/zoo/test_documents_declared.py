"""Declared collections: searched as any other, by declared fields alone, at a cost that does not grow with them."""

from __future__ import annotations

import json
import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from zoo.document_fields import DocumentInvalid
from zoo.documents import DocumentExists, Documents, Fields, Query, RevisionConflict
from zoo.documents_sqlite import SqliteDocuments

FIELDS = Fields(
    single=("state", "queue.priority", "owner", "open"),
    several=("tags",),
    orders=(("state", "queue.priority"), ("owner", "state", "queue.priority"), ("queue.priority",)),
    counts=(("state", "open"), ("owner", "state")),
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "documents.sqlite3"


@pytest.fixture
def documents(file: Path) -> Iterator[SqliteDocuments]:
    documents = SqliteDocuments(file)
    documents.declare("jobs", FIELDS)
    yield documents
    documents.close()


def body(number: int, **changes: Any) -> dict[str, Any]:
    return {"state": "queued", "queue": {"priority": number}, "owner": f"o{number % 3}", "tags": ["a"]} | changes


def totals(documents: Documents, **filters: Any) -> int:
    return documents.search("jobs", Query(filters={name: [value] for name, value in filters.items()}, size=0)).total


def test_totals_follow_every_change(documents: SqliteDocuments) -> None:
    stored = [documents.create("jobs", f"j{number}", body(number)) for number in range(6)]
    documents.replace("jobs", "j0", body(0, state="running"), stored[0].revision)
    documents.replace("jobs", "j1", body(1, state=None, owner="o9"), stored[1].revision, lasting=False)
    documents.delete("jobs", "j2")
    with pytest.raises(RevisionConflict):
        documents.replace("jobs", "j0", body(0, state="done"), stored[0].revision)
    with pytest.raises(DocumentExists):
        documents.create("jobs", "j3", body(3))
    assert totals(documents, state="queued") == 3
    assert totals(documents, state="running") == 1
    assert totals(documents, state="done") == 0
    assert totals(documents, owner="o9") == 1
    assert totals(documents, owner="o0", state="queued") == 1
    assert totals(documents) == 5


def test_edges_are_those_of_the_documents(documents: SqliteDocuments) -> None:
    for number in range(6):
        documents.create("jobs", f"j{number}", body(number))
    documents.create("jobs", "without", body(0) | {"queue": {}})
    assert documents.edge("jobs", "queue.priority", {"state": ["queued"]}) == 0
    assert documents.edge("jobs", "queue.priority", {"owner": ["o1"]}, last=True) == 4
    assert documents.edge("jobs", "queue.priority", {"owner": ["nobody"]}) is None
    with pytest.raises(DocumentInvalid):
        documents.edge("jobs", "colour", {})


def test_no_row_of_a_count_stays_behind(documents: SqliteDocuments, file: Path) -> None:
    for number in range(5):
        documents.create("jobs", f"j{number}", body(number))
        documents.delete("jobs", f"j{number}")
    with sqlite3.connect(file) as direct:
        for table in ("count_jobs_0", "count_jobs_1", "fields_jobs", "field", "document"):
            assert direct.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
    direct.close()


def test_what_is_not_declared_is_not_searched(documents: SqliteDocuments) -> None:
    for query in (
        Query(filters={"colour": ["red"]}),
        Query(text="red"),
        Query(sort="tags"),
        Query(ranges={"tags": (0, 1)}),
        Query(facets=["colour"]),
    ):
        with pytest.raises(DocumentInvalid, match="not declared to be searched by"):
            documents.search("jobs", query)


@pytest.mark.parametrize("wrong", [{"state": ["queued"]}, {"queue": [{"priority": 1}]}])
def test_a_list_is_no_single_value(documents: SqliteDocuments, wrong: dict[str, Any]) -> None:
    with pytest.raises(DocumentInvalid):
        documents.create("jobs", "a", wrong)
    assert totals(documents) == 0


@pytest.mark.parametrize(
    "declaration",
    [
        {"single": ("a", "a")},
        {"single": ("a",), "several": ("a",)},
        {"single": ("a",), "orders": (("b",),)},
        {"several": ("a",), "counts": (("a",),)},
        {"single": ('a"; DROP TABLE document; --',)},
    ],
)
def test_a_declaration_that_cannot_be_kept_is_refused(declaration: dict[str, Any]) -> None:
    with pytest.raises(DocumentInvalid):
        Fields(**declaration)


def test_what_was_there_before_a_declaration_is_found_after_it(file: Path) -> None:
    documents = SqliteDocuments(file)
    for number in range(4):
        documents.create("jobs", f"j{number}", body(number))
    for fields in (FIELDS, Fields(single=("owner",), counts=(("owner",),)), FIELDS):
        documents.declare("jobs", fields)
        assert totals(documents, owner="o0") == 2
        documents.create("jobs", f"new{len(fields.single)}{totals(documents)}", body(2))
    with pytest.raises(DocumentInvalid):
        Fields(single=("a",), orders=(("a", "b"),))
    documents.close()
    # Whoever opens the file later keeps to what was declared, without saying it again.
    again = SqliteDocuments(file)
    assert totals(again, state="queued") == 7
    again.create("jobs", "later", body(1))
    assert totals(again, owner="o1", state="queued") == 2
    again.close()


def test_a_file_of_the_first_version_is_taken_over(file: Path) -> None:
    old = SqliteDocuments(file)
    old.create("jobs", "a", body(1))
    old.close()
    with sqlite3.connect(file) as direct:
        direct.executescript("DROP TABLE declared; PRAGMA user_version = 1;")
    direct.close()
    documents = SqliteDocuments(file)
    documents.declare("jobs", FIELDS)
    assert totals(documents, state="queued") == 1
    documents.close()


def test_orders_and_counts_are_read_from_an_index(documents: SqliteDocuments, file: Path) -> None:
    """No search that a declaration promises to be quick looks at every row, or sorts. SQLite writes 9e999 as Inf."""
    queries = [
        Query(filters={"state": ["queued"]}, sort="queue.priority", descending=False, size=1),
        Query(filters={"state": ["queued"], "owner": ["a"]}, sort="queue.priority", size=1),
        Query(filters={"state": ["queued"], "open": [True]}, size=0),
        Query(filters={"state": ["queued"]}, ranges={"queue.priority": (None, 7)}, size=0, count_limit=100),
    ]
    asked: list[str] = []
    with documents._sqlite.reading() as connection:
        connection.set_trace_callback(asked.append)
    for query in queries:
        documents.search("jobs", query)
    with documents._sqlite.reading() as connection:
        connection.set_trace_callback(None)
        plans = [
            str(step[3])
            for statement in asked
            if "fields_jobs" in statement or "count_jobs" in statement
            for step in connection.execute(f"EXPLAIN QUERY PLAN {statement}".replace("Inf", "9e999"))
        ]
    assert len(plans) >= len(queries)
    for step in plans:
        # Of those that share a place the ids are put in order: few, and no more than are asked for.
        subquery = step.startswith(("SCAN (", "CO-ROUTINE", "USE TEMP B-TREE FOR RIGHT PART OF ORDER BY"))
        assert subquery or step.startswith("SEARCH"), step
        assert "TEMP B-TREE FOR ORDER BY" not in step, step


numbers = st.one_of(st.integers(-3, 3), st.sampled_from([0.5, -1.5, 2.0]))
leaves = st.one_of(st.sampled_from(["x", "y", "3", "true"]), numbers, st.booleans(), st.none())
bodies = st.fixed_dictionaries(
    {},
    optional={
        "state": leaves,
        "owner": leaves,
        "open": leaves,
        "queue": st.fixed_dictionaries({}, optional={"priority": leaves}),
        "tags": st.one_of(leaves, st.lists(leaves, max_size=3)),
    },
)
single = st.sampled_from(FIELDS.single)
asked_values = st.one_of(st.sampled_from(["x", "3", "2", "-1.5", "true"]), numbers, st.booleans())
queries = st.builds(
    Query,
    filters=st.dictionaries(st.one_of(single, st.just("tags")), st.lists(asked_values, max_size=3), max_size=2),
    facets=st.lists(st.one_of(single, st.just("tags")), unique=True, max_size=2),
    ranges=st.dictionaries(single, st.tuples(*[st.one_of(st.none(), st.integers(-2, 2))] * 2), max_size=1),
    sort=st.one_of(single, st.just("_score")),
    descending=st.booleans(),
    page=st.integers(1, 3),
    size=st.integers(0, 3),
    count_limit=st.one_of(st.none(), st.integers(0, 3)),
)


@settings(max_examples=15, deadline=None)
@given(written=st.lists(bodies, max_size=8), changed=st.lists(bodies, max_size=4), asked=st.lists(queries, max_size=8))
def test_declared_or_not_finds_the_same(
    written: list[dict[str, Any]], changed: list[dict[str, Any]], asked: list[Query]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        plain, quick = SqliteDocuments(Path(folder) / "plain"), SqliteDocuments(Path(folder) / "quick")
        quick.declare("jobs", FIELDS)
        for documents in (plain, quick):
            stored = [documents.create("jobs", f"j{number}", body) for number, body in enumerate(written)]
            for one, body in zip(stored, changed, strict=False):
                documents.replace("jobs", one.id, body, one.revision)
        for query in asked:
            one, other = plain.search("jobs", query), quick.search("jobs", query)
            assert [item.id for item in one.items] == [item.id for item in other.items]
            assert (one.total, list(one.facets.items())) == (other.total, list(other.facets.items()))
        plain.close()
        quick.close()


def test_writers_share_a_transaction_and_fail_alone(documents: SqliteDocuments) -> None:
    """While one is being committed the others gather; the one that is wrong is alone to learn of it."""
    begun, go_on = threading.Event(), threading.Event()

    def first(connection: sqlite3.Connection) -> None:
        begun.set()
        assert go_on.wait(10)

    raised: list[Exception] = []

    def create(number: int) -> None:
        try:
            documents.create("jobs", f"j{number % 4}", body(number))
        except DocumentExists as error:
            raised.append(error)

    threads = [threading.Thread(target=documents._sqlite.write, args=(first,))]
    threads[0].start()
    assert begun.wait(10)
    threads += [threading.Thread(target=create, args=(number,)) for number in range(5)]
    for thread in threads[1:]:
        thread.start()
    while len(documents._sqlite._waiting) < 5:
        pass
    begun_transactions: list[str] = []
    assert documents._sqlite._writer is not None
    documents._sqlite._writer.set_trace_callback(begun_transactions.append)
    go_on.set()
    for thread in threads:
        thread.join()
    assert len(raised) == 1
    assert totals(documents) == 4
    assert begun_transactions.count("BEGIN IMMEDIATE") == 1


def test_what_an_older_version_declared_is_not_indexed_anew(file: Path) -> None:
    """It knew no words and facets; the same fields without them are the same."""
    documents = SqliteDocuments(file)
    documents.declare("jobs", FIELDS)
    documents.create("jobs", "j", body(1))
    with sqlite3.connect(file) as connection:
        told = json.loads(connection.execute("SELECT fields FROM declared").fetchone()[0])
        older = {name: told[name] for name in ("single", "several", "orders", "counts")}
        connection.execute("UPDATE declared SET fields = ?", (json.dumps(older),))
        connection.execute("UPDATE fields_jobs SET state = 'as it was indexed'")
    connection.close()
    documents.declare("jobs", FIELDS)
    assert totals(documents, state="as it was indexed") == 1
    documents.close()
