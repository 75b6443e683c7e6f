"""/sign-in/provider and /sign-in/callback: to the OpenID provider and back."""

from __future__ import annotations

from typing import Any, cast

from flask import Blueprint, Flask, Response, current_app, redirect, request
from itsdangerous import BadData, URLSafeTimedSerializer

from web.account_pages import SIGN_IN, door, enter, safe_next
from web.accounts import sessions
from web.errors import NotFound
from web.openid import OpenIdProvider, SignInRefused, Started
from web.service import service
from zoo.errors import ZooscopeError
from zoo.secrets import ACCOUNT_SESSIONS, read_or_make_key
from zoo.settings import Settings

blueprint = Blueprint("openid", __name__, url_prefix=SIGN_IN)

CALLBACK = f"{SIGN_IN}/callback"
# What a sign-in under way has to remember lives in the browser that began it.
COOKIE = "zooscope_sign_in"
AWAY_SECONDS = 15 * 60


class OpenIdSignIn:
    """The provider and the cookies of sign-ins under way."""

    def __init__(self, settings: Settings) -> None:
        self.provider = OpenIdProvider(settings)
        self.cookies = URLSafeTimedSerializer(read_or_make_key(settings, ACCOUNT_SESSIONS), salt="zooscope-openid")


def _sign_in() -> OpenIdSignIn:
    found = current_app.extensions.get("zooscope_openid")
    if found is None:
        raise NotFound("There is no provider to sign in at.", "Sign in with a name and a password.")
    return cast(OpenIdSignIn, found)


def _callback() -> str:
    """The address that is registered at the provider."""
    return (service().settings.public_url or request.url_root).rstrip("/") + CALLBACK


@blueprint.get("/provider")
def leave() -> Any:
    """Send the browser to the provider."""
    there = _sign_in()
    try:
        started = there.provider.start(_callback())
    except ZooscopeError as error:
        return door(error.status, error)
    kept = [started.state, started.nonce, started.verifier, safe_next(request.args.get("next", ""))]
    response = cast(Response, redirect(started.url, 303))
    response.set_cookie(
        COOKIE,
        str(there.cookies.dumps(kept)),
        max_age=AWAY_SECONDS,
        path=SIGN_IN,
        httponly=True,
        samesite="Lax",
        secure=service().settings.secure_cookies,
    )
    return response


@blueprint.get("/callback")
def come_back() -> Any:
    """The provider sends the browser here, with a code or with why there is none."""
    there = _sign_in()
    try:
        state, nonce, verifier, target = _kept(there)
        person = there.provider.finish(
            {name: value[:4000] for name, value in request.args.items()},
            Started("", state, nonce, verifier),
            _callback(),
        )
        body = sessions().accounts.of_provider(
            person.issuer, person.subject, person.name, person.orcid, person.email
        )  # fmt: skip
        if body["disabled"]:
            raise SignInRefused("This account is locked.", "Ask who runs this Zooscope.")
    except ZooscopeError as error:
        response = door(error.status, error)
    else:
        response = enter(body, safe_next(target))
    response.delete_cookie(COOKIE, path=SIGN_IN)
    return response


def _kept(there: OpenIdSignIn) -> tuple[str, str, str, str]:
    try:
        state, nonce, verifier, target = there.cookies.loads(request.cookies.get(COOKIE, ""), max_age=AWAY_SECONDS)
    except (BadData, TypeError, ValueError):
        raise SignInRefused(
            "This sign-in was begun too long ago, or in another browser.", "Begin again; cookies must be allowed."
        ) from None
    return str(state), str(nonce), str(verifier), str(target)


def register(app: Flask, settings: Settings) -> None:
    """Raises BadSetting when the provider's settings are not complete."""
    if settings.oidc_issuer:
        app.extensions["zooscope_openid"] = OpenIdSignIn(settings)
    app.register_blueprint(blueprint)
