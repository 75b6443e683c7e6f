"""What DataCite and Zenodo are told, what they refuse, and the settings that choose between them."""

from __future__ import annotations

import copy
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from datacite import DataCiteRESTClient, schema45
from datacite.errors import DataCiteError
from fakes.datacite_server import DataCiteServer
from fakes.registry_server import running
from fakes.zenodo_server import ZenodoServer
from zoo_dois import PUBLIC_URL, package_of, version_document

from zoo import doi_datacite, doi_zenodo
from zoo.documents_sqlite import SqliteDocuments
from zoo.doi_datacite import DataCite
from zoo.doi_metadata import datacite_concept, datacite_version, snapshot, zenodo_deposit
from zoo.doi_minting import Minting
from zoo.doi_none import NoRegistry
from zoo.doi_registry import DoiRecord, RegistryDown, RegistryRefused, open_registry
from zoo.doi_zenodo import Zenodo
from zoo.settings import BadSetting, Settings
from zooscope import main


@pytest.fixture
def datacite() -> Iterator[DataCiteServer]:
    server = DataCiteServer()
    with running(server):
        yield server


@pytest.fixture
def zenodo() -> Iterator[ZenodoServer]:
    server = ZenodoServer()
    with running(server):
        yield server


@pytest.fixture
def documents(tmp_path: Path) -> Iterator[SqliteDocuments]:
    documents = SqliteDocuments(tmp_path / "documents.sqlite3")
    yield documents
    documents.close()


def at_datacite(documents: SqliteDocuments, server: DataCiteServer) -> Minting:
    return Minting(documents, DataCite(server.user, server.password, server.prefix, server.url), PUBLIC_URL)


def at_zenodo(documents: SqliteDocuments, server: ZenodoServer) -> Minting:
    return Minting(documents, Zenodo(server.token, server.url), PUBLIC_URL)


def record(**fields: Any) -> DoiRecord:
    document = snapshot(version_document())
    known: dict[str, Any] = {
        "model_id": "cells",
        "version": "1.0.0",
        "url": f"{PUBLIC_URL}/models/cells?version=1.0.0",
        "concept_url": f"{PUBLIC_URL}/models/cells",
        "doi": "10.12345/zs.v",
        "concept_doi": "10.12345/zs.c",
        "document": document,
        "newest": document,
        "public": ("10.12345/zs.v",),
    }
    return DoiRecord(**known | fields)


def test_what_datacite_is_told_is_kernel_4_5() -> None:
    version, concept = datacite_version(record(), "Institute"), datacite_concept(record(), "Institute")
    for metadata in (version, concept):
        assert schema45.validator.is_valid(metadata), list(schema45.validator.iter_errors(metadata))
        assert metadata["types"]["resourceTypeGeneral"] == "Model"
        assert metadata["publisher"] == {"name": "Institute"}
    ada, founders = version["creators"]
    assert (ada["name"], ada["nameType"]) == ("van der Berg, Ada", "Personal")
    assert ada["nameIdentifiers"][0]["nameIdentifier"] == "https://orcid.org/0000-0002-1825-0097"
    assert founders == {"name": "The Zooscope founders", "nameType": "Organizational"}
    related = [(entry["relationType"], entry["relatedIdentifier"]) for entry in version["relatedIdentifiers"]]
    assert related == [("IsVersionOf", "10.12345/zs.c"), ("References", "10.1038/s41592-019-0612-7")]
    assert concept["relatedIdentifiers"][0]["relationType"] == "HasVersion"
    assert "version" not in concept


@pytest.mark.parametrize(
    "document", [{"id": "cells", "version": "1"}, version_document(authors=[], cite=[{"doi": "x"}])]
)
def test_a_sparse_document_makes_valid_metadata_too(document: dict[str, Any]) -> None:
    sparse = record(document=snapshot(document), newest=snapshot(document))
    for metadata in (datacite_version(sparse, "Zoo"), datacite_concept(sparse, "Zoo")):
        assert schema45.validator.is_valid(metadata), list(schema45.validator.iter_errors(metadata))


def test_hostile_text_stays_text_at_zenodo() -> None:
    document = version_document(description="<script>alert(1)</script>", name="<b>")
    metadata = zenodo_deposit(record(document=document, reason="<i>"))
    assert "<script>" not in metadata["description"]
    assert "Withdrawn: &lt;i&gt;" in metadata["description"]


