"""A model's page, its little page for other sites, its citation, its package; what stays when it is withdrawn."""

from __future__ import annotations

import argparse
import json
import re
import shlex
import shutil
import subprocess
from base64 import b64encode
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from account_helpers import signed_in
from example_package import make_package
from flask import Flask
from flask.testing import FlaskClient
from web_helpers import error_of

from web import open_in
from worker import preview_command
from zoo import fetch_command

PACKAGE = "/api/v1/models/cells/versions/1.0.0/package.zip"
ABOUT = {
    "task": "segment",
    "structure": ["nucleus"],
    "structure_ids": ["GO:0005634"],
    "organism": ["Mus musculus", "Homo sapiens"],
    "organism_ids": ["NCBITaxon:10090", "NCBITaxon:9606"],
    "cell_type": ["<b>neuron</b>"],
    "dimensionality": "2d",
    "training_data": [
        {"name": "Some nuclei", "doi": "10.5281/zenodo.1"},
        {"name": "Ours", "url": "https://example.org/data"},
        {"name": "Bad", "url": "javascript:alert(1)"},
    ],
}


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two versions of a model that tells much of itself."""
    folder = tmp_path_factory.mktemp("versions")
    for version in ("1.0.0", "1.1.0"):
        (folder / version).mkdir()
        make_package(folder / version / "told.zip", version=version, name="Told at length", about=ABOUT)
    return folder


@pytest.fixture
def told(app: Flask, client: FlaskClient, versions: Path) -> FlaskClient:
    for folder in sorted(versions.iterdir()):
        app.extensions["zooscope"].catalogue.fill_seeds(folder)
    return client


@pytest.fixture
def admin(app: Flask) -> FlaskClient:
    client = app.test_client()
    signed_in(client, "Root", ("admin",))
    return client


def withdraw(admin: FlaskClient, version: str, reason: str = "The masks were <i>shifted</i>.") -> None:
    answer = admin.post(f"/api/v1/models/told/versions/{version}/withdraw", json={"reason": reason})
    assert answer.status_code == 200, answer.text


def test_terms_lead_to_their_definitions_and_to_more_of_the_kind(told: FlaskClient) -> None:
    text = unescape(told.get("/models/told").text)
    assert 'href="http://purl.obolibrary.org/obo/GO_0005634"' in text
    assert 'href="/?about.organism=Mus%20musculus">Mus musculus</a>' in text
    assert 'href="http://purl.obolibrary.org/obo/NCBITaxon_9606"' in text
    assert 'href="https://doi.org/10.5281/zenodo.1"' in text
    assert 'href="https://example.org/data"' in text
    page = told.get("/models/told").text
    assert "javascript:alert" not in page
    assert "<b>neuron" not in page


def test_an_older_version_has_a_page_that_says_so(told: FlaskClient) -> None:
    newest, old = told.get("/models/told").text, told.get("/models/told?version=1.0.0").text
    assert "The newest is" not in newest
    assert "This is version 1.0.0." in old
    assert "versions/1.0.0/package.zip" in old
    for text in (newest, old):
        assert 'href="/models/told"' in text or text is newest
        assert {"1.0.0", "1.1.0"} <= set(re.findall(r"versions/([0-9.]+)/package\.zip", text))
    assert told.get("/models/told?version=3").status_code == 404


def test_the_report_of_the_check_is_shown(told: FlaskClient, app: Flask) -> None:
    documents = app.extensions["zooscope"].documents
    stored = documents.get("models", "told")
    report = {
        "passed": True, "load_s": 0.5, "seconds_per_megapixel": 1.25, "device": "cpu", "difference": 1e-6, "objects": 3,
        "peak_memory_bytes": 1.5e9, "software": "0.1.0", "at": 1.7e9,
        "steps": [{"name": "load", "ok": True, "sentence": "The network loads.", "seconds": 0.5}],
    }  # fmt: skip
    documents.replace(
        "models", "told", stored.body | {"check": report, "usage": {"tried": 1234, "downloads": 5}}, stored.revision
    )
    text = told.get("/models/told").text
    for sentence in ("It passed.", "The network loads.", "1.2 s per megapixel", "1.5 GB at most", "tried 1,234 times"):
        assert sentence in text


def test_what_it_was_made_from_and_what_was_made_from_it(told: FlaskClient, app: Flask) -> None:
    documents = app.extensions["zooscope"].documents
    for id, parent in (("told", {"id": "cells", "version": "1.0.0"}), ("grey", {"id": "affable-shark"})):
        stored = documents.get("models", id)
        documents.replace(
            "models", id, stored.body | {"about": stored.body["about"] | {"parent": parent}}, stored.revision
        )
    assert '<dt>Made from</dt><dd><a href="/models/cells">Cells</a> 1.0.0</dd>' in told.get("/models/told").text
    assert '<dt>Led to</dt><dd><a href="/models/told">Told at length</a></dd>' in told.get("/models/cells").text
    assert "<dt>Made from</dt><dd>affable-shark</dd>" in told.get("/models/grey").text


def test_search_engines_read_what_it_is(told: FlaskClient) -> None:
    text = told.get("/models/told").text
    found = re.findall(r'<script type="application/ld\+json">(.*?)</script>', text, re.DOTALL)
    metadata = json.loads(found[0])
    assert metadata["name"] == "Told at length"
    assert metadata["softwareVersion"] == "1.1.0"
    assert '<link rel="canonical" href="http://localhost/models/told?version=1.1.0">' in text


@pytest.mark.parametrize(("format", "begins"), [("bibtex", "@software{"), ("ris", "TY  - COMP"), ("csl", "[")])
def test_citations_are_downloaded_and_shown(told: FlaskClient, format: str, begins: str) -> None:
    answer = told.get(f"/api/v1/models/told/versions/1.0.0/citation?format={format}")
    assert answer.status_code == 200
    assert answer.text.startswith(begins)
    assert "models/told?version=1.0.0" in answer.text
    assert "attachment; filename=told-1.0.0." in answer.headers["Content-Disposition"]
    assert answer.text.strip().splitlines()[0] in unescape(told.get("/models/told?version=1.0.0").text)


def test_an_unknown_citation_is_refused(told: FlaskClient) -> None:
    assert error_of(told.get("/api/v1/models/told/versions/1.0.0/citation?format=xml"))[0] == 400
    assert error_of(told.get("/api/v1/models/told/versions/7/citation")) == (404, "model-missing")


def test_other_sites_may_frame_the_little_page_and_no_other(told: FlaskClient) -> None:
    little = told.get("/embed/models/told")
    assert little.status_code == 200
    assert "X-Frame-Options" not in little.headers
    assert "frame-ancestors *" in little.headers["Content-Security-Policy"]
    assert "script" not in little.text.lower()
    assert 'href="http://localhost/try?model=told"' in little.text
    for path in ("/", "/models/told", "/embed/models/none", "/library"):
        answer = told.get(path)
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    snippet = unescape(told.get("/models/told").text)
    assert '<iframe src="http://localhost/embed/models/told" title="Told at length, a model on Zooscope"' in snippet


def test_a_withdrawn_version_leaves_a_page_and_the_others(told: FlaskClient, admin: FlaskClient) -> None:
    withdraw(admin, "1.1.0")
    assert told.get("/models/told").status_code == 200
    assert "versions/1.0.0/package.zip" in told.get("/models/told").text
    gone = told.get("/models/told?version=1.1.0")
    assert gone.status_code == 410
    assert "Version 1.1.0 of this model was withdrawn" in gone.text
    assert "The masks were &lt;i&gt;shifted&lt;/i&gt;." in gone.text
    assert 'href="/models/told">The version that is there now' in gone.text


def test_a_withdrawn_model_leaves_a_tombstone_everywhere(told: FlaskClient, admin: FlaskClient) -> None:
    withdraw(admin, "1.1.0")
    withdraw(admin, "1.0.0")
    gone = told.get("/models/told")
    assert gone.status_code == 410
    assert "Versions 1.1.0, 1.0.0 of this model were withdrawn" in gone.text
    framed = told.get("/embed/models/told")
    assert (framed.status_code, "was withdrawn" in framed.text) == (410, True)
    assert "frame-ancestors *" in framed.headers["Content-Security-Policy"]
    assert error_of(told.get("/api/v1/models/told")) == (410, "model-withdrawn")
    assert "/models/told" not in told.get("/?q=told").text.split('id="search-results"')[1].replace("/?q=told", "")


def test_a_download_goes_on_where_it_broke_off_if_the_file_is_the_same(client: FlaskClient) -> None:
    with client.get(PACKAGE) as whole:
        data, etag = whole.data, whole.headers["ETag"]
        assert whole.headers["Accept-Ranges"] == "bytes"
        assert int(whole.headers["Content-Length"]) == len(data)
        sha256 = etag.strip('"')
        assert whole.headers["Repr-Digest"] == f"sha-256=:{b64encode(bytes.fromhex(sha256)).decode()}:"
    asked: list[tuple[dict[str, str], int, Any]] = [
        ({"Range": "bytes=100-"}, 206, data[100:]),
        ({"Range": "bytes=100-199", "If-Range": etag}, 206, data[100:200]),
        ({"Range": "bytes=-10"}, 206, data[-10:]),
        ({"Range": "bytes=100-", "If-Range": '"another"'}, 200, data),
        ({"If-None-Match": etag}, 304, b""),
    ]
    for headers, status, expected in asked:
        with client.get(PACKAGE, headers=headers) as answer:
            assert (answer.status_code, answer.data) == (status, expected), headers
    with client.get(PACKAGE, headers={"Range": f"bytes={len(data)}-"}) as beyond:
        assert error_of(beyond) == (416, "bad-range")
    with client.head(PACKAGE) as head:
        assert (head.status_code, head.headers["ETag"], head.data) == (200, etag, b"")


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not here")
def test_the_download_line_resumes_and_checks(server: str, app: Flask, tmp_path: Path) -> None:
    catalogue = app.extensions["zooscope"].catalogue
    model = catalogue.get("cells")
    half = catalogue.package_path("cells").read_bytes()[:1000]
    (tmp_path / "cells-1.0.0.zip").write_bytes(half)
    ran = subprocess.run(
        ["bash", "-ec", open_in.download_line(model, server)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == "cells-1.0.0.zip: OK\n"
    assert (tmp_path / "cells-1.0.0.zip").read_bytes() == catalogue.package_path("cells").read_bytes()


def model(**changes: Any) -> dict[str, Any]:
    told = {"id": "a-model", "version": "1.0.0", "name": "A model", "package_sha256": "0" * 64, "channels": 1}
    return told | {"axes": "bcyx", "weights_format": "onnx", "weights_formats": ["onnx"]} | changes


@pytest.mark.parametrize(
    ("format", "works"),
    [
        ("onnx", {"deepImageJ", "ilastik"}),
        ("torchscript", {"deepImageJ", "ilastik"}),
        ("pytorch_state_dict", {"ilastik"}),
        ("tensorflow_saved_model_bundle", {"deepImageJ"}),
        ("keras_v3", set()),
    ],
)
def test_programs_are_offered_only_weights_they_run(format: str, works: set[str]) -> None:
    ways = {way.name: way for way in open_in.ways(model(weights_formats=[format]), "https://zoo.example")}
    assert {name for name in ("deepImageJ", "ilastik") if ways[name].works} == works
    for name in {"deepImageJ", "ilastik"} - works:
        assert open_in.FORMAT_NAMES[format] in ways[name].words
    assert "https://zoo.example/api/v1/models/a-model/versions/1.0.0/package.zip" in ways["Python"].code
    assert "a-model@1.0.0 --server https://zoo.example" in ways["This command line"].code


def test_the_lines_for_this_command_line_are_understood() -> None:
    lines = open_in.ways(model(), "https://zoo.example")[0].code.splitlines()
    for line, module in zip(lines, (fetch_command, preview_command), strict=True):
        program, command, *arguments = shlex.split(line)
        assert program == "zooscope"
        assert module.__name__.endswith(f"{command}_command")
        parser = argparse.ArgumentParser(exit_on_error=False, allow_abbrev=False)
        module.add_arguments(parser)
        parser.parse_args(arguments)


def test_a_method_without_a_network_runs_here_only() -> None:
    ways = open_in.ways(model(network=False), "https://zoo.example")
    assert [way.name for way in ways if way.works] == ["This command line", "A shell"]


@pytest.mark.parametrize("axes", ["byxc", "bcyx", "bczyx", "byx"])
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_the_python_lines_are_python(axes: str, channels: int) -> None:
    told = model(axes=axes, channels=channels)
    compile(open_in.python_lines(told, "https://zoo.example"), "page", "exec")
    compile(open_in.api_examples(told, "https://zoo.example")["Python"], "page", "exec")
