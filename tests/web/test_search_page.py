"""The search page: what is asked for is in the address, and an empty answer helps."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest
from example_package import make_package
from flask import Flask
from flask.testing import FlaskClient
from web_helpers import error_of

from web import model_search, pages, zoo_pages
from web.app import create_app
from web.search_state import SearchState, read
from zoo.settings import Settings


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Packages of models for mitochondria at 8 nm and 20 nm, nuclei at 0.5 µm, and dust of any size."""
    folder = tmp_path_factory.mktemp("zoo")
    for id, name, pixel_size, organism in (
        ("mito-fine", "Fine mitochondria", 0.008, "Mus musculus"),
        ("mito-coarse", "Coarse mitochondria", 0.02, "Homo sapiens"),
        ("nuclei-test", "Nuclei of cells", 0.5, "Homo sapiens"),
        ("dust", "Dust grains", None, ""),
    ):
        about = {"task": "segment"} | ({"organism": [organism]} if organism else {})
        make_package(folder / f"{id}.zip", name=name, pixel_size_um=pixel_size, about=about)
    return folder


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, zoo: Path, packages: Path) -> Iterator[Flask]:
    """One application for all these tests, which only read it."""
    app = create_app(Settings(data=tmp_path_factory.mktemp("data"), free_disk_bytes=0))
    for folder in (packages, zoo):
        app.extensions["zooscope"].catalogue.fill_seeds(folder)
    yield app
    app.extensions["zooscope"].close()


@pytest.fixture
def searched(app: Flask) -> FlaskClient:
    return app.test_client()


def cards(text: str) -> list[str]:
    return re.findall(r'<h2><a href="/models/([^"]+)"', text)


def test_words_ticks_and_sizes_narrow_the_list(searched: FlaskClient) -> None:
    assert set(cards(searched.get("/?q=mitoch").text)) == {"mito-fine", "mito-coarse"}
    assert set(cards(searched.get("/?about.organism=Homo+sapiens").text)) == {"mito-coarse", "nuclei-test"}
    assert cards(searched.get("/?pixel_from=10+nm&pixel_to=0.1").text) == ["mito-coarse"]
    both = "/?about.organism=Homo+sapiens&about.organism=Mus+musculus&pixel_to=10nm"
    assert cards(searched.get(both).text) == ["mito-fine"]
    assert set(cards(searched.get("/?q=mitochondria&sort=name").text)) == {"mito-fine", "mito-coarse"}


def test_the_api_takes_the_same_pixel_sizes(searched: FlaskClient) -> None:
    found = searched.get("/api/v1/models?pixel_from=10+nm&pixel_to=1+um").get_json()
    assert {model["id"] for model in found["items"]} == {"mito-coarse", "nuclei-test", "cells"}
    assert error_of(searched.get("/api/v1/models?pixel_from=wide")) == (400, "bad-length")
    assert error_of(searched.get("/api/v1/models?pixel_from=2um&pixel_to=1um")) == (400, "bad-field")


def test_a_size_that_is_none_is_told_at_its_field(searched: FlaskClient) -> None:
    answer = searched.get("/?q=mito&pixel_from=wide")
    assert answer.status_code == 200
    assert "is not the size of a pixel." in answer.text
    assert 'value="wide"' in answer.text
    assert 'aria-invalid="true"' in answer.text
    assert len(cards(answer.text)) == 2


def test_facets_count_and_stay_where_they_are_ticked(searched: FlaskClient) -> None:
    text = searched.get("/?about.organism=Mus+musculus").text
    facet = text[text.index('id="facet-about.organism"') :].split("</fieldset>")[0]
    assert re.search(r'value="Mus musculus" checked>\s*<span>Mus musculus</span> <span class="count">1<', facet)
    assert re.search(r'value="Homo sapiens">\s*<span>Homo sapiens</span> <span class="count">2<', facet)
    gone = searched.get("/?tags=nothing-has-this").text
    assert re.search(r'name="tags" value="nothing-has-this" checked', gone)
    assert "Topic" in gone


