"""Limits by network address: what counts as one, and what is said when it is full."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from web_helpers import error_of, submit, upload

from web.app import create_app
from web.visitors import address
from zoo.settings import Settings


def address_of(app: Flask, remote: str | None) -> str:
    with app.test_request_context("/", environ_base={"REMOTE_ADDR": remote}):
        app.preprocess_request()
        return address()


def test_an_address_is_hashed_and_the_machine_itself_has_none(app: Flask) -> None:
    one = address_of(app, "192.0.2.1")
    assert len(one) == 32
    assert "192" not in one[:3]
    assert one == address_of(app, "192.0.2.1") == address_of(app, "::ffff:192.0.2.1")
    assert one != address_of(app, "192.0.2.2")
    for own in ("127.0.0.1", "::1", "::ffff:127.0.0.1", "", None, "unix:"):
        assert address_of(app, own) == ""


def test_a_network_of_ipv6_is_one_address(app: Flask) -> None:
    assert address_of(app, "2001:db8:1:2::1") == address_of(app, "2001:db8:1:2:ffff::9%eth0")
    assert address_of(app, "2001:db8:1:2::1") != address_of(app, "2001:db8:1:3::1")


def post(client: FlaskClient, remote: str, **headers: str) -> Any:
    body = {"image": upload(client)["id"], "models": ["cells"], "roi": [0, 0, 8, 8]}
    return client.post("/api/v1/jobs", json=body, headers=headers, environ_base={"REMOTE_ADDR": remote})


@pytest.mark.parametrize("proxies", [0, 1])
def test_who_throws_cookies_away_is_limited_all_the_same(settings: Settings, app: Flask, proxies: int) -> None:
    limited = create_app(settings.replace(queued_per_address=2, trusted_proxies=proxies))

    def ask(remote: str) -> Any:
        client = limited.test_client()  # with no cookie yet
        return post(client, "10.0.0.9", **{"X-Forwarded-For": remote}) if proxies else post(client, remote)

    assert [ask("192.0.2.1").status_code for _ in range(2)] == [201, 201]
    refused = ask("192.0.2.1")
    assert error_of(refused) == (429, "too-many-jobs")
    assert int(refused.headers["Retry-After"]) > 0
    assert "operator" in refused.get_json()["error"]["hint"]
    assert ask("192.0.2.2").status_code == 201
    limited.extensions["zooscope"].close()


def test_the_address_is_shown_to_nobody(client: FlaskClient) -> None:
    assert "address" not in submit(client)