def test_the_dois_at_datacite_through_a_models_life(documents: SqliteDocuments, datacite: DataCiteServer) -> None:
    minting, path = at_datacite(documents, datacite), Path()
    first = minting.reserve("cells", "1.0.0")
    assert set(datacite.states().values()) == {"draft"}
    minting.publish(version_document(), path)
    second = minting.publish(version_document("1.10.0", name="Better cells"), path)
    # An old line of development goes on: the model's DOI still tells of the newest version.
    minting.publish(version_document("1.2.0", name="Older cells"), path)
    concept = datacite.dois[first["concept_doi"]].attributes
    assert concept["url"] == f"{PUBLIC_URL}/models/cells"
    assert concept["titles"] == [{"title": "Better cells"}]
    assert concept["relatedIdentifiers"][0]["relatedIdentifier"] == second["doi"]
    assert len(concept["relatedIdentifiers"]) == 3
    minting.update(version_document("1.10.0", name="Best cells"))
    assert datacite.dois[second["doi"]].attributes["titles"] == [{"title": "Best cells"}]
    assert datacite.dois[first["concept_doi"]].attributes["titles"] == [{"title": "Best cells"}]
    minting.withdraw("cells", "1.10.0", "Trained on the wrong data.")
    assert datacite.states()[second["doi"]] == "registered"
    concept = datacite.dois[first["concept_doi"]].attributes
    assert concept["titles"] == [{"title": "Older cells"}]
    assert second["doi"] not in [entry["relatedIdentifier"] for entry in concept["relatedIdentifiers"]]
    minting.withdraw("cells", "1.2.0")
    minting.withdraw("cells", "1.0.0")
    assert set(datacite.states().values()) == {"registered"}
    minting.publish(version_document("2.0.0"), path)
    assert datacite.states()[first["concept_doi"]] == "findable"


def test_the_dois_at_zenodo_through_a_models_life(
    documents: SqliteDocuments, zenodo: ZenodoServer, tmp_path: Path
) -> None:
    minting = at_zenodo(documents, zenodo)
    first = minting.publish(version_document(), package_of(tmp_path, "1.0.0"))
    second = minting.publish(version_document("1.1.0"), package_of(tmp_path, "1.1.0"))
    assert zenodo.minted == [first["concept_doi"], first["doi"], second["doi"]]
    versions = list(zenodo.depositions.values())
    # The file that the new version inherited is gone.
    assert [list(each.files) for each in versions] == [["cells-1.0.0.zip"], ["cells-1.1.0.zip"]]
    assert versions[1].metadata["license"] == "cc-by-4.0"
    assert versions[1].metadata["publication_date"] == "2026-09-21"
    minting.update(version_document(name="Better cells"))
    assert versions[0].metadata["title"] == "Better cells"
    minting.withdraw("cells", "1.0.0", "Trained on the wrong data.")
    assert versions[0].metadata["notes"] == "Withdrawn: Trained on the wrong data."
    assert [each.state for each in versions] == ["done", "done"]
    third = minting.publish(version_document("1.2.0"), package_of(tmp_path, "1.2.0"))
    assert third["concept_doi"] == first["concept_doi"]


def test_metadata_that_is_refused_is_told_and_goes_on_when_put_right(
    documents: SqliteDocuments, zenodo: ZenodoServer, tmp_path: Path
) -> None:
    minting, path = at_zenodo(documents, zenodo), package_of(tmp_path, "1.0.0")
    with pytest.raises(RegistryRefused, match=r"metadata\.license: Invalid license"):
        minting.publish(version_document(licence="My own"), path)
    assert "Invalid license" in minting.state("cells", "1.0.0")["problem"]
    dois = minting.publish(version_document(), path)
    assert zenodo.minted == [dois["concept_doi"], dois["doi"]]


def test_a_draft_that_someone_deleted_at_zenodo_is_told(
    documents: SqliteDocuments, zenodo: ZenodoServer, tmp_path: Path
) -> None:
    minting = at_zenodo(documents, zenodo)
    minting.reserve("cells", "1.0.0")
    zenodo.depositions.clear()
    with pytest.raises(RegistryRefused, match="no longer at Zenodo"):
        minting.publish(version_document(), package_of(tmp_path, "1.0.0"))
    assert zenodo.minted == []


