"""`zooscope dois`: what waits comes first, and is asked for at once when the operator says so."""

from __future__ import annotations

from pathlib import Path

import pytest
from fakes.datacite_server import DataCiteServer
from fakes.registry_server import running
from zoo_dois import PUBLIC_URL, version_document

from zoo.documents_sqlite import SqliteDocuments
from zoo.doi_datacite import DataCite
from zoo.doi_minting import Minting
from zoo.doi_registry import RegistryDown
from zooscope import main


def test_the_operator_sees_what_waits_and_has_it_tried_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = DataCiteServer()
    with running(server):
        documents = SqliteDocuments(tmp_path / "documents.sqlite3")
        registry = DataCite(server.user, server.password, server.prefix, server.url)
        minting = Minting(documents, registry, PUBLIC_URL)
        dois = minting.publish(version_document("1.0.0"), Path())
        server.down = True
        with pytest.raises(RegistryDown):
            minting.reserve("cells", "2.0.0")
        documents.close()
        assert main(["dois", "--data", str(tmp_path)]) == 0
        told, waiting, done = capsys.readouterr().out.splitlines()
        assert "no DOIs are minted" in told
        assert waiting.split()[:2] == ["cells@2.0.0", "reserving"]
        assert done.split() == ["cells@1.0.0", "findable", dois["doi"], "datacite"]
        server.down = False
        for name, value in {
            "DOI_REGISTRY": "datacite", "DOI_USER": server.user, "DOI_PASSWORD": server.password,
            "DOI_PREFIX": server.prefix, "DOI_URL": server.url, "PUBLIC_URL": PUBLIC_URL,
        }.items():  # fmt: skip
            monkeypatch.setenv(f"ZOOSCOPE_{name}", value)
        assert main(["dois", "resume", "--data", str(tmp_path)]) == 0
        assert capsys.readouterr().out.splitlines()[0] == "1 finished"
        assert sorted(server.states().values()) == ["draft", "findable", "findable"]
