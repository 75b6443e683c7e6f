"""People in tests: signed in through the real form, or with a token of theirs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast
from unittest.mock import patch

from flask.testing import FlaskClient

from web.accounts import Sessions
from zoo.accounts import Account, AccountMissing, account_of

PASSWORD = "four words in a row"
# Real hashes take 0.1 s, twice in every test that signs somebody in.
QUICK = "scrypt:1024:8:1"


def sessions_of(client: FlaskClient) -> Sessions:
    return cast(Sessions, client.application.extensions["zooscope_accounts"])


def account_for(client: FlaskClient, name: str = "Ada", roles: Iterable[str] = ("author",)) -> Account:
    """The local account of `name`, made if need be, with these roles; its login is the name in small letters."""
    accounts = sessions_of(client).accounts
    login = name.lower().replace(" ", ".")
    try:
        body = accounts.by_login(login)
    except AccountMissing:
        with patch("zoo.accounts.METHOD", QUICK):
            body = accounts.add(login, name, PASSWORD, roles)
    return account_of(accounts.set_roles(body["id"], roles))


def signed_in(client: FlaskClient, name: str = "Ada", roles: Iterable[str] = ("author",)) -> Account:
    """Sign a test client in through the form; another name signs it in as somebody else."""
    account = account_for(client, name, roles)
    login = name.lower().replace(" ", ".")
    client.delete_cookie("zooscope_account")
    answer = client.post("/sign-in", data={"login": login, "password": PASSWORD})
    assert answer.status_code == 303, answer.text
    return account


def token_for(
    client: FlaskClient, name: str = "Ada", scopes: Iterable[str] = ("publish", "read")
) -> tuple[Account, dict[str, str]]:
    """The account of `name`, and the headers that a program sends with a token of it."""
    account = account_for(client, name)
    token, _ = sessions_of(client).tokens.make(account.id, "a test", scopes)
    return account, {"Authorization": f"Bearer {token}"}


def form_word(client: FlaskClient, path: str = "/account") -> str:
    """The word that forms of this client's session carry."""
    return client.get(path).text.split('name="form" value="', 1)[1].split('"', 1)[0]
