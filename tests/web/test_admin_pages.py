"""The admins' list of accounts: who sees it, what they change, and what a stolen token does not."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from account_helpers import account_for, form_word, sessions_of, signed_in, token_for
from flask import Flask
from flask.testing import FlaskClient

from web.app import create_app
from zoo.settings import Settings

PAGE = "/admin/accounts"


@pytest.fixture
def app(settings: Settings) -> Iterator[Flask]:
    """Without models, which take a while to read."""
    app = create_app(settings)
    yield app
    app.extensions["zooscope"].close()


def test_only_admins_see_it(client: FlaskClient) -> None:
    assert client.get(PAGE).location == "/sign-in?next=%2Fadmin%2Faccounts"
    for roles in (("author",), ("author", "reviewer"), ()):
        signed_in(client, roles=roles)
        assert client.get(PAGE).status_code == 403
    signed_in(client, roles=("admin",))
    assert client.get(PAGE).status_code == 200


def test_an_admin_gives_roles_and_they_count_at_once(client: FlaskClient, stranger: FlaskClient) -> None:
    signed_in(client, "Root", ("admin",))
    ada = signed_in(stranger, "Ada")
    assert stranger.get("/account").text.count('href="/review"') == 0
    word = form_word(client, PAGE)
    answer = client.post(f"{PAGE}/{ada.id}/roles", data={"form": word, "role": ["author", "reviewer"]})
    assert answer.status_code == 303
    assert "The roles are changed." in client.get(answer.location).text
    assert 'href="/review"' in stranger.get("/account").text
    shown = client.get(f"{PAGE}?role=reviewer").text
    assert re.findall(r"account-([0-9a-f]{32})", shown) == [ada.id]
    assert client.post(f"{PAGE}/{ada.id}/roles", data={"form": word, "role": "root"}).status_code == 400
    assert client.post(f"{PAGE}/{'0' * 32}/roles", data={"form": word}).status_code == 404


def test_an_admin_locks_others_but_not_themselves(client: FlaskClient, stranger: FlaskClient) -> None:
    root = signed_in(client, "Root", ("admin",))
    ada = signed_in(stranger, "Ada")
    word = form_word(client, PAGE)
    assert client.post(f"{PAGE}/{ada.id}/lock", data={"form": word, "action": "lock"}).status_code == 303
    assert stranger.get("/account").status_code == 303
    assert 'class="mark">locked' in client.get(PAGE).text
    client.post(f"{PAGE}/{ada.id}/lock", data={"form": word, "action": "open"})
    signed_in(stranger, "Ada")
    own = client.post(f"{PAGE}/{root.id}/lock", data={"form": word, "action": "lock"})
    assert own.status_code == 403
    assert "You can not lock your own account." in own.text
    told = sessions_of(client).accounts.get(ada.id)["history"]
    assert [(item["what"], item["by"]) for item in told[-2:]] == [("disabled", root.id), ("enabled", root.id)]


@pytest.mark.parametrize("path", ["roles", "lock"])
def test_others_change_nothing(client: FlaskClient, stranger: FlaskClient, path: str) -> None:
    victim = account_for(client, "Victim")
    address, given = f"{PAGE}/{victim.id}/{path}", {"role": "admin", "action": "lock"}
    assert client.post(address, data=given).status_code == 401
    signed_in(stranger, "Ada", ("author", "reviewer"))
    assert stranger.post(address, data=given | {"form": form_word(stranger)}).status_code == 403
    signed_in(client, "Root", ("admin",))
    assert client.post(address, data=given).status_code == 403
    assert client.post(address, data=given | {"form": form_word(stranger)}).status_code == 403
    found = sessions_of(client).accounts.get(victim.id)
    assert found["roles"] == ["author"]
    assert not found["disabled"]


def test_a_token_opens_no_page_of_its_account_and_carries_no_rank(client: FlaskClient, stranger: FlaskClient) -> None:
    """A stolen token, shown with a session and form of the thief's own, makes no second token and no admin."""
    signed_in(stranger, "Eve")
    root = account_for(client, "Root", ("author", "reviewer", "admin"))
    _, header = token_for(client, "Root")
    sessions_of(client).accounts.set_roles(root.id, ("author", "reviewer", "admin"))
    assert client.get("/api/v1/account", headers=header).get_json()["roles"] == ["author"]
    word = form_word(stranger)
    posts = {
        "/account/tokens": {"name": "more", "scope": "publish"},
        "/account/profile": {"name": "Eve"},
        "/account/sign-out-everywhere": {},
        f"{PAGE}/{root.id}/roles": {"role": "admin"},
    }
    for address, given in posts.items():
        assert stranger.post(address, data=given | {"form": word}, headers=header).status_code == 403
    for address in ("/account", PAGE):
        assert client.get(address, headers=header).status_code == 403
    assert len(sessions_of(client).tokens.of(root.id)) == 1


def test_many_accounts_are_paged(client: FlaskClient) -> None:
    accounts = sessions_of(client).accounts
    for number in range(60):
        accounts.of_provider("https://id.example", str(number), f"Person {number}")
    signed_in(client, "Root", ("admin",))
    first, second = client.get(PAGE).text, client.get(f"{PAGE}?page=2").text
    assert (first.count('<li id="account-'), second.count('<li id="account-')) == (50, 11)
    assert "61 accounts" in first
    assert client.get(f"{PAGE}?page=x").status_code == 400
    assert client.get(f"{PAGE}?role=root").status_code == 400


def test_hostile_names_and_issuers_are_text(client: FlaskClient) -> None:
    sessions_of(client).accounts.of_provider("https://id.example", "1", '"><script>alert(1)</script>')
    signed_in(client, "Root", ("admin",))
    assert "<script>alert" not in client.get(PAGE).text
