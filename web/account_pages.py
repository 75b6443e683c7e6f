"""/sign-in, /sign-up and /account: how a person comes in, and what they see and change of their account.

Everything is a form that works without a script. Names and passwords serve installations without an OpenID provider.
"""

from __future__ import annotations

import functools
import hmac
import time
from collections.abc import Callable
from typing import Any, TypeVar, cast
from urllib.parse import urlencode

from flask import Blueprint, Flask, Response, current_app, make_response, redirect, render_template, request

from web import visitors
from web.accounts import SignInNeeded, current_account, forget_account, require_account, require_session, sessions
from web.errors import JSON_PREFIXES, NotFound, answer_error
from web.service import SOFTWARE_VERSION, service
from web.sign_in_limit import SignInLimit
from zoo.accounts import BadAccount, WrongPassword
from zoo.api_tokens import SCOPES
from zoo.errors import UserError, ZooscopeError
from zoo.secrets import OPERATOR_TOKEN, read_or_make_key
from zoo.settings import Settings

blueprint = Blueprint("accounts", __name__)

SIGN_IN, SIGN_UP, ACCOUNT = "/sign-in", "/sign-up", "/account"
LONGEST_NEXT = 2000

F = TypeVar("F", bound=Callable[..., Any])


class SignUpClosed(NotFound):
    code = "sign-up-closed"


def local_accounts(settings: Settings) -> str:
    """`open`: anyone may make one; `added`: the operator makes them; `off`: none may sign in."""
    return str(settings.local_accounts or ("added" if settings.oidc_issuer else "open"))


def page(template: str, title: str, status: int = 200, **context: Any) -> Response:
    shown = render_template(template, page_title=title, software_version=SOFTWARE_VERSION, when=_when, **context)
    response = make_response(shown, status)
    response.headers["Cache-Control"] = "no-store"
    error = context.get("error")
    if isinstance(error, ZooscopeError) and error.retry_after_seconds is not None:
        response.headers["Retry-After"] = str(error.retry_after_seconds)
    return response


def _when(epoch: float) -> str:
    """A moment as the script of the page writes it, which puts it into the reader's time zone."""
    return time.strftime("%-d %b %Y, %H:%M", time.gmtime(epoch))


def safe_next(given: str) -> str:
    """An address of this site to go to afterwards; the account's page for anything else."""
    plain = given.isprintable() and given.isascii() and "\\" not in given and len(given) <= LONGEST_NEXT
    return given if plain and given.startswith("/") and not given.startswith("//") else ACCOUNT


def with_form(view: F) -> F:
    """Only for who is signed in, by a cookie, and posts a form of their own session."""

    @functools.wraps(view)
    def guarded(*arguments: Any, **named: Any) -> Any:
        require_session()
        sessions().check_form()
        return view(*arguments, **named)

    return cast(F, guarded)


def limit() -> SignInLimit:
    return cast(SignInLimit, current_app.extensions["zooscope_sign_in_limit"])


def door(status: int = 200, error: ZooscopeError | None = None) -> Response:
    settings = service().settings
    return page(
        "sign_in.html",
        "Sign in",
        status,
        error=error,
        next=safe_next(request.values.get("next", "")),
        login=request.form.get("login", ""),
        local=local_accounts(settings),
        provider=provider_name(settings),
    )


def provider_name(settings: Settings) -> str:
    """What the button says that leads to the OpenID provider; empty without one."""
    if not settings.oidc_issuer:
        return ""
    return settings.oidc_name or ("ORCID" if settings.oidc_issuer.startswith("orcid") else "your institution")


@blueprint.get(SIGN_IN)
def sign_in_page() -> Any:
    if current_account() is not None:
        return redirect(safe_next(request.args.get("next", "")), 303)
    return door()


@blueprint.post(SIGN_IN)
def sign_in() -> Any:
    """Sign in with a name and a password."""
    login, address = request.form.get("login", "")[:200].strip().lower(), visitors.address()
    try:
        if local_accounts(service().settings) == "off":
            raise SignUpClosed("Nobody signs in with a password here.", "Use the button above.")
        limit().check(login, address)
        try:
            with limit().hashing():
                body = sessions().accounts.verify(login, request.form.get("password", ""))
        except WrongPassword:
            limit().failed(login, address)
            raise
    except UserError as error:
        return door(error.status, error)
    limit().succeeded(login, address)
    return enter(body)


def enter(body: dict[str, Any], to: str | None = None) -> Response:
    """Go on as the owner of the account."""
    target = safe_next(request.form.get("next", "")) if to is None else to
    response = cast(Response, redirect(target, 303))
    sessions().begin(body, response)
    return response


@blueprint.get(SIGN_UP)
def sign_up_page() -> Any:
    if current_account() is not None:
        return redirect(ACCOUNT, 303)
    return _sign_up()


def _sign_up(status: int = 200, error: ZooscopeError | None = None) -> Response:
    if local_accounts(service().settings) != "open":
        raise SignUpClosed("Accounts are not made here.", "Sign in at /sign-in, or ask who runs this Zooscope.")
    given = {name: request.form.get(name, "") for name in ("login", "name")}
    target = safe_next(request.values.get("next", ""))
    return page("sign_up.html", "New account", status, error=error, next=target, given=given)