def test_what_narrows_is_shown_and_can_be_taken_back(searched: FlaskClient) -> None:
    text = unescape(searched.get("/?q=mito&about.organism=Mus+musculus&pixel_to=10nm&sort=name").text)
    links = re.findall(r'<a class="chip[^"]*" href="([^"]+)"', text)
    assert links == [
        "/?q=mito&pixel_to=10nm&sort=name",
        "/?q=mito&about.organism=Mus+musculus&sort=name",
        "/?q=mito&sort=name",
    ]


def test_an_empty_search_names_the_nearest_model(searched: FlaskClient) -> None:
    for address in ("/?q=mitochondria&pixel_from=5+nm&pixel_to=5+nm", "/?q=mitochondria+5+nm"):
        text = searched.get(address).text
        assert "No model at 5 nm for “mitochondria”." in text
        assert 'The nearest is <a href="/models/mito-fine">Fine mitochondria</a>, made for pixels of 8 nm' in text
    # Sizes differ by factors: from 14 nm it is less far to 20 nm than to 8 nm.
    assert "models/mito-coarse" in searched.get("/?q=mitochondria&pixel_from=14nm&pixel_to=14nm").text


def test_an_empty_search_says_what_to_leave_out(searched: FlaskClient) -> None:
    text = unescape(searched.get("/?q=mitochondria+unicorn&about.organism=Mus+musculus").text)
    assert "No model for “mitochondria unicorn”, organism: Mus musculus." in text
    ways = dict(re.findall(r'<li><a href="([^"]+)">([^<]+)</a> <span class="count">', text))
    assert ways == {
        "/?q=mitochondria&about.organism=Mus+musculus": "only “mitochondria”",
        "/?about.organism=Mus+musculus": "the filters alone",
    }
    for address in ways:
        assert cards(searched.get(address).text)


def test_pages_follow_each_other(searched: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoo_pages, "GALLERY_MODELS", 2)
    first = searched.get("/?sort=name").text
    assert "Page 1 of 3" in first
    assert 'rel="next" href="/?sort=name&amp;page=2"' in first
    seen = [cards(searched.get(f"/?sort=name&page={page}").text) for page in (1, 2, 3)]
    assert [len(page) for page in seen] == [2, 2, 2]
    assert len({id for page in seen for id in page}) == 6
    assert "There is no page 9." in searched.get("/?page=9").text


@pytest.mark.parametrize(
    "query", ["page=0", "page=-1", "page=99999999999", "page=x", "sort=nonsense", "page=٣", "q=%20"]
)
def test_nonsense_in_the_address_is_as_if_it_were_not_there(searched: FlaskClient, query: str) -> None:
    assert len(cards(searched.get(f"/?{query}").text)) == 6


def test_an_address_is_read_as_it_was_written(app: Flask) -> None:
    address = "/?q=a+b%26c&about.task=segment&tags=x+y&tags=z&pixel_from=5+nm&pixel_to=1+%C2%B5m&sort=name&page=3"
    with app.test_request_context(address):
        state = read(model_search.MODELS_SEARCH)
    assert state.address == address
    assert (state.low, state.high) == (0.005, 1.0)
    assert state.without("tags", "z").but(ranges=None).address == "/?q=a+b%26c&about.task=segment&tags=x+y&sort=name"
    assert SearchState(model_search.MODELS_SEARCH).address == "/"


def test_a_model_without_a_cover_has_its_letter(app: Flask, searched: FlaskClient) -> None:
    documents = app.extensions["zooscope"].documents
    stored = documents.get("models", "dust")
    bare = documents.replace("models", "dust", stored.body | {"cover": "", "cover_before": ""}, stored.revision)
    assert '<span class="no-cover" aria-hidden="true">D</span>' in searched.get("/").text
    assert "no-cover" not in searched.get("/models/dust").text
    assert "cover.png" not in searched.get("/models/dust").text.split("<main")[1]
    documents.replace("models", "dust", stored.body, bare.revision)


def test_a_model_that_is_not_listed_can_be_tried_all_the_same(
    searched: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "MODELS_LISTED", 1)
    assert "Nuclei of cells" not in searched.get("/try").text
    assert "Nuclei of cells" in searched.get("/try?model=nuclei-test").text
    assert searched.get("/try?model=nothing").status_code == 200
