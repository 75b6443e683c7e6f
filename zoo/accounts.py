"""Accounts: who publishes, reviews and administers. Local ones with a password, and those of an OpenID provider.

An account's id follows from how its owner signs in, so that two sign-ins at once can't make two of one person, and
no one comes into another's account by a shared email address.
"""

from __future__ import annotations

import hashlib
import re
import time
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from werkzeug.security import check_password_hash, generate_password_hash

from zoo.documents import DocumentExists, DocumentMissing, Documents, Fields, Page, Query, RevisionConflict, Stored
from zoo.errors import UserError

COLLECTION = "accounts"
FIELDS = Fields(single=("created_at", "orcid"), several=("roles",))
ROLES = ("author", "reviewer", "admin")
LOGIN = re.compile(r"[a-z0-9][a-z0-9._@+-]{1,62}[a-z0-9]")
ORCID = re.compile(r"\d{4}-\d{4}-\d{4}-\d{3}[\dX]", re.ASCII)
EMAIL = re.compile(r"[^\s@<>]{1,64}@[^\s@<>]{1,190}")
SHORTEST_PASSWORD, LONGEST_PASSWORD = 10, 200
LONGEST_NAME = 100
# scrypt at n = 2^15, r = 8, p = 1: 32 MB and about 0.1 s.
METHOD = "scrypt:32768:8:1"
# Checked for a name that is not there, so that the answer takes as long: of 32 random bytes that nobody kept.
NOBODYS_HASH = (
    "scrypt:32768:8:1$VUQOmr59kXj7t85k$b270e1ba26766f63525557ae83a448d1b89a7a02ff3eadcf626d6481b8f173b1"
    "92859014a747eeafdde1d252b8c08029619448c000b81adbccec2720e9043d97"
)
CHANGES_TRIED = 20


class BadAccount(UserError):
    code = "bad-account"


class AccountExists(UserError):
    code = "account-exists"
    status = 409


class AccountMissing(UserError):
    code = "no-account"
    status = 404


class WrongPassword(UserError):
    code = "wrong-password"
    status = 403


@dataclass(frozen=True)
class Account:
    """A person who is signed in. `orcid` is one that an OpenID provider vouches for, else empty; so is `email`."""

    id: str
    name: str
    orcid: str
    email: str
    roles: frozenset[str]

    def has_role(self, role: str) -> bool:
        """Whether they may do what `role` may; an admin may do what anyone may."""
        return role in self.roles or "admin" in self.roles


def account_of(body: Mapping[str, Any]) -> Account:
    return Account(body["id"], body["name"], body["orcid"], body["email"], frozenset(body["roles"]))


def is_orcid(text: str) -> bool:
    """Whether `text` is an ORCID iD with a right check digit (ISO 7064 MOD 11-2)."""
    if ORCID.fullmatch(text) is None:
        return False
    total = 0
    for digit in text.replace("-", "")[:-1]:
        total = (total + int(digit)) * 2
    return "0123456789X"[(12 - total % 11) % 11] == text[-1]


