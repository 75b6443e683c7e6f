from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

STATIC = Path(__file__).parents[2] / "web" / "static"


def fetch(client: FlaskClient, path: str, **headers: str) -> TestResponse:
    """The answer, read to its end and closed."""
    with client.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()}) as answer:
        answer.get_data()
    return answer


def test_scripts_are_compressed_for_those_who_take_it(client: FlaskClient) -> None:
    plain = fetch(client, "/static/js/viewer.js")
    assert "Content-Encoding" not in plain.headers
    assert plain.data == (STATIC / "js" / "viewer.js").read_bytes()
    small = fetch(client, "/static/js/viewer.js", Accept_Encoding="gzip, br")
    assert small.headers["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in small.headers["Vary"]
    assert gzip.decompress(small.data) == plain.data
    assert int(small.headers["Content-Length"]) == len(small.data) < len(plain.data)


def test_a_script_that_has_not_changed_is_not_sent_again(client: FlaskClient) -> None:
    etag = fetch(client, "/static/js/viewer.js", Accept_Encoding="gzip").headers["ETag"]
    again = fetch(client, "/static/js/viewer.js", Accept_Encoding="gzip", If_None_Match=etag)
    assert (again.status_code, again.data) == (304, b"")


def test_the_viewer_library_comes_from_where_npm_put_it(client: FlaskClient) -> None:
    library = STATIC.parent / "node_modules" / "openseadragon" / "build" / "openseadragon" / "openseadragon.min.js"
    answer = fetch(client, "/static/vendor/openseadragon.min.js")
    if not library.exists():
        assert answer.status_code == 404
        pytest.skip("npm ci --prefix web has not been run")
    assert answer.data == library.read_bytes()
    assert "javascript" in answer.mimetype


def test_nothing_else_of_the_packages_is_served(client: FlaskClient) -> None:
    for path in ("vendor/openseadragon.js", "vendor/../../package.json", "../app.py", "js/../../app.py"):
        assert fetch(client, f"/static/{path}").status_code == 404
