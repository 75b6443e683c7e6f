"""Collections declared to be searched: both engines find, count and order the same, and go on doing so after writes."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.zoo_documents import Made
from benchmarks.zoo_search import queries
from zoo.cil_records import document
from zoo.documents import SCORE, Documents, Query
from zoo.documents_elasticsearch import ElasticDocuments
from zoo.documents_sqlite import SqliteDocuments
from zoo.elasticsearch_reindex import reindex
from zoo.identifiers import new_uuid
from zoo.searched_fields import FACETS, LIBRARY, declare_searched
from zoo.shown_models import MODELS

MODEL_COUNT, RECORD_COUNT = 120, 40


@pytest.fixture(scope="module")
def written() -> list[tuple[str, dict[str, Any]]]:
    made = Made(seed=1)
    records = []
    for number in range(RECORD_COUNT):
        outer = made.record(number)["CIL_CCDB"]
        records.append((LIBRARY, document(f"CIL_{number}", outer, outer["CIL"]["CORE"])))
    return [*((MODELS, made.model(number)) for number in range(MODEL_COUNT)), *records]


def fill(documents: Documents, written: list[tuple[str, dict[str, Any]]]) -> None:
    """As a service does, with changes on the way: each body replaces another one, some documents go."""
    declare_searched(documents)
    bodies = [body for _, body in written]
    for number, (collection, body) in enumerate(written):
        stored = documents.create(collection, body["id"], bodies[number - 1] | {"id": body["id"]})
        documents.replace(collection, stored.id, body, stored.revision)
        if number % 10 == 0:
            documents.create(collection, f"gone-{number}", body)
    for number, (collection, _) in enumerate(written):
        if number % 10 == 0:
            documents.delete(collection, f"gone-{number}")


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory: pytest.TempPathFactory, written: Any) -> Iterator[SqliteDocuments]:
    documents = SqliteDocuments(tmp_path_factory.mktemp("searched") / "documents.sqlite3")
    fill(documents, written)
    yield documents
    documents.close()


@pytest.fixture(scope="module")
def elastic(elasticsearch_url: str, written: Any) -> Iterator[ElasticDocuments]:
    documents = ElasticDocuments(elasticsearch_url, prefix=f"test-{new_uuid()}")
    fill(documents, written)
    yield documents
    for index in documents.client.indices.get(index=f"{documents.prefix}-*").body:
        documents.client.indices.delete(index=index)
    documents.client.indices.delete_index_template(name=documents.prefix)
    documents.close()


def asked() -> list[tuple[str, Query]]:
    return [(collection, query) for _, collection, query in itertools.islice(queries(Made(seed=1)), 96)]


def test_both_engines_find_the_same(sqlite: SqliteDocuments, elastic: ElasticDocuments) -> None:
    found = 0
    for collection, query in asked():
        one, other = sqlite.search(collection, query), elastic.search(collection, query)
        assert (one.total, one.facets) == (other.total, other.facets), query
        if query.sort == SCORE:
            assert one.total > query.size or {item.id for item in one.items} == {item.id for item in other.items}
        else:
            assert [item.id for item in one.items] == [item.id for item in other.items], query
        found += one.total
    assert found > 300


def test_a_reindex_keeps_what_is_found(sqlite: SqliteDocuments, elastic: ElasticDocuments) -> None:
    reindex(elastic, MODELS)
    for collection, query in asked()[:24]:
        one, other = sqlite.search(collection, query), elastic.search(collection, query)
        assert (one.total, one.facets) == (other.total, other.facets), query


def test_what_was_written_before_it_was_declared_is_searched(tmp_path: Path, written: Any, sqlite: Any) -> None:
    documents = SqliteDocuments(tmp_path / "documents.sqlite3")
    for collection, body in written:
        documents.create(collection, body["id"], body)
    declare_searched(documents)
    for collection, query in asked()[:24]:
        one, other = documents.search(collection, query), sqlite.search(collection, query)
        assert ([item.id for item in one.items], one.facets) == ([item.id for item in other.items], other.facets)
    documents.close()


def test_the_best_match_has_the_words_in_its_name(sqlite: SqliteDocuments, elastic: ElasticDocuments) -> None:
    for documents in (sqlite, elastic):
        best = documents.search(MODELS, Query("mitochondrion", size=5)).items
        assert all("mitochondrion" in item.body["name"] for item in best)


def test_searches_beside_writes_see_whole_documents(tmp_path: Path, written: Any) -> None:
    """Threads of two engines on one file search while it is written to; nobody finds what is not there."""
    engines = [SqliteDocuments(tmp_path / "documents.sqlite3") for _ in range(2)]
    for engine in engines:
        declare_searched(engine)
    models = [body for collection, body in written if collection == MODELS]
    over, wrong = threading.Event(), []

    def search(engine: SqliteDocuments) -> None:
        while not over.is_set():
            for query in (Query("nucleus", facets=FACETS), Query(sort="usage.tried", facets=["licence"], size=200)):
                try:
                    page = engine.search(MODELS, query)
                except Exception as error:
                    wrong.append(error)
                    return
                if sum(page.facets["licence"].values()) != page.total or len(page.items) != min(page.total, query.size):
                    wrong.append(page)

    threads = [threading.Thread(target=search, args=(engine,)) for engine in engines for _ in range(2)]
    for thread in threads:
        thread.start()
    for number, body in enumerate(models):
        stored = engines[0].create(MODELS, body["id"], body)
        if number % 3 == 0:
            engines[0].replace(MODELS, body["id"], body | {"usage": {"tried": number}}, stored.revision)
        if number % 5 == 0:
            engines[0].delete(MODELS, body["id"])
    over.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert engines[1].search(MODELS, Query(size=0)).total == MODEL_COUNT * 4 // 5
    for engine in engines:
        engine.close()