class Accounts:
    """The accounts of an installation; every change is a compare-and-set."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        documents.declare(COLLECTION, FIELDS)

    def get(self, id: str) -> dict[str, Any]:
        """The account's document; raises AccountMissing."""
        return self._read(id).body

    def by_login(self, login: str) -> dict[str, Any]:
        """The local account that signs in as `login`; raises AccountMissing."""
        return self.get(_local_id(_key(login)))

    def by_orcid(self, orcid: str) -> dict[str, Any]:
        """The account of a person with this ORCID iD; raises AccountMissing."""
        found = self._documents.search(COLLECTION, Query(filters={"orcid": [orcid or "none"]}, sort="created_at"))
        if not found.items:
            raise _missing()
        return self.get(found.items[0].id)

    def add(self, login: str, name: str, password: str, roles: Iterable[str] = ("author",)) -> dict[str, Any]:
        """A new local account; raises BadAccount, and AccountExists when the name to sign in with is taken."""
        key = _key(login)
        if LOGIN.fullmatch(key) is None:
            raise BadAccount(
                "That is no name to sign in with.",
                "Take 3 to 64 of a-z, 0-9, dot, underscore, hyphen, plus and @; an email address will do.",
            )
        body = _new(_local_id(key), "local", check_name(name), check_roles(roles)) | {
            "login": key,
            "password_hash": hash_password(password, key),
        }
        try:
            return self._documents.create(COLLECTION, body["id"], body).body
        except DocumentExists:
            raise AccountExists("Somebody signs in with that name already.", "Choose another one.") from None

    def verify(self, login: str, password: str) -> dict[str, Any]:
        """The local account behind a name and its password, in the same time whether there is one or not.

        Raises WrongPassword, which tells a stranger no more than that.
        """
        try:
            body = self.by_login(login)
        except AccountMissing:
            body = {}
        right = check_password_hash(body.get("password_hash") or NOBODYS_HASH, password[: LONGEST_PASSWORD + 1])
        if not right or not body.get("password_hash") or body["disabled"]:
            raise WrongPassword(
                "The name or the password is not right.",
                "Check both. Forgotten? Whoever runs this Zooscope can set a new one.",
            )
        return body

    def of_provider(self, issuer: str, subject: str, name: str, orcid: str = "", email: str = "") -> dict[str, Any]:
        """The account of a person whom an OpenID provider vouches for, made at the first sign-in.

        A name that its owner changed here stays; ORCID and email follow the provider.
        """
        body = _new(_provider_id(issuer, subject), "oidc", check_name(name or orcid or "Unnamed"), ["author"])
        body |= {"issuer": issuer, "subject": subject, "orcid": orcid, "email": email}
        try:
            return self._documents.create(COLLECTION, body["id"], body).body
        except DocumentExists:
            return self.change(body["id"], lambda found: found | {"orcid": orcid, "email": email})

    def set_password(self, id: str, password: str) -> dict[str, Any]:
        """A new password of a local account, which ends all its sessions."""

        def act(body: dict[str, Any]) -> dict[str, Any]:
            if body["kind"] != "local":
                raise BadAccount("This account has no password here.", "Its owner signs in at their provider.")
            return body | {
                "password_hash": hash_password(password, body["login"]), "sessions": body["sessions"] + 1,
            }  # fmt: skip

        return self.change(id, act)

    def set_profile(self, id: str, name: str) -> dict[str, Any]:
        checked = check_name(name)
        return self.change(id, lambda body: body | {"name": checked})

    def set_roles(self, id: str, roles: Iterable[str], by: str = "") -> dict[str, Any]:
        """Other roles from now on, also in sessions that are open."""
        checked = check_roles(roles)

        def act(body: dict[str, Any]) -> dict[str, Any]:
            if body["roles"] == checked:
                return body
            return _noted(body | {"roles": checked}, f"roles {', '.join(checked)}", by)

        return self.change(id, act)

    def disable(self, id: str, disabled: bool = True, by: str = "") -> dict[str, Any]:
        """Lock the account and end its sessions, or open it again; what it published stays."""

        def act(body: dict[str, Any]) -> dict[str, Any]:
            changed = body | {"disabled": disabled, "sessions": body["sessions"] + int(disabled)}
            return _noted(changed, "disabled" if disabled else "enabled", by)

        return self.change(id, act)

    def end_sessions(self, id: str) -> dict[str, Any]:
        """Sign the account out wherever it is signed in."""
        return self.change(id, lambda body: body | {"sessions": body["sessions"] + 1})

    def listed(self, page: int = 1, size: int = 50, role: str = "") -> Page:
        """Accounts, newest first; with `role` only those that have it."""
        filters = {"roles": [role]} if role else {}
        return self._documents.search(
            COLLECTION, Query(filters=filters, sort="created_at", descending=True, page=page, size=size)
        )

    def change(self, id: str, act: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
        """Replace the document by what `act` makes of it, again when somebody else was faster."""
        for _ in range(CHANGES_TRIED):
            found = self._read(id)
            changed = act(dict(found.body))
            if changed == found.body:
                return found.body
            try:
                return self._documents.replace(COLLECTION, id, changed, found.revision).body
            except RevisionConflict:
                continue
        raise RevisionConflict("The account is being changed by others.", "Try again.")

    def _read(self, id: str) -> Stored:
        try:
            return self._documents.get(COLLECTION, id)
        except DocumentMissing:
            raise _missing() from None


def _missing() -> AccountMissing:
    return AccountMissing("There is no such account.", "Check the name or the link.")


def hash_password(password: str, login: str = "") -> str:
    """A salted scrypt hash; raises BadAccount for a password that is too short, too long, or the login itself."""
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise BadAccount(
            f"The password has {len(password)} characters.",
            f"Take {SHORTEST_PASSWORD} to {LONGEST_PASSWORD}; a few words in a row are easy to keep in mind.",
        )
    if _key(password) == login or len(set(password)) < 4:
        raise BadAccount("That password is easily guessed.", "Take a few words that have nothing to do with you.")
    return generate_password_hash(password, METHOD)


def check_name(name: str) -> str:
    """A person's name as it is shown, without anything that can't be seen; raises BadAccount."""
    shown = "".join(mark for mark in unicodedata.normalize("NFC", name) if unicodedata.category(mark)[0] != "C")
    shown = " ".join(shown.split())
    if not shown or len(shown) > LONGEST_NAME:
        raise BadAccount("A name is missing, or too long.", f"Give the name to show, at most {LONGEST_NAME} letters.")
    return shown


def check_roles(roles: Iterable[str]) -> list[str]:
    """The roles in their order, each once; raises BadAccount for one that is none."""
    given = set(roles)
    if given - set(ROLES):
        raise BadAccount("There is no such role.", f"The roles are {', '.join(ROLES)}.")
    return [role for role in ROLES if role in given]


def _new(id: str, kind: str, name: str, roles: list[str]) -> dict[str, Any]:
    """What every account has. `sessions` is part of every session's cookie: another number ends them all."""
    return {
        "id": id, "kind": kind, "name": name, "orcid": "", "email": "", "roles": roles, "disabled": False,
        "sessions": 1, "created_at": time.time(), "history": [],
    }  # fmt: skip


def _noted(body: dict[str, Any], what: str, by: str) -> dict[str, Any]:
    """With a line in the account's history of what an admin did to it."""
    return body | {"history": [*body["history"], {"at": time.time(), "what": what, "by": by}][-100:]}


def _key(login: str) -> str:
    return unicodedata.normalize("NFKC", login).strip().lower()


def _local_id(key: str) -> str:
    return hashlib.sha256(f"local\n{key}".encode("utf-8", "replace")).hexdigest()[:32]


def _provider_id(issuer: str, subject: str) -> str:
    return hashlib.sha256(f"oidc\n{issuer}\n{subject}".encode("utf-8", "replace")).hexdigest()[:32]
