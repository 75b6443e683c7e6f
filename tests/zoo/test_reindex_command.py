"""`zooscope reindex` on both engines: what it says, and that lost model documents come back from their packages."""

from __future__ import annotations

from pathlib import Path

import pytest
from example_package import make_package

import zooscope
from zoo.documents_elasticsearch import ElasticDocuments
from zoo.identifiers import new_uuid


def test_model_documents_come_back_from_their_packages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = ["--data", str(tmp_path / "data")]
    zooscope.main(["publish", str(make_package(tmp_path / "spotter.zip")), *data])
    for file in (tmp_path / "data").glob("documents*"):
        file.unlink()
    assert zooscope.main(["reindex", "--packages", *data]) == 0
    assert "1 model versions are published." in capsys.readouterr().out
    assert zooscope.main(["models", *data]) == 0
    assert capsys.readouterr().out.startswith("spotter")


def test_elasticsearch_is_chosen_by_one_setting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], elasticsearch_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = f"test-{new_uuid()}"
    monkeypatch.setenv("ZOOSCOPE_ELASTICSEARCH", elasticsearch_url)
    monkeypatch.setenv("ZOOSCOPE_ELASTICSEARCH_PREFIX", prefix)
    data = ["--data", str(tmp_path / "data")]
    assert zooscope.main(["publish", str(make_package(tmp_path / "spotter.zip")), *data]) == 0
    assert not list((tmp_path / "data").glob("documents*"))
    capsys.readouterr()
    assert zooscope.main(["reindex", *data]) == 0
    assert capsys.readouterr().out.splitlines() == ["model_versions: 1 document", "models: 1 document"]
    assert zooscope.main(["models", "test", *data]) == 0
    assert capsys.readouterr().out.startswith("spotter")
    documents = ElasticDocuments(elasticsearch_url, prefix)
    for index in documents.client.indices.get(index=f"{prefix}-*").body:
        documents.client.indices.delete(index=index)
    documents.client.indices.delete_index_template(name=prefix)
    documents.close()
