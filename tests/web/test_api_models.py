from __future__ import annotations

import io
import zipfile

from flask import Flask
from flask.testing import FlaskClient
from PIL import Image
from web_helpers import error_of


def test_models_are_found_by_words_and_facets(client: FlaskClient) -> None:
    everything = client.get("/api/v1/models").get_json()
    assert [model["id"] for model in everything["items"]] == ["cells", "grey"]
    assert everything["facets"]["about.task"] == {"instances": 1, "segment": 1}
    assert [model["id"] for model in client.get("/api/v1/models?q=grey").get_json()["items"]] == ["grey"]
    by_facet = client.get("/api/v1/models?head.kind=watershed-instances").get_json()
    assert [model["id"] for model in by_facet["items"]] == ["cells"]
    by_task = client.get("/api/v1/models?about.task=instances").get_json()
    assert [model["id"] for model in by_task["items"]] == ["cells"]
    assert error_of(client.get("/api/v1/models?sort=size")) == (400, "bad-field")
    paged = client.get("/api/v1/models?size=1&page=2").get_json()
    assert ([model["id"] for model in paged["items"]], paged["total"]) == (["grey"], 2)
    assert client.get("/api/v1/models?sort=name&order=desc").get_json()["items"][0]["id"] == "grey"


def test_terms_are_suggested_for_the_fields_of_a_description(client: FlaskClient) -> None:
    found = client.get("/api/v1/terms?field=organism&q=mous").get_json()["items"]
    assert [(term["id"], term["name"]) for term in found] == [("NCBITaxon:10090", "Mus musculus")]
    assert {term["field"] for term in client.get("/api/v1/terms?q=s&size=100").get_json()["items"]} > {"organism"}
    assert error_of(client.get("/api/v1/terms?field=colour")) == (400, "bad-field")


def test_a_model_and_its_versions(client: FlaskClient) -> None:
    model = client.get("/api/v1/models/cells").get_json()
    assert [version["version"] for version in model["versions"]] == ["1.0.0"]
    assert client.get("/api/v1/models/cells/versions/1.0.0").get_json()["name"] == "Cells"
    assert error_of(client.get("/api/v1/models/cells/versions/9")) == (404, "model-missing")


def test_a_package_is_downloaded_whole_in_parts_and_not_twice(client: FlaskClient) -> None:
    url = "/api/v1/models/cells/versions/1.0.0/package.zip"
    with client.get(url) as whole:
        assert zipfile.is_zipfile(io.BytesIO(whole.data))
        assert whole.headers["Content-Disposition"] == "attachment; filename=cells-1.0.0.zip"
        assert whole.headers["Cache-Control"] == "private, no-cache"
        etag = whole.headers["ETag"]
    with client.get(url, headers={"Range": "bytes=0-1"}) as part:
        assert (part.status_code, part.data) == (206, b"PK")
    with client.get(url, headers={"If-None-Match": etag}) as again:
        assert again.status_code == 304
    with client.get(f"{url}?sha256={etag.strip(chr(34))[:16]}") as lasting:
        assert "immutable" in lasting.headers["Cache-Control"]
    with client.get(f"{url}?sha256={'0' * 16}") as other:
        assert "immutable" not in other.headers["Cache-Control"]


def test_pictures_of_a_package(client: FlaskClient) -> None:
    for path in ("cover.png", "samples/0"):
        with client.get(f"/api/v1/models/cells/versions/1.0.0/{path}") as answer:
            assert answer.mimetype == "image/png"
            assert "sandbox" in answer.headers["Content-Security-Policy"]
            assert Image.open(io.BytesIO(answer.data)).size == (136, 136)
    assert error_of(client.get("/api/v1/models/cells/versions/1.0.0/samples/1")) == (404, "not-found")


def test_settings_of_a_preview_follow_the_models_head(client: FlaskClient) -> None:
    def names(query: str) -> set[str]:
        return {item["name"] for item in client.get(f"/api/v1/preview-settings{query}").get_json()["items"]}

    assert "seed_height" in names("") & names("?model=cells")
    assert "seed_height" not in names("?model=grey")
    assert error_of(client.get("/api/v1/preview-settings?model=none")) == (404, "model-missing")


def test_downloads_are_counted_once_each_whatever_the_number_of_parts(app: Flask, client: FlaskClient) -> None:
    url = "/api/v1/models/cells/versions/1.0.0/package.zip"
    for headers in ({}, {"Range": "bytes=0-99"}, {"Range": "bytes=100-"}):
        client.get(url, headers=headers).close()
    client.head(url).close()
    app.extensions["zooscope"].usage.write()
    assert client.get("/api/v1/models/cells").get_json()["usage"] == {"tried": 0, "downloads": 2}
    assert client.get("/api/v1/models?sort=usage.tried").get_json()["total"] == 2
