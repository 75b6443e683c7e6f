"""`zooscope accounts`: who may publish, review and administer, from the terminal of the service's machine."""

from __future__ import annotations

import argparse
import getpass
import secrets
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from zoo.accounts import ROLES, AccountMissing, Accounts
from zoo.documents import MAXIMUM_PAGE_SIZE
from zoo.identifiers import is_uuid
from zoo.open_documents import open_documents
from zoo.settings import read_settings

PASSWORD_BYTES = 15


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, help="data folder of the service (default: data)")
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    listing = actions.add_parser("list", help="list accounts; what is done if no action is named")
    listing.add_argument("--role", choices=ROLES, default="", help="only those that have it")
    add = actions.add_parser("add", help="make a local account and print a password for it once")
    add.add_argument("name", help="name to sign in with, such as an email address")
    add.add_argument("--shown-name", help="name that others see (default: the name to sign in with)")
    role = actions.add_parser("role", help="give an account these roles and no other")
    password = actions.add_parser("password", help="set a new password of a local account and print it once")
    disable = actions.add_parser("disable", help="lock an account and end its sessions; what it published stays")
    enable = actions.add_parser("enable", help="open a locked account again")
    for one in (role, password, disable, enable):
        one.add_argument("name", help="name to sign in with, id, or ORCID iD")
    role.add_argument("roles", nargs="*", metavar="ROLE", help=f"of {', '.join(ROLES)}; none named: no role")
    add.add_argument("--role", action="append", choices=ROLES, default=[], help="a role (default: author); repeat it")
    for one in (add, password):
        one.add_argument("--ask", action="store_true", help="type the password rather than have one made")


def run(arguments: argparse.Namespace) -> int:
    """Do it; returns 0. Raises BadAccount, AccountExists, AccountMissing."""
    settings = read_settings()
    settings = settings.replace(data=arguments.data or settings.data)
    Path(settings.data).mkdir(parents=True, exist_ok=True)
    with closing(open_documents(settings)) as documents:
        accounts = Accounts(documents)
        if arguments.action == "add":
            password = _password(arguments.ask)
            roles = {"author", *arguments.role}
            body = accounts.add(arguments.name, arguments.shown_name or arguments.name, password, roles)
            _say(body, password, arguments.ask)
        elif arguments.action == "role":
            _line(accounts.set_roles(_found(accounts, arguments.name)["id"], arguments.roles, "the terminal"))
        elif arguments.action == "password":
            password = _password(arguments.ask)
            body = accounts.set_password(_found(accounts, arguments.name)["id"], password)
            _say(body, password, arguments.ask)
        elif arguments.action in ("disable", "enable"):
            found = _found(accounts, arguments.name)
            _line(accounts.disable(found["id"], arguments.action == "disable", "the terminal"))
        else:
            _list(accounts, getattr(arguments, "role", ""))
    return 0


def _found(accounts: Accounts, name: str) -> dict[str, Any]:
    """The account by its id, its name to sign in with, or its ORCID iD; raises AccountMissing."""
    if is_uuid(name):
        return accounts.get(name)
    try:
        return accounts.by_login(name)
    except AccountMissing:
        return accounts.by_orcid(name)


def _password(ask: bool) -> str:
    return getpass.getpass("Password: ", sys.stderr) if ask else secrets.token_urlsafe(PASSWORD_BYTES)


def _say(body: dict[str, Any], password: str, asked: bool) -> None:
    _line(body)
    if not asked:
        print(f"password {password} (to be changed at /account; it is not shown again)")


def _list(accounts: Accounts, role: str) -> None:
    number = 1
    while True:
        page = accounts.listed(number, MAXIMUM_PAGE_SIZE, role)
        for item in page.items:
            _line(item.body)
        if number * MAXIMUM_PAGE_SIZE >= page.total:
            return
        number += 1


def _line(body: dict[str, Any]) -> None:
    who = body.get("login") or body["orcid"] or body.get("issuer", "")
    roles = "disabled" if body["disabled"] else ", ".join(body["roles"]) or "no role"
    made = time.strftime("%Y-%m-%d", time.gmtime(body["created_at"]))
    print(f"{body['id']}  {made}  {roles:<24} {who:<32} {body['name']}")