def test_a_prefix_that_cannot_be_published_is_told(
    documents: SqliteDocuments, datacite: DataCiteServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fakes.datacite_server.EVENTS", {})
    with pytest.raises(RegistryRefused, match="draft, where findable was asked for"):
        at_datacite(documents, datacite).publish(version_document(), Path())


def test_what_was_published_is_never_deleted(documents: SqliteDocuments, datacite: DataCiteServer) -> None:
    registry = DataCite(datacite.user, datacite.password, datacite.prefix, datacite.url)
    dois = at_datacite(documents, datacite).publish(version_document(), Path())
    with pytest.raises(RegistryRefused):
        registry.discard(record(doi=dois["doi"]))
    assert datacite.states()[dois["doi"]] == "findable"


def test_the_local_datacite_refuses_what_the_real_one_refuses(datacite: DataCiteServer) -> None:
    client = DataCiteRESTClient(datacite.user, datacite.password, datacite.prefix, url=datacite.url, timeout=5)
    metadata = datacite_version(record(), "Zoo")
    with pytest.raises(DataCiteError, match="Can't be blank"):
        client.public_doi(dict(metadata), "", f"{datacite.prefix}/x")
    for name in ("titles", "creators", "publisher", "publicationYear", "types", "schemaVersion"):
        lacking = {key: value for key, value in metadata.items() if key != name}
        with pytest.raises(DataCiteError, match=name):
            client.public_doi(copy.deepcopy(lacking), PUBLIC_URL, f"{datacite.prefix}/x")
    assert datacite.dois == {}
    doi = client.draft_doi(doi=f"{datacite.prefix}/x")
    with pytest.raises(DataCiteError, match="taken"):
        client.draft_doi(doi=doi)
    client.delete_doi(doi)
    client.public_doi(dict(metadata), PUBLIC_URL, doi)
    with pytest.raises(DataCiteError, match="Method not allowed"):
        client.delete_doi(doi)
    with pytest.raises(DataCiteError, match="Bad credentials"):
        DataCiteRESTClient(datacite.user, "wrong", datacite.prefix, url=datacite.url, timeout=5).get_metadata(doi)


def test_the_metadata_given_is_not_written_into(datacite: DataCiteServer) -> None:
    registry = DataCite(datacite.user, datacite.password, datacite.prefix, datacite.url)
    told = record()
    before = copy.deepcopy(told)
    registry.reserve(told)
    registry.publish(told, Path())
    assert told == before


def test_who_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doi_datacite, "TIMEOUT_SECONDS", (0.5, 0.05))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        registry = DataCite("U", "p", "10.12345", f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(RegistryDown, match="does not answer"):
            registry.reserve(record())
    with pytest.raises(RegistryDown, match="does not answer"):
        registry.reserve(record())


def test_the_token_goes_nowhere_else(zenodo: ZenodoServer, tmp_path: Path) -> None:
    registry = Zenodo(zenodo.token, zenodo.url)
    draft = {"id": 1, "files": [], "links": {"bucket": "https://elsewhere.org/api/files/x"}}
    with pytest.raises(RegistryRefused, match="another site"):
        registry._put_file(draft, package_of(tmp_path, "1.0.0"), "x.zip")
    assert zenodo.asked == []
    assert doi_zenodo.ADDRESS == "https://zenodo.org"


def test_the_settings_choose_the_registry() -> None:
    assert isinstance(open_registry(Settings()), NoRegistry)
    known = {"public_url": PUBLIC_URL, "doi_password": "x"}
    assert open_registry(Settings(doi_registry="zenodo", **known)).name == "zenodo"
    datacite = open_registry(Settings(doi_registry="datacite", doi_user="A.B", doi_prefix="10.12345", **known))
    assert datacite.new_name().startswith("10.12345/zs.")
    assert datacite.new_name() != datacite.new_name()


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"doi_registry": "zenodo"}, "ZOOSCOPE_DOI_PASSWORD and ZOOSCOPE_PUBLIC_URL"),
        ({"doi_registry": "datacite", "doi_password": "x", "public_url": PUBLIC_URL}, "ZOOSCOPE_DOI_PREFIX"),
        (
            {"doi_registry": "zenodo", "doi_password": "x", "public_url": "zoo.example.org"},
            "which no DOI can resolve to",
        ),
    ],
)
def test_what_a_registry_lacks_is_told_at_the_start(settings: dict[str, str], told: str) -> None:
    with pytest.raises(BadSetting, match=told):
        open_registry(Settings(**settings))


def test_the_service_does_not_start_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ZOOSCOPE_DOI_REGISTRY", "zenodo")
    assert main(["up", "--no-worker", "--port", "0", "--data", str(tmp_path / "data")]) == 2
    assert "DOIs from zenodo need ZOOSCOPE_DOI_PASSWORD and ZOOSCOPE_PUBLIC_URL." in capsys.readouterr().err
    assert not (tmp_path / "data").exists()
