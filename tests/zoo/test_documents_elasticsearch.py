"""The Elasticsearch engine, on a real server: the contract, and what only a server can get wrong."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from documents_contract import DocumentsContract, ids
from elasticsearch.helpers import bulk, scan

from zoo.documents import DocumentMissing, DocumentsUnavailable, Fields, Query, RevisionConflict
from zoo.documents_elasticsearch import ElasticDocuments
from zoo.elasticsearch_reindex import reindex
from zoo.identifiers import new_uuid


@pytest.fixture(scope="module")
def engine(elasticsearch_url: str) -> Iterator[ElasticDocuments]:
    """An engine under a prefix that no other run has; its indices go at the end."""
    engine = ElasticDocuments(elasticsearch_url, prefix=f"test-{new_uuid()}")
    yield engine
    for index in _indices(engine):
        engine.client.indices.delete(index=index)
    engine.client.indices.delete_index_template(name=engine.prefix)
    engine.close()


def _emptied(engine: ElasticDocuments) -> ElasticDocuments:
    """The engine, with nothing in it: emptying an index is much quicker than making one."""
    for index in _indices(engine):
        engine.client.indices.refresh(index=index)
        found = [hit["_id"] for hit in scan(engine.client, index=index, source=False)]
        bulk(engine.client, [{"_op_type": "delete", "_index": index, "_id": id} for id in found])
    return engine


@pytest.fixture
def documents(engine: ElasticDocuments) -> ElasticDocuments:
    return _emptied(engine)


def _indices(engine: ElasticDocuments) -> list[str]:
    return list(engine.client.indices.get(index=f"{engine.prefix}-*", allow_no_indices=True).body)


class TestElasticDocuments(DocumentsContract):
    @pytest.fixture
    def documents(self, engine: ElasticDocuments) -> ElasticDocuments:
        return _emptied(engine)


def test_two_engines_see_each_others_writes(documents: ElasticDocuments, elasticsearch_url: str) -> None:
    other = ElasticDocuments(elasticsearch_url, prefix=documents.prefix)
    documents.create("models", "new", {"name": "Vesicles"})
    assert ids(other.search("models", Query(text="vesicles"))) == ["new"]
    other.create("fresh", "a", {"name": "first of its collection"})
    assert documents.search("fresh", Query(text="first")).total == 1
    other.close()


def test_a_revision_of_another_index_fits_nothing(documents: ElasticDocuments) -> None:
    stored = documents.create("models", "a", {"n": 1})
    index, _, numbers = stored.revision.partition("@")
    for other in (f"{index[:-6]}000099@{numbers}", "nonsense", f"zooscope-secrets@{numbers}", f"{index}@x.y"):
        with pytest.raises(RevisionConflict):
            documents.replace("models", "a", {"n": 2}, other)
    assert documents.get("models", "a") == stored


def test_no_index_is_made_by_accident(documents: ElasticDocuments) -> None:
    stored = documents.create("passing", "a", {"n": 1})
    documents.client.indices.delete(index=documents.index_name("passing", 1))
    with pytest.raises(DocumentsUnavailable):
        documents.create("passing", "b", {"n": 1})
    with pytest.raises(DocumentMissing):
        documents.replace("passing", "a", {"n": 2}, stored.revision)
    assert not documents.client.indices.exists(index=documents.alias("passing"))
    assert not documents.client.indices.exists(index=documents.index_name("passing", 1))


def test_what_was_written_before_it_was_declared_is_found_by_words_and_after_a_reindex_by_fields(
    documents: ElasticDocuments, elasticsearch_url: str
) -> None:
    for number, name in enumerate(("Vesicles", "Axons")):
        documents.create("older", f"o{number}", {"name": name, "n": number, "kind": "em"})
    other = ElasticDocuments(elasticsearch_url, prefix=documents.prefix)
    other.declare("older", Fields(("name", "n"), ("kind",), (("name",),), text=True, facets=("kind",), numbers=("n",)))
    assert ids(other.search("older", Query(text="axns", sort="n"))) == ["o1"]
    assert other.search("older", Query(sort="name", facets=["kind"])).total == 2
    stored = other.get("older", "o0")
    other.replace("older", "o0", stored.body | {"n": 7}, stored.revision)
    assert ids(other.search("older", Query(ranges={"n": (5, None)}, facets=["kind"]))) == ["o0"]
    assert reindex(other, "older") == 2
    found = other.search("older", Query(sort="name", descending=False, facets=["kind"]))
    assert (ids(found), found.facets) == (["o1", "o0"], {"kind": {"em": 2}})
    other.close()


def test_long_ids_are_kept_apart(documents: ElasticDocuments) -> None:
    one, two = "\u4e2d" * 200, "\u4e2d" * 199 + "\u4e2e"
    documents.create("models", one, {"n": 1})
    documents.create("models", two, {"n": 2})
    assert [documents.get("models", id).body["n"] for id in (one, two)] == [1, 2]
    assert set(ids(documents.search("models", Query()))) == {one, two}


def test_a_server_that_is_away_is_said_so() -> None:
    documents = ElasticDocuments("http://127.0.0.1:9")
    for attempt in (
        lambda: documents.search("models", Query()),
        lambda: documents.get("models", "a"),
        lambda: documents.create("models", "a", {}),
    ):
        with pytest.raises(DocumentsUnavailable) as caught:
            attempt()
        assert caught.value.status == 503
        assert caught.value.hint
    documents.close()
