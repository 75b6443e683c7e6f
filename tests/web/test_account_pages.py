"""Signing in, out and up, and one's own account, through the pages' forms."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from account_helpers import PASSWORD, account_for, form_word, sessions_of, signed_in, token_for
from flask import Flask
from flask.testing import FlaskClient
from web_helpers import error_of

from web.account_pages import safe_next
from web.app import create_app
from zoo.settings import Settings


@pytest.fixture
def app(settings: Settings) -> Iterator[Flask]:
    """Without models, which take a while to read."""
    app = create_app(settings)
    yield app
    app.extensions["zooscope"].close()


def session_cookie(client: FlaskClient) -> str:
    cookie = client.get_cookie("zooscope_account")
    return cookie.value if cookie else ""


def test_who_is_not_signed_in_is_led_to_where_that_is_done_and_back(client: FlaskClient) -> None:
    account_for(client)
    answer = client.get("/account?x=1")
    assert answer.status_code == 303
    assert answer.location == "/sign-in?next=%2Faccount%3Fx%3D1"
    page = client.get(answer.location)
    assert 'name="next" value="/account?x=1"' in page.text
    signed = client.post("/sign-in", data={"login": "ADA ", "password": PASSWORD, "next": "/account?x=1"})
    assert signed.location == "/account?x=1"
    assert "Ada" in client.get("/account").text
    assert client.get("/sign-in?next=/try").location == "/try"


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(client: FlaskClient, settings: Settings) -> None:
    account_for(client)
    answer = client.post("/sign-in", data={"login": "ada", "password": PASSWORD})
    cookie = next(line for line in answer.headers.getlist("Set-Cookie") if line.startswith("zooscope_account="))
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Secure" not in cookie
    assert PASSWORD not in cookie


def test_over_https_the_cookie_is_bound_to_the_host(settings: Settings) -> None:
    app = create_app(settings.replace(secure_cookies=True))
    client = app.test_client()
    account_for(client)
    answer = client.post("/sign-in", data={"login": "ada", "password": PASSWORD}, base_url="https://localhost")
    cookie = next(line for line in answer.headers.getlist("Set-Cookie") if "zooscope_account" in line)
    assert cookie.startswith("__Host-zooscope_account=")
    assert "Secure" in cookie
    assert "Path=/;" in f"{cookie};"
    assert client.get("/account", base_url="https://localhost").status_code == 200
    app.extensions["zooscope"].close()


@pytest.mark.parametrize(
    "given",
    [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "\\\\evil",
        "javascript:alert(1)",
        "",
        "/a\r\nb",
        "/é",
    ],
)
def test_nobody_is_led_to_another_site(given: str) -> None:
    assert safe_next(given) == "/account"


def test_a_wrong_password_and_an_unknown_name_are_told_the_same(client: FlaskClient) -> None:
    account_for(client)
    wrong = client.post("/sign-in", data={"login": "ada", "password": "something else"})
    unknown = client.post("/sign-in", data={"login": "bob", "password": "something else"})
    assert wrong.status_code == unknown.status_code == 403
    assert wrong.text.replace('value="ada"', "") == unknown.text.replace('value="bob"', "")
    assert "The name or the password is not right." in wrong.text
    assert not session_cookie(client)


def test_after_five_wrong_passwords_even_the_right_one_waits(client: FlaskClient) -> None:
    account_for(client)
    for _ in range(5):
        assert client.post("/sign-in", data={"login": "ada", "password": "wrong"}).status_code == 403
    answer = client.post("/sign-in", data={"login": "ada", "password": PASSWORD})
    assert answer.status_code == 429
    assert 0 < int(answer.headers["Retry-After"]) <= 301
    assert "Try again in" in answer.text
    elsewhere = {"REMOTE_ADDR": "203.0.113.9"}
    right = client.post("/sign-in", data={"login": "ada", "password": PASSWORD}, environ_overrides=elsewhere)
    assert right.status_code == 303, "a stranger does not lock its owner out"


def test_signing_up_makes_an_author_who_is_signed_in(client: FlaskClient) -> None:
    given = {"login": "grace@example.org", "name": "Grace  Hopper\u202e", "password": PASSWORD, "next": "/publish"}
    answer = client.post("/sign-up", data=given)
    assert (answer.status_code, answer.location) == (303, "/publish")
    text = client.get("/account").text
    assert "Grace Hopper</h1>" in text
    assert "Author" in text
    assert "\u202e" not in text
    client.delete_cookie("zooscope_account")
    again = client.post("/sign-up", data=given)
    assert again.status_code == 409
    assert "Choose another one." in again.text
    assert 'value="grace@example.org"' in again.text, "what was typed stays"


@pytest.mark.parametrize(
    ("login", "name", "password", "told"),
    [
        ("ab", "A", PASSWORD, "no name to sign in with"),
        ("a b c", "A", PASSWORD, "no name to sign in with"),
        ("abc", " \u200b", PASSWORD, "A name is missing"),
        ("abc", "A", "short", "The password has 5 characters."),
        ("abcdefghijk", "A", "ABCDEFGHIJK", "easily guessed"),
        ("abc", "A", "x" * 201, "The password has 201 characters."),
        ("abc", "A", "aaaaaaaaaaaa", "easily guessed"),
    ],
)
def test_what_no_account_can_be_made_of_is_said(
    client: FlaskClient, login: str, name: str, password: str, told: str
) -> None:
    answer = client.post("/sign-up", data={"login": login, "name": name, "password": password})
    assert answer.status_code == 400
    assert told in answer.text
    assert not session_cookie(client)


def test_hostile_names_are_shown_as_text(client: FlaskClient) -> None:
    evil = "<script>alert(1)</script>\"'"
    client.post("/sign-up", data={"login": "eve", "name": evil, "password": PASSWORD})
    text = client.get("/account").text
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)" in text


def test_signing_up_and_passwords_can_be_closed(settings: Settings) -> None:
    for mode, status in (("added", 303), ("off", 404)):
        app = create_app(settings.replace(local_accounts=mode))
        client = app.test_client()
        account_for(client)
        assert client.get("/sign-up").status_code == 404
        assert client.post("/sign-up", data={"login": "eve", "name": "Eve", "password": PASSWORD}).status_code == 404
        assert "Make an account" not in client.get("/sign-in").text
        assert client.post("/sign-in", data={"login": "ada", "password": PASSWORD}).status_code == status
        app.extensions["zooscope"].close()


def test_signing_out_needs_a_form_of_the_session(app: Flask, client: FlaskClient, stranger: FlaskClient) -> None:
    signed_in(client)
    signed_in(stranger, "Eve")
    assert client.post("/sign-out").status_code == 403
    assert client.post("/sign-out", data={"form": form_word(stranger)}).status_code == 403
    assert client.get("/account").status_code == 200
    assert client.post("/sign-out", data={"form": form_word(client)}).status_code == 303
    assert client.get("/account").status_code == 303


def test_another_site_can_not_post_the_forms(client: FlaskClient) -> None:
    signed_in(client)
    word = form_word(client)
    for header in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
        assert client.post("/sign-out", data={"form": word}, headers=header).status_code == 403
        assert client.post("/sign-in", data={"login": "ada", "password": PASSWORD}, headers=header).status_code == 403


def test_sign_out_everywhere_ends_every_session(client: FlaskClient, stranger: FlaskClient) -> None:
    signed_in(client)
    signed_in(stranger)
    kept = session_cookie(stranger)
    client.post("/account/sign-out-everywhere", data={"form": form_word(client)})
    assert client.get("/account").status_code == 303
    assert stranger.get("/account").status_code == 303
    stranger.set_cookie("zooscope_account", kept)
    assert stranger.get("/account").status_code == 303


def test_a_session_that_was_changed_is_none(client: FlaskClient) -> None:
    signed_in(client)
    kept = session_cookie(client)
    # Not the last letter alone: part of it means nothing in base64.
    changed = kept[:-2] + ("A" if kept[-2] != "A" else "B") + kept[-1]
    for cookie in (kept[:-1], changed, "x", kept.split(".")[0], ""):
        client.set_cookie("zooscope_account", cookie)
        assert client.get("/account").status_code == 303


def test_a_new_password_ends_the_other_sessions_and_needs_the_old_one(
    client: FlaskClient, stranger: FlaskClient
) -> None:
    signed_in(client)
    signed_in(stranger)
    word = form_word(client)
    wrong = client.post("/account/password", data={"form": word, "old": "not it", "new": "another four words"})
    assert wrong.status_code == 403
    assert "That is not your password now." in wrong.text
    short = client.post("/account/password", data={"form": word, "old": PASSWORD, "new": "short"})
    assert short.status_code == 400
    done = client.post("/account/password", data={"form": word, "old": PASSWORD, "new": "another four words"})
    assert done.status_code == 303
    assert client.get("/account").status_code == 200
    assert stranger.get("/account").status_code == 303
    assert client.post("/sign-in", data={"login": "ada", "password": PASSWORD}).status_code == 403
    assert stranger.post("/sign-in", data={"login": "ada", "password": "another four words"}).status_code == 303


def test_a_disabled_account_is_out_at_once(client: FlaskClient) -> None:
    account = signed_in(client)
    _, token = token_for(client)
    sessions_of(client).accounts.disable(account.id)
    assert client.get("/account").status_code == 303
    assert client.post("/sign-in", data={"login": "ada", "password": PASSWORD}).status_code == 403
    assert error_of(client.get("/api/v1/account", headers=token)) == (401, "bad-token")


def test_a_token_is_shown_once_works_and_is_revoked(client: FlaskClient, stranger: FlaskClient) -> None:
    signed_in(client)
    word = form_word(client)
    made = client.post("/account/tokens", data={"form": word, "name": "cluster", "scope": ["read", "publish"]})
    assert made.status_code == 200
    token = re.search(r"zst_[0-9a-f]{32}_[0-9a-f]{64}", made.text)
    assert token
    header = {"Authorization": f"Bearer {token[0]}"}
    assert stranger.get("/api/v1/account", headers=header).get_json()["name"] == "Ada"
    text = client.get("/account").text
    assert token[0] not in text
    assert "last used" in text
    revoke = re.search(r"/account/tokens/[0-9a-f]{32}/revoke", text)
    assert revoke
    signed_in(stranger, "Eve")
    answer = stranger.post(revoke[0], data={"form": form_word(stranger)})
    assert "You have no such token." in answer.text, "another's token is none"
    assert client.post(revoke[0], data={"form": word}).status_code == 303
    assert error_of(stranger.get("/api/v1/account", headers=header)) == (401, "bad-token")


def test_a_token_needs_a_name_and_a_scope(client: FlaskClient) -> None:
    signed_in(client)
    word = form_word(client)
    assert client.post("/account/tokens", data={"form": word, "name": "x"}).status_code == 400
    assert client.post("/account/tokens", data={"form": word, "scope": "read"}).status_code == 400


def test_the_operators_token_makes_the_first_admin(client: FlaskClient, settings: Settings) -> None:
    signed_in(client)
    word = form_word(client)
    wrong = client.post("/account/operate", data={"form": word, "token": "0" * 64})
    assert wrong.status_code == 400
    assert "That is not the operator" in wrong.text
    token = (settings.secrets_folder / "operator-token").read_text()
    assert client.post("/account/operate", data={"form": word, "token": token}).status_code == 303
    assert "You are an admin now." in client.get("/account?done=admin").text
    assert "All accounts" in client.get("/account").text


def test_pages_of_accounts_are_not_kept_by_caches(client: FlaskClient) -> None:
    signed_in(client)
    assert client.get("/account").headers["Cache-Control"] == "no-store"
    client.delete_cookie("zooscope_account")
    assert client.get("/sign-in").headers["Cache-Control"] == "no-store"


def test_a_password_for_a_proxy_in_front_is_none_of_ours(client: FlaskClient) -> None:
    signed_in(client)
    assert client.get("/account", headers={"Authorization": "Basic eDp5"}).status_code == 200


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer ", " Bearer"])
def test_a_token_counts_however_its_scheme_is_written(client: FlaskClient, scheme: str) -> None:
    signed_in(client, "Eve")
    _, header = token_for(client)
    shown = {"Authorization": header["Authorization"].replace("Bearer", scheme)}
    assert client.get("/api/v1/account", headers=shown).get_json()["name"] == "Ada"
    assert client.get("/account", headers=shown).status_code == 403
    for wrong in ("Bearer", "Bearer zst_", "bearer x"):
        assert client.get("/api/v1/account", headers={"Authorization": wrong}).status_code == 401
