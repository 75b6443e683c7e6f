"""Moving a collection to a new index on a real server, while others write to it, and when it goes wrong."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from documents_contract import ids

from zoo import elasticsearch_reindex
from zoo.documents import DocumentMissing, Query, RevisionConflict
from zoo.documents_elasticsearch import ElasticDocuments
from zoo.elasticsearch_fields import AnyFields
from zoo.elasticsearch_reindex import ReindexRunning, collections, reindex
from zoo.identifiers import new_uuid


@pytest.fixture
def documents(elasticsearch_url: str) -> Iterator[ElasticDocuments]:
    documents = ElasticDocuments(elasticsearch_url, prefix=f"test-{new_uuid()}")
    yield documents
    for index in documents.client.indices.get(index=f"{documents.prefix}-*", allow_no_indices=True).body:
        documents.client.indices.delete(index=index)
    documents.client.indices.delete_index_template(name=documents.prefix)
    documents.close()


def indices(documents: ElasticDocuments) -> list[str]:
    return sorted(documents.client.indices.get(index=f"{documents.prefix}-*").body)


def test_everything_is_there_afterwards_and_only_there(documents: ElasticDocuments) -> None:
    for number in range(25):
        documents.create("models", f"m{number:02}", {"name": f"Model {number}", "n": number})
    old = documents.create("models", "old", {"name": "Old"})
    documents.create("images", "i", {})
    assert collections(documents) == ["images", "models"]
    assert reindex(documents, "models") == 26
    assert indices(documents) == [documents.index_name("images", 1), documents.index_name("models", 2)]
    assert documents.search("models", Query(text="model", ranges={"n": (20, None)})).total == 5
    with pytest.raises(RevisionConflict):
        documents.replace("models", "old", {"name": "New"}, old.revision)
    now = documents.get("models", "old")
    assert now.body == old.body
    documents.replace("models", "old", {"name": "New"}, now.revision)
    assert reindex(documents, "models") == 26


def test_what_is_written_meanwhile_is_kept(documents: ElasticDocuments, monkeypatch: pytest.MonkeyPatch) -> None:
    for id in ("stays", "changes", "goes", "counted"):
        documents.create("models", id, {"n": 0})
    copy, rounds = elasticsearch_reindex._copy, []
    counting, stop = threading.Event(), threading.Event()
    counted = 0

    def count() -> None:
        nonlocal counted
        while not stop.is_set():
            stored = documents.get("models", "counted")
            try:
                documents.replace("models", "counted", {"n": stored.body["n"] + 1}, stored.revision)
                counted += 1
                counting.set()
            except RevisionConflict:
                continue

    def copy_and_interfere(client: object, old: str, new: str, fields: AnyFields, after: int) -> int:
        copied = copy(client, old, new, fields, after)
        rounds.append(copied)
        if len(rounds) == 1:
            stored = documents.get("models", "changes")
            documents.replace("models", "changes", {"n": 1}, stored.revision)
            documents.delete("models", "goes")
            documents.create("models", "comes", {"n": 2})
            assert counting.wait(10)
        return copied

    monkeypatch.setattr(elasticsearch_reindex, "_copy", copy_and_interfere)
    writer = threading.Thread(target=count)
    writer.start()
    try:
        assert reindex(documents, "models") == 4
    finally:
        stop.set()
        writer.join()
    assert ids(documents.search("models", Query())) == ["changes", "comes", "counted", "stays"]
    assert documents.get("models", "changes").body == {"n": 1}
    assert documents.get("models", "counted").body == {"n": counted}
    with pytest.raises(DocumentMissing):
        documents.get("models", "goes")


def test_a_failure_leaves_everything_as_it_was(documents: ElasticDocuments, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = documents.create("models", "a", {"n": 1})

    def fail(client: object, index: str) -> set[str]:
        raise RuntimeError("the power went")

    monkeypatch.setattr(elasticsearch_reindex, "_keys", fail)
    with pytest.raises(RuntimeError):
        reindex(documents, "models")
    assert indices(documents) == [documents.index_name("models", 1)]
    documents.replace("models", "a", {"n": 2}, stored.revision)


def test_two_at_once_are_refused_and_a_killed_one_is_taken_over(documents: ElasticDocuments) -> None:
    documents.create("models", "a", {"n": 1})
    documents.client.indices.create(index=documents.index_name("models", 2))
    documents.client.indices.add_block(index=documents.index_name("models", 1), block="write")
    with pytest.raises(ReindexRunning) as caught:
        reindex(documents, "models")
    assert "--take-over" in caught.value.hint
    assert reindex(documents, "models", take_over=True) == 1
    documents.create("models", "b", {"n": 1})
