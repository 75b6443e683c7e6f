"""A submission's way to its DOI with everything real but the registry's machine: publish, edit, withdraw, return."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.datacite_server import DataCiteServer
from fakes.registry_server import running
from publishing_parts import ADA, Parts
from zoo_dois import PUBLIC_URL

from zoo.documents_sqlite import SqliteDocuments
from zoo.doi_datacite import DataCite
from zoo.doi_minting import Minting


@pytest.fixture
def server() -> Iterator[DataCiteServer]:
    server = DataCiteServer()
    with running(server):
        yield server


@pytest.fixture
def parts(tmp_path: Path, server: DataCiteServer) -> Iterator[Parts]:
    documents = SqliteDocuments(tmp_path / "documents.sqlite3")
    registry = DataCite(server.user, server.password, server.prefix, server.url)
    yield Parts(tmp_path, documents, Minting(documents, registry, PUBLIC_URL))
    documents.close()


def test_a_models_doi_follows_it(parts: Parts, server: DataCiteServer) -> None:
    parts.published()
    model = parts.catalogue.get("cells")
    assert server.states() == {model["doi"]: "findable", model["concept_doi"]: "findable"}
    known = server.dois[model["doi"]].attributes
    assert known["url"] == f"{PUBLIC_URL}/models/cells?version=1.0.0"
    assert known["version"] == "1.0.0"
    parts.changes.edit("cells", "1.0.0", {"name": "Better cells"}, ADA.id)
    assert server.dois[model["doi"]].attributes["titles"] == [{"title": "Better cells"}]
    assert parts.catalogue.get("cells")["doi"] == model["doi"]
    parts.changes.withdraw("cells", "1.0.0", "Trained on the wrong data.", ADA.id)
    assert set(server.states().values()) == {"registered"}


def test_without_its_registry_nothing_is_lost(parts: Parts, server: DataCiteServer) -> None:
    id = parts.accepted()
    server.down = True
    assert parts.publication.go_on(id)["publication"]["message"] == "DataCite asks to wait."
    server.down = False
    assert parts.publication.resume() == 1
    parts.changes.edit("cells", "1.0.0", {"name": "Cells"}, ADA.id)
    server.down = True
    parts.changes.edit("cells", "1.0.0", {"name": "Better cells"}, ADA.id)
    doi = parts.catalogue.get("cells")["doi"]
    assert server.dois[doi].attributes["titles"] == [{"title": "Cells"}]
    server.down = False
    parts.changes.resume(older_than=-1)
    assert server.dois[doi].attributes["titles"] == [{"title": "Better cells"}]


def test_what_is_returned_leaves_no_draft(parts: Parts, server: DataCiteServer) -> None:
    id = parts.accepted()
    # Meanwhile other bytes got there under the same name.
    parts.catalogue.publish(parts.blobs.path(parts.package(title="Others")))
    parts.publication.go_on(id)
    assert parts.submissions.get(id)["state"] == "returned"
    # What is left is the draft of the model's own DOI, for its next version.
    assert list(server.states().values()) == ["draft"]
    assert [doi.attributes["url"] for doi in server.dois.values()] == [f"{PUBLIC_URL}/models/cells"]
