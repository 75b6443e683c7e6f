"""Who asks: the account behind a request, by its session's cookie or its API token, and what it may do.

A session is a signed cookie that names the account and its session number; another number in the account's document
ends it. A token stands for its owner as an author: reviewing and administering are done by people who are signed in.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any, cast

from flask import Flask, Response, current_app, g, request
from itsdangerous import BadData, URLSafeSerializer, URLSafeTimedSerializer

from web.errors import Forbidden
from zoo.accounts import Account, AccountMissing, Accounts, account_of
from zoo.api_tokens import ApiTokens
from zoo.documents import Documents
from zoo.errors import UserError
from zoo.identifiers import new_uuid
from zoo.secrets import ACCOUNT_SESSIONS, read_or_make_key
from zoo.settings import Settings

COOKIE = "zooscope_account"
SESSION_SECONDS = 30 * 24 * 3600
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

__all__ = [
    "Account",
    "account_name",
    "check_owner",
    "current_account",
    "require_account",
    "require_role",
    "require_session",
]


class SignInNeeded(UserError):
    code = "sign-in-needed"
    status = 401


class BadToken(UserError):
    code = "bad-token"
    status = 401


class NotAllowed(Forbidden):
    code = "not-allowed"


class BadForm(Forbidden):
    code = "bad-form"


class Sessions:
    """The accounts and tokens of this installation, and the cookies of who is signed in."""

    def __init__(self, settings: Settings, documents: Documents) -> None:
        key = read_or_make_key(settings, ACCOUNT_SESSIONS)
        self.accounts = Accounts(documents)
        self.tokens = ApiTokens(documents)
        self._secure = settings.secure_cookies
        # A browser takes the prefix only with Secure, no Domain and the path /: no other host can set such a cookie.
        self._cookie = f"__Host-{COOKIE}" if self._secure else COOKIE
        self._sessions = URLSafeTimedSerializer(key, salt="zooscope-account")
        self._forms = URLSafeSerializer(key, salt="zooscope-account-form")

    def begin(self, body: Mapping[str, Any], response: Response) -> None:
        """Sign in the owner of an account."""
        value = str(self._sessions.dumps([body["id"], body["sessions"], new_uuid()]))
        response.set_cookie(
            self._cookie, value, max_age=SESSION_SECONDS, path="/", httponly=True, samesite="Lax", secure=self._secure
        )

    def end(self, response: Response) -> None:
        response.delete_cookie(self._cookie, path="/", httponly=True, samesite="Lax", secure=self._secure)

    def session(self) -> tuple[str, int, str] | None:
        """What the cookie says, if we signed it: account, session number, session."""
        try:
            id, number, session = self._sessions.loads(request.cookies.get(self._cookie, ""), max_age=SESSION_SECONDS)
        except (BadData, TypeError, ValueError):
            return None
        return (id, number, session) if isinstance(id, str) and isinstance(number, int) else None

    def account(self) -> Account | None:
        """The account behind the cookie, if its session is not ended."""
        found = self.session()
        if found is None:
            return None
        try:
            body = self.accounts.get(found[0])
        except AccountMissing:
            return None
        return None if body["disabled"] or body["sessions"] != found[1] else account_of(body)

    def token_account(self, token: str) -> Account:
        """The owner of an API token; raises BadToken, and NotAllowed where its scopes do not reach."""
        body = self.tokens.find(token)
        owner = None
        if body is not None:
            try:
                owner = self.accounts.get(body["owner"])
            except AccountMissing:
                owner = None
        if body is None or owner is None or owner["disabled"]:
            raise BadToken("This API token is not valid.", "It may be revoked: make a new one at /account.")
        if request.method not in SAFE_METHODS and "publish" not in body["scopes"]:
            raise NotAllowed("This API token may only read.", "Make one at /account that may publish.")
        return account_of(owner | {"roles": [role for role in owner["roles"] if role == "author"]})

    def form_word(self) -> str:
        """What every form of this session carries; empty for who is not signed in."""
        found = self.session()
        return str(self._forms.dumps(found[2])) if found else ""

    def check_form(self) -> None:
        """Raise BadForm unless the form posted is one of this session's."""
        word, shown = self.form_word(), request.form.get("form", "")
        if not word or not hmac.compare_digest(shown.encode("utf-8", "replace"), word.encode()):
            raise BadForm("This form was made for another session.", "Reload the page and try again.")


def sessions() -> Sessions:
    return cast(Sessions, current_app.extensions["zooscope_accounts"])


def current_account() -> Account | None:
    """Who asks, or None. Raises BadToken for a token that is none: a program must not go on as a stranger."""
    if "account" not in g:
        token = _shown_token()
        g.account = sessions().account() if token is None else sessions().token_account(token)
    return cast("Account | None", g.account)


def _shown_token() -> str | None:
    """The API token of the request; another scheme than Bearer is that of a proxy in front of us."""
    scheme, _, token = request.headers.get("Authorization", "").strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def forget_account() -> None:
    """The next look in this request reads the account anew."""
    g.pop("account", None)


def require_account() -> Account:
    """Who asks; raises SignInNeeded, which a page answers by showing where that is done."""
    account = current_account()
    if account is None:
        raise SignInNeeded("This needs an account.", "Sign in at /sign-in, or show an API token made at /account.")
    return account


def require_session() -> Account:
    """Who asks, if they are signed in themselves; raises SignInNeeded, and NotAllowed for a program with a token.

    What a token could do to its account would outlive its revocation: make others, or become more.
    """
    if _shown_token() is not None:
        raise NotAllowed("This is for people who are signed in, not for programs.", "Leave the API token out.")
    return require_account()


def require_role(role: str) -> Account:
    """Who asks, if they have the role, or are an admin; raises SignInNeeded and NotAllowed."""
    account = require_account()
    if not account.has_role(role):
        raise NotAllowed(f"This is for {role}s.", "An admin can give you the role; API tokens never carry it.")
    return account


def check_owner(owner_id: str | None) -> Account:
    """Who asks, if what is asked for is theirs or they are an admin; raises SignInNeeded and NotAllowed.

    What has no owner (an empty id), such as a model that came with Zooscope, is the admins'.
    """
    account = require_account()
    if not (owner_id and account.id == owner_id) and "admin" not in account.roles:
        raise NotAllowed("This belongs to somebody else.", "Only its owner and admins may change it.")
    return account


def account_name(id: str) -> str:
    """The name to show for an account's id."""
    try:
        return str(sessions().accounts.get(id)["name"])
    except AccountMissing:
        return "somebody"


def register(app: Flask, settings: Settings, documents: Documents) -> None:
    app.extensions["zooscope_accounts"] = Sessions(settings, documents)
