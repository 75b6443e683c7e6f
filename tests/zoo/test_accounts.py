"""Accounts and tokens as documents: one of each person, no change lost, nothing secret kept."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.accounts import (
    METHOD,
    NOBODYS_HASH,
    AccountExists,
    AccountMissing,
    Accounts,
    BadAccount,
    WrongPassword,
    account_of,
    check_name,
    is_orcid,
)
from zoo.accounts_command import add_arguments, run
from zoo.api_tokens import ApiTokens
from zoo.documents_sqlite import SqliteDocuments

PASSWORD = "four words in a row"


@pytest.fixture
def documents(tmp_path: Path) -> Iterator[SqliteDocuments]:
    documents = SqliteDocuments(tmp_path / "documents.sqlite3")
    yield documents
    documents.close()


@pytest.fixture
def accounts(documents: SqliteDocuments) -> Accounts:
    return Accounts(documents)


def test_of_two_people_who_take_a_name_at_once_one_gets_it(accounts: Accounts) -> None:
    told: list[str] = []

    def take(name: str) -> None:
        try:
            told.append(accounts.add("ada", name, PASSWORD)["name"])
        except AccountExists as error:
            told.append(error.code)

    threads = [threading.Thread(target=take, args=(name,)) for name in ("Ada", "Eve")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert "account-exists" in told
    assert accounts.by_login("ADA")["name"] in told


def test_what_is_kept_tells_no_password_and_no_token(accounts: Accounts, documents: SqliteDocuments) -> None:
    body = accounts.add("ada", "Ada", PASSWORD)
    tokens = ApiTokens(documents)
    token, _ = tokens.make(body["id"], "cluster", ["read"])
    kept = json.dumps([documents.get("accounts", body["id"]).body, tokens.of(body["id"])])
    assert PASSWORD not in kept
    assert token.rpartition("_")[2] not in kept
    assert body["password_hash"].startswith("scrypt:32768:8:1$")


def test_passwords_are_salted(accounts: Accounts) -> None:
    first, second = accounts.add("ada", "Ada", PASSWORD), accounts.add("eve", "Eve", PASSWORD)
    assert first["password_hash"] != second["password_hash"]


def test_no_account_has_the_password_of_nobody(accounts: Accounts) -> None:
    person = accounts.of_provider("https://id.example", "1", "Grace")
    for login in ("nobody", person["id"], ""):
        with pytest.raises(WrongPassword):
            accounts.verify(login, "")


def test_a_name_that_is_not_there_is_hashed_as_one_that_is(accounts: Accounts) -> None:
    assert NOBODYS_HASH.startswith(f"{METHOD}$")
    assert len(NOBODYS_HASH) == len(accounts.add("ada", "Ada", PASSWORD)["password_hash"])


def test_people_of_two_providers_are_two_people(accounts: Accounts) -> None:
    first = accounts.of_provider("https://one.example", "1", "Grace", email="grace@example.org")
    other = accounts.of_provider("https://two.example", "1", "Mallory", email="grace@example.org")
    local = accounts.add("grace@example.org", "Eve", PASSWORD)
    assert len({first["id"], other["id"], local["id"]}) == 3
    with pytest.raises(BadAccount):
        accounts.set_password(first["id"], PASSWORD)


def test_a_role_and_a_lock_at_once_are_both_kept(accounts: Accounts) -> None:
    body = accounts.add("ada", "Ada", PASSWORD)
    act = [
        lambda: accounts.set_roles(body["id"], ["author", "reviewer"], "root"),
        lambda: accounts.disable(body["id"], True, "root"),
        lambda: accounts.end_sessions(body["id"]),
    ]
    threads = [threading.Thread(target=one) for one in act]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = accounts.get(body["id"])
    assert found["roles"] == ["author", "reviewer"]
    assert found["disabled"]
    assert found["sessions"] == 3
    assert {item["what"] for item in found["history"]} == {"roles author, reviewer", "disabled"}


def test_roles_are_a_closed_list_and_admins_may_do_what_others_may(accounts: Accounts) -> None:
    body = accounts.add("ada", "Ada", PASSWORD, ["admin"])
    account = account_of(body)
    assert account.has_role("reviewer")
    with pytest.raises(BadAccount):
        accounts.set_roles(body["id"], ["root"])
    assert accounts.listed(role="admin").total == 1
    assert accounts.listed(role="reviewer").total == 0


def test_a_token_is_its_secret(accounts: Accounts, documents: SqliteDocuments) -> None:
    body = accounts.add("ada", "Ada", PASSWORD)
    tokens = ApiTokens(documents)
    token, made = tokens.make(body["id"], "cluster", ["read", "publish"])
    other, _ = tokens.make(body["id"], "laptop", ["read"])
    found = tokens.find(token)
    assert found
    assert found["scopes"] == ["read", "publish"]
    assert tokens.of(body["id"])[0]["name"] == "laptop"
    swapped = token.rpartition("_")[0] + "_" + other.rpartition("_")[2]
    for wrong in (swapped, token[:-1], token + "0", token.upper(), made["id"], "", "zst_" + "0" * 32 + "_" + "0" * 64):
        assert tokens.find(wrong) is None
    with pytest.raises(BadAccount):
        tokens.revoke("somebody else", made["id"])
    tokens.revoke(body["id"], made["id"])
    assert tokens.find(token) is None
    assert tokens.find(other)
    tokens.revoke(body["id"], made["id"])


@given(st.text(max_size=150))
def test_a_name_that_is_shown_has_nothing_that_can_not_be_seen(text: str) -> None:
    try:
        name = check_name(text)
    except BadAccount:
        return
    assert name == name.strip()
    assert 0 < len(name) <= 100
    assert name.isprintable() or "\u00ad" not in name
    assert not set(name) & set("\n\r\t\0\u202e\u200b\ufeff")
    assert check_name(name) == name


@given(st.text(alphabet="0123456789X-", max_size=20))
def test_at_most_one_check_digit_fits(text: str) -> None:
    assert sum(is_orcid(text[:-1] + digit) for digit in "0123456789X") <= 1


def command(*words: str) -> int:
    import argparse

    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return run(parser.parse_args(list(words)))


def test_the_command_makes_lists_changes_and_locks_accounts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = ("--data", str(tmp_path / "data"))
    command(*data, "add", "ada@example.org", "--shown-name", "Ada", "--role", "admin")
    told = capsys.readouterr().out
    password = told.partition("password ")[2].split()[0]
    documents = SqliteDocuments(tmp_path / "data" / "documents.sqlite3")
    accounts = Accounts(documents)
    body = accounts.verify("ada@example.org", password)
    assert (body["name"], body["roles"]) == ("Ada", ["author", "admin"])
    command(*data, "role", "ada@example.org", "reviewer")
    assert accounts.get(body["id"])["roles"] == ["reviewer"]
    command(*data, "password", body["id"])
    with pytest.raises(WrongPassword):
        accounts.verify("ada@example.org", password)
    person = accounts.of_provider("https://orcid.org", "0000-0002-1825-0097", "Josiah", "0000-0002-1825-0097")
    command(*data, "disable", "0000-0002-1825-0097")
    assert accounts.get(person["id"])["disabled"]
    command(*data, "enable", person["id"])
    assert not accounts.get(person["id"])["disabled"]
    capsys.readouterr()
    command(*data)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert "Josiah" in lines[0]
    assert lines[1].split()[2:] == ["reviewer", "ada@example.org", "Ada"]
    command(*data, "list", "--role", "author")
    assert capsys.readouterr().out.count("\n") == 1
    for wrong in (("role", "nobody", "admin"), ("disable", "")):
        with pytest.raises(AccountMissing):
            command(*data, *wrong)
    with pytest.raises(BadAccount):
        command(*data, "role", "ada@example.org", "root")
    documents.close()