@blueprint.post(SIGN_UP)
def sign_up() -> Any:
    """Make a local account and sign in."""
    if local_accounts(service().settings) != "open":
        return _sign_up()
    login, address = request.form.get("login", "")[:200], visitors.address()
    try:
        limit().new_account(address)
        with limit().hashing():
            body = sessions().accounts.add(login, request.form.get("name", "")[:400], request.form.get("password", ""))
    except UserError as error:
        return _sign_up(error.status, error)
    return enter(body)


@blueprint.post("/sign-out")
@with_form
def sign_out() -> Any:
    response = cast(Response, redirect("/", 303))
    sessions().end(response)
    return response


def _account_page(status: int = 200, error: ZooscopeError | None = None, **more: Any) -> Response:
    account = require_session()
    return page(
        "account.html",
        "Your account",
        status,
        account=account,
        body=sessions().accounts.get(account.id),
        tokens=sessions().tokens.of(account.id),
        scopes=SCOPES,
        form_word=sessions().form_word(),
        error=error,
        done=more.pop("done", request.args.get("done", "")),
        **more,
    )


def _answer(act: Callable[[], str], part: str) -> Response:
    """Do it; the page comes again and says what came of it, at the part of the page where it was asked for."""
    try:
        done = act()
    except UserError as error:
        return _account_page(error.status, error, part=part)
    return cast(Response, redirect(f"{ACCOUNT}?{urlencode({'done': done})}#{part}", 303))


@blueprint.get(ACCOUNT)
def account_page() -> Any:
    return _account_page()


@blueprint.post(f"{ACCOUNT}/profile")
@with_form
def change_profile() -> Response:
    def act() -> str:
        sessions().accounts.set_profile(require_account().id, request.form.get("name", "")[:400])
        return "profile"

    return _answer(act, "profile")


@blueprint.post(f"{ACCOUNT}/password")
@with_form
def change_password() -> Response:
    """A new password, which signs out everywhere but here."""
    account, address = require_account(), visitors.address()
    accounts = sessions().accounts
    try:
        login = accounts.get(account.id).get("login", "")
        limit().check(login, address)
        with limit().hashing():
            try:
                accounts.verify(login, request.form.get("old", ""))
            except WrongPassword:
                limit().failed(login, address)
                raise WrongPassword("That is not your password now.", "Type the one that you signed in with.") from None
            body = accounts.set_password(account.id, request.form.get("new", ""))
    except UserError as error:
        return _account_page(error.status, error, part="password")
    return enter(body, f"{ACCOUNT}?done=password#password")


@blueprint.post(f"{ACCOUNT}/sign-out-everywhere")
@with_form
def sign_out_everywhere() -> Any:
    sessions().accounts.end_sessions(require_account().id)
    response = cast(Response, redirect("/", 303))
    sessions().end(response)
    return response


@blueprint.post(f"{ACCOUNT}/tokens")
@with_form
def make_token() -> Response:
    """A new token, shown this once."""
    account = require_account()
    try:
        token, body = sessions().tokens.make(
            account.id, request.form.get("name", "")[:400], request.form.getlist("scope")
        )
    except UserError as error:
        return _account_page(error.status, error, part="tokens")
    return _account_page(new_token=token, new_token_name=body["name"])


@blueprint.post(f"{ACCOUNT}/tokens/<id>/revoke")
@with_form
def revoke_token(id: str) -> Response:
    def act() -> str:
        sessions().tokens.revoke(require_account().id, id)
        return "revoked"

    return _answer(act, "tokens")


@blueprint.post(f"{ACCOUNT}/operate")
@with_form
def become_admin() -> Response:
    """Whoever shows the operator's token becomes an admin: how the first one is made."""
    account, address = require_account(), visitors.address()

    def act() -> str:
        who = f"operator\n{account.id}"
        limit().check(who, address)
        shown, token = request.form.get("token", "").strip(), read_or_make_key(service().settings, OPERATOR_TOKEN)
        if not hmac.compare_digest(shown.encode("utf-8", "replace"), token.encode()):
            limit().failed(who, address)
            raise BadAccount("That is not the operator's token.", "It is in secrets/operator-token of the data folder.")
        sessions().accounts.set_roles(account.id, {*account.roles, "admin"}, "the operator's token")
        forget_account()
        return "admin"

    return _answer(act, "operate")


def _sign_in_needed(error: SignInNeeded) -> Any:
    """A page leads to where one signs in, and back; a program, and a form that was posted, are told."""
    if request.method in ("GET", "HEAD") and not request.path.startswith(JSON_PREFIXES):
        asked = request.full_path.rstrip("?")
        return redirect(f"{SIGN_IN}?{urlencode({'next': asked})}", 303)
    response = answer_error(error.status, error.code, error.message, error.hint)
    response.headers["WWW-Authenticate"] = 'Bearer realm="zooscope"'
    return response


def register(app: Flask) -> None:
    app.extensions["zooscope_sign_in_limit"] = SignInLimit()
    app.register_error_handler(SignInNeeded, _sign_in_needed)
    app.register_blueprint(blueprint)
