"""The whole way of a model on a real Elasticsearch: submitted, published, edited, withdrawn."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from publishing_parts import ADA, BOB, RITA, CountingRegistry, Parts

from zoo.catalogue import ModelWithdrawn
from zoo.documents_elasticsearch import ElasticDocuments
from zoo.identifiers import new_uuid
from zoo.model_owners import ModelTaken
from zoo.submissions import SubmissionChanged


@pytest.fixture
def documents(elasticsearch_url: str) -> Iterator[ElasticDocuments]:
    documents = ElasticDocuments(elasticsearch_url, prefix=f"test-{new_uuid()}")
    yield documents
    for index in documents.client.indices.get(index=f"{documents.prefix}-*", allow_no_indices=True).body:
        documents.client.indices.delete(index=index)
    documents.client.indices.delete_index_template(name=documents.prefix)
    documents.close()


def test_the_whole_way(documents: ElasticDocuments, tmp_path: Path) -> None:
    parts = Parts(tmp_path, documents, CountingRegistry())
    draft = parts.submissions.create(ADA.id, {"name": "Cells"})
    parts.submissions.set_fields(draft["id"], {"card": "x" * 10_000, "head": {"kind": "probability-mask"}})
    with pytest.raises(SubmissionChanged):
        parts.submissions.set_fields(draft["id"], {"name": "Other"}, draft["changed_at"])

    parts.submissions.start_check(draft["id"], "job1", parts.package("cells", "0.1.0", "Cells"))
    assert [item.id for item in parts.submissions.under_check()] == [draft["id"]]

    id = parts.checked()
    assert [item.id for item in parts.submissions.under_check()] == [draft["id"]]
    parts.review.submit(id, ADA)
    assert [item.id for item in parts.submissions.in_state(["submitted"]).items] == [id]
    with pytest.raises(ModelTaken):
        parts.review.submit(parts.checked(BOB, version="2.0.0"), BOB)
    parts.review.accept(id, RITA)
    published = parts.publication.go_on(id)
    assert (published["state"], published["doi"]) == ("published", "10.5072/cells.1")
    assert parts.submissions.of_owner(ADA.id).total == 2
    assert parts.submissions.hold_back(published["package_sha256"]) is False

    parts.changes.edit("cells", "1.0.0", {"name": "Leaves", "about": {"organism": ["mouse"]}}, ADA.id)
    found = parts.catalogue.search("leaves")
    assert found.items[0].body["about"]["organism"] == ["Mus musculus"]
    assert parts.changes.resume(older_than=-1) == 0
    parts.changes.withdraw("cells", "1.0.0", "Wrong.", ADA.id)
    assert parts.catalogue.search("leaves").total == 0
    with pytest.raises(ModelWithdrawn):
        parts.catalogue.get("cells")
