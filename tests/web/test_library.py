"""The image library: its search page, a record's page, and the same over the API."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from web_helpers import error_of

from web.app import create_app
from zoo.cil_records import COLLECTION, document
from zoo.settings import Settings


def core(organism: str, component: str, size_nm: float | None, **more: Any) -> dict[str, Any]:
    dimension = [{"Space": {"Pixel_size": {"unit": "nm", "value": str(size_nm)}}}] if size_nm else []
    return {
        "IMAGEDESCRIPTION": {"free_text": f"A picture of {component}."},
        "NCBIORGANISMALCLASSIFICATION": [{"onto_id": "NCBITaxon:10090", "onto_name": organism}],
        "CELLULARCOMPONENT": [{"onto_id": "GO:0005739", "onto_name": component}],
        "ITEMTYPE": {"free_text": "SBEM"},
        "TERMSANDCONDITIONS": {"free_text": "public_domain"},
        "DIMENSION": dimension,
    } | more


RECORDS = {
    "CIL_1": document("CIL_1", {}, core("Mus musculus", "mitochondrion", 8)),
    "CIL_2": document("CIL_2", {}, core("Homo sapiens", "nucleus", 65)),
    "CIL_3": document(
        "CIL_3",
        {"Citation": {"Title": "<script>alert(1)</script>", "DOI": "doi:10.7295/W9CIL3"}},
        core("Homo sapiens", "vesicle", None, TECHNICALDETAILS={"free_text": "Cut at 60 nm."}),
    ),
}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    app = create_app(Settings(data=tmp_path_factory.mktemp("data"), free_disk_bytes=0))
    parts = app.extensions["zooscope"]
    for id, body in RECORDS.items():
        parts.documents.create(COLLECTION, id, body)
    yield app
    parts.close()


def records(text: str) -> list[str]:
    return re.findall(r'<h2><a href="/library/([^"]+)"', text)


def test_records_are_found_by_words_ticks_and_sizes(client: FlaskClient) -> None:
    assert set(records(client.get("/library").text)) == set(RECORDS)
    assert records(client.get("/library?q=mitoch").text) == ["CIL_1"]
    assert set(records(client.get("/library?organism=Homo+sapiens").text)) == {"CIL_2", "CIL_3"}
    assert records(client.get("/library?pixel_to=10+nm").text) == ["CIL_1"]
    facets = client.get("/library").text
    assert re.search(
        r'name="organism" value="Homo sapiens">\s*<span>Homo sapiens</span> <span class="count">2<', facets
    )


def test_an_empty_search_names_the_nearest_record(client: FlaskClient) -> None:
    text = client.get("/library?q=nucleus+20+nm").text
    assert "No image at 20 nm for “nucleus”." in text
    assert '<a href="/library/CIL_2">' in text
    assert "with pixels of 65 nm" in text


def test_an_empty_library_says_how_it_is_filled(tmp_path: Any) -> None:
    app = create_app(Settings(data=tmp_path, free_disk_bytes=0))
    assert "zooscope import-cil" in app.test_client().get("/library").text
    app.extensions["zooscope"].close()


def test_a_record_has_a_page(client: FlaskClient) -> None:
    text = unescape(client.get("/library/CIL_1").text)
    assert 'href="http://purl.obolibrary.org/obo/GO_0005739"' in text
    assert 'href="/library?organism=Mus%20musculus"' in text
    assert 'href="http://cellimagelibrary.org/images/1"' in text
    assert 'href="/?q=mitochondrion"' in text
    assert "8 nm pixels" in text
    assert client.get("/library/CIL_9").status_code == 404


def test_a_record_cannot_break_out_of_its_page(client: FlaskClient) -> None:
    for path in ("/library/CIL_3", "/library"):
        text = client.get(path).text
        assert "<script>alert" not in text
        assert "&lt;script&gt;alert" in text
    assert 'href="https://doi.org/10.7295/W9CIL3"' in client.get("/library/CIL_3").text


def test_the_api_has_the_same(client: FlaskClient) -> None:
    found = client.get("/api/v1/library?organism=Homo+sapiens&pixel_from=50nm&sort=pixel_size_um").get_json()
    assert [record["id"] for record in found["items"]] == ["CIL_2"]
    assert found["total"] == 1
    assert found["facets"]["organism"] == {"Homo sapiens": 1}
    paged = client.get("/api/v1/library?size=1&page=3&sort=name").get_json()
    assert (len(paged["items"]), paged["total"]) == (1, 3)
    assert client.get("/api/v1/library/CIL_1").get_json() == RECORDS["CIL_1"]
    assert error_of(client.get("/api/v1/library/none")) == (404, "record-missing")
    assert error_of(client.get("/api/v1/library?organisms=x")) == (400, "bad-field")
    assert error_of(client.get("/api/v1/library?sort=usage.tried")) == (400, "bad-field")
