"""What holds for every address: headers, the shape of errors, what no request may carry."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from web_helpers import error_of

from web.app import create_app
from zoo.settings import Settings

PAGES = ("/", "/try", "/mine", "/status", "/api/v1/docs", "/models/cells", "/nothing")


@pytest.mark.parametrize("path", [*PAGES, "/api/v1/models", "/static/style.css"])
def test_every_answer_carries_the_security_headers(client: FlaskClient, path: str) -> None:
    with client.get(path) as answer:
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "same-origin"
        assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"


@pytest.mark.parametrize("path", PAGES)
def test_pages_have_no_inline_script_or_style(client: FlaskClient, path: str) -> None:
    text = client.get(path).text
    assert "<script>" not in text
    assert " style=" not in text
    assert " onclick=" not in text


def test_the_web_process_has_no_tensorflow(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from web.app import create_app\n"
        "from zoo.settings import Settings\n"
        "create_app(Settings(data=Path(sys.argv[1])))\n"
        "sys.exit(len({'tensorflow', 'keras'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True)


def test_an_error_is_json_for_programs_and_a_page_for_people(client: FlaskClient) -> None:
    assert error_of(client.get("/api/v1/nothing")) == (404, "not-found")
    assert error_of(client.get("/api/v1/models/nothing")) == (404, "model-missing")
    assert error_of(client.put("/api/v1/models")) == (405, "method-not-allowed")
    page = client.get("/models/nothing")
    assert page.status_code == 404
    assert page.mimetype == "text/html"
    assert "There is no model" in page.text


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({}, True),
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"}, False),
        ({"Origin": "http://localhost"}, True),
        ({"Origin": "https://localhost"}, False),
        ({"Origin": "http://evil.example"}, False),
        ({"Origin": "null"}, False),
    ],
)
def test_another_site_cannot_ask_for_changes(client: FlaskClient, headers: dict[str, str], allowed: bool) -> None:
    answer = client.post("/api/v1/jobs", json={}, headers=headers)
    assert error_of(answer) == ((400, "bad-field") if allowed else (403, "cross-site"))


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "10.0.0.1"])
def test_a_loopback_service_answers_to_loopback_names_only(client: FlaskClient, host: str) -> None:
    assert error_of(client.get("/api/v1/models", headers={"Host": host})) == (400, "unknown-host")


@pytest.mark.parametrize("host", ["localhost:8080", "127.0.0.1", "[::1]:8080"])
def test_loopback_names_are_answered(client: FlaskClient, host: str) -> None:
    assert client.get("/api/v1/models", headers={"Host": host}).status_code == 200


def test_an_operator_names_the_hosts(settings: Settings) -> None:
    app = create_app(settings.replace(hosts=("zoo.example",), host="0.0.0.0"))
    client = app.test_client()
    assert client.get("/healthz", headers={"Host": "zoo.example"}).status_code == 200
    assert client.get("/healthz", headers={"Host": "localhost"}).status_code == 200
    assert client.get("/healthz", headers={"Host": "evil.example"}).status_code == 400
    app.extensions["zooscope"].close()


@pytest.mark.parametrize(
    "query",
    [
        "q=%ff", "q=%00", "q=%1b", "page=0", "page=-1", "page=1e9", "page=1000000000", "size=0", "size=-1", "size=101",
        "size=x", "sort=_script", "order=sideways", "q=" + "x" * 1001, "colour=red", "page=%D9%A3",
    ],
)  # fmt: skip
def test_junk_in_a_query_is_refused(client: FlaskClient, query: str) -> None:
    assert error_of(client.get(f"/api/v1/models?{query}"))[0] == 400


def test_a_huge_query_is_refused(client: FlaskClient) -> None:
    assert error_of(client.get("/api/v1/models?q=" + "x" * 100_000)) == (414, "address-too-long")


@pytest.mark.parametrize("query", ["q=*:*%20OR", "q=%22unbalanced", "q=(((", "q=a%20AND%20NOT", "tags='%20OR%201=1"])
def test_query_languages_are_only_words(client: FlaskClient, query: str) -> None:
    assert client.get(f"/api/v1/models?{query}").status_code == 200


@pytest.mark.parametrize(
    ("data", "content_type", "expected"),
    [
        (b'{"image": NaN}', "application/json", (400, "bad-json")),
        (b'{"image": 1, "image": 2}', "application/json", (400, "bad-json")),
        (b"[]", "application/json", (400, "bad-json")),
        (b"{}", "text/plain", (415, "wrong-content-type")),
        (b'{"image": "' + b"x" * 2**21 + b'"}', "application/json", (413, "too-large")),
        (b'{"colour": 1}', "application/json", (400, "bad-field")),
        (b"", "application/json", (400, "bad-field")),
    ],
)
def test_a_bad_body_is_refused(client: FlaskClient, data: bytes, content_type: str, expected: tuple[int, str]) -> None:
    assert error_of(client.post("/api/v1/jobs", data=data, content_type=content_type)) == expected


def test_health_and_readiness(client: FlaskClient, settings: Settings) -> None:
    assert client.get("/healthz").get_json() == {"ok": True}
    assert client.get("/readyz").get_json()["ok"] is True
    alone = create_app(settings.replace(beanstalkd="127.0.0.1:1"))
    assert alone.test_client().get("/healthz").status_code == 200
    assert alone.test_client().get("/readyz").status_code == 503
    alone.extensions["zooscope"].close()


def test_a_forged_cookie_makes_a_new_visitor(client: FlaskClient) -> None:
    client.get("/mine")
    cookie = client.get_cookie("zooscope_visitor")
    assert cookie is not None
    assert cookie.http_only
    assert cookie.same_site == "Lax"
    client.set_cookie("zooscope_visitor", cookie.value[:-2] + "xx")
    client.get("/mine")
    renewed = client.get_cookie("zooscope_visitor")
    assert renewed is not None
    assert renewed.value not in (cookie.value, cookie.value[:-2] + "xx")
