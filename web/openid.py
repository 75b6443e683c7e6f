"""Signing in at an OpenID provider: authorization code with PKCE, state and nonce, and an ID token that is checked.

OpenID Connect Core 1.0 section 3.1, Discovery 1.0, RFC 7636 (PKCE) and RFC 9207 (who answered). Authlib speaks the
protocol; what it leaves open is decided here: which algorithms, which endpoints, how long we wait, whom we believe.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from authlib.common.errors import AuthlibBaseError
from authlib.common.security import generate_token
from authlib.integrations.requests_client import OAuth2Session
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from zoo.accounts import is_orcid
from zoo.errors import Unavailable, UserError
from zoo.settings import BadSetting, Settings

ISSUERS = {"orcid": "https://orcid.org", "orcid-sandbox": "https://sandbox.orcid.org"}
# Only signatures that the provider alone can make: no "none", and none by the secret that we share.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
ANSWER_SECONDS = 10.0
KNOWN_SECONDS = 3600.0
LEEWAY_SECONDS = 120
LONGEST_CLAIM = 200


class ProviderUnavailable(Unavailable):
    code = "provider-unavailable"


class SignInRefused(UserError):
    code = "sign-in-refused"
    status = 403


@dataclass(frozen=True)
class Started:
    """What is remembered in the browser between leaving for the provider and coming back."""

    url: str
    state: str
    nonce: str
    verifier: str


@dataclass(frozen=True)
class Person:
    """Whom the provider vouches for; `orcid` and `email` are empty unless it does for those too."""

    issuer: str
    subject: str
    name: str
    orcid: str
    email: str


class OpenIdProvider:
    """The provider of the settings. Thread-safe; first asked when it is first needed, and its keys anew every hour."""

    def __init__(self, settings: Settings) -> None:
        self.issuer = ISSUERS.get(settings.oidc_issuer, settings.oidc_issuer)
        self.is_orcid = self.issuer in ISSUERS.values()
        self._client_id, self._secret = settings.oidc_client_id, settings.oidc_client_secret
        self._lock = threading.Lock()
        self._known: dict[str, Any] = {}
        self._known_at = 0.0
        if not _is_safe(self.issuer, self.issuer):
            raise BadSetting("ZOOSCOPE_OIDC_ISSUER is no https address.", "Name orcid, or the issuer's URL.")
        if not self._client_id or not self._secret:
            raise BadSetting("ZOOSCOPE_OIDC_CLIENT_ID and ZOOSCOPE_OIDC_CLIENT_SECRET are both needed.")

    def start(self, redirect_uri: str) -> Started:
        """Where to send the browser; raises ProviderUnavailable."""
        state, nonce, verifier = generate_token(32), generate_token(32), generate_token(64)
        known = self._metadata()
        with self._session(redirect_uri) as session:
            url, _ = session.create_authorization_url(
                known["authorization_endpoint"], state=state, code_verifier=verifier, nonce=nonce
            )
        return Started(url, state, nonce, verifier)

    def finish(self, answer: Mapping[str, str], started: Started, redirect_uri: str) -> Person:
        """Who signed in, by what the provider sent the browser back with; raises SignInRefused, ProviderUnavailable."""
        if answer.get("state") != started.state:
            raise SignInRefused("This sign-in was not begun in this browser.", "Begin again.")
        says_who = self._metadata().get("authorization_response_iss_parameter_supported") is True
        if answer.get("iss", "" if says_who else self.issuer) != self.issuer:
            raise SignInRefused("Another provider answered than was asked.", "Begin again.")
        if answer.get("error") == "access_denied":
            raise SignInRefused("You did not let the provider sign you in here.", "Begin again if you want to.")
        if answer.get("error") or not answer.get("code"):
            told = answer.get("error", "no code")[:LONGEST_CLAIM]
            raise SignInRefused(f"The provider refused to sign you in: {told}.", "Begin again, or tell the operator.")
        try:
            return self._person(answer["code"], started, redirect_uri)
        except (AuthlibBaseError, JoseError) as error:
            # Their own words may hold parts of tokens; the kind says enough.
            told = getattr(error, "error", type(error).__name__)
            raise SignInRefused(f"The provider's answer is not valid: {told}.", "Begin again.") from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise _unavailable() from error

    def _person(self, code: str, started: Started, redirect_uri: str) -> Person:
        known = self._metadata()
        with self._session(redirect_uri, known) as session:
            token = session.fetch_token(
                known["token_endpoint"],
                grant_type="authorization_code",
                code=code,
                code_verifier=started.verifier,
                redirect_uri=redirect_uri,
                allow_redirects=False,
                timeout=ANSWER_SECONDS,
            )
            claims = self._claims(token, started.nonce)
            told = dict(claims)
            if not _name(told) and known.get("userinfo_endpoint"):
                answer = session.get(known["userinfo_endpoint"], allow_redirects=False)
                answer.raise_for_status()
                found = answer.json()
                # Core 5.3.2: it may be about somebody else, unless it says that it is not.
                if found.get("sub") == claims["sub"]:
                    told = found | told
        return self._told(told)

    def _claims(self, token: Mapping[str, Any], nonce: str) -> CodeIDToken:
        """The claims of the ID token, once it is known to be the provider's, for us, for this sign-in, and of now."""
        try:
            decoded = self._decoded(token["id_token"], self._keys())
        except InvalidKeyIdError:
            self._forget()
            decoded = self._decoded(token["id_token"], self._keys())
        options = {"iss": {"essential": True, "value": self.issuer}, "nonce": {"essential": True, "value": nonce}}
        claims = CodeIDToken(
            decoded.claims,
            decoded.header,
            options,
            {"nonce": nonce, "client_id": self._client_id, "access_token": token["access_token"]},
        )
        claims.validate(leeway=LEEWAY_SECONDS)
        audience = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
        if self._client_id not in audience or not isinstance(claims["sub"], str) or not claims["sub"]:
            raise SignInRefused("The provider's answer is meant for another service.", "Begin again.")
        return claims

    def _decoded(self, id_token: str, keys: KeySet) -> jwt.Token:
        told = self._metadata().get("id_token_signing_alg_values_supported") or ["RS256"]
        allowed = [name for name in ALGORITHMS if name in told]
        return jwt.decode(id_token, keys, registry=JWSRegistry(algorithms=allowed, strict_check_header=False))

    def _told(self, told: Mapping[str, Any]) -> Person:
        subject = str(told["sub"])
        orcid = subject if self.is_orcid else _text(told, "orcid").removeprefix("https://orcid.org/")
        email = _text(told, "email") if told.get("email_verified") is True else ""
        return Person(self.issuer, subject, _name(told), orcid if is_orcid(orcid) else "", email)

    def _session(self, redirect_uri: str | None = None, known: Mapping[str, Any] | None = None) -> OAuth2Session:
        methods = (known or {}).get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        method = "client_secret_basic" if "client_secret_basic" in methods else "client_secret_post"
        return OAuth2Session(
            self._client_id,
            self._secret,
            token_endpoint_auth_method=method,
            scope="openid" if self.is_orcid else "openid profile email",
            redirect_uri=redirect_uri,
            code_challenge_method="S256",
            default_timeout=ANSWER_SECONDS,
        )

    def _metadata(self) -> dict[str, Any]:
        """What the provider says of itself, and its keys; raises ProviderUnavailable."""
        with self._lock:
            if self._known and time.monotonic() - self._known_at < KNOWN_SECONDS:
                return self._known
            try:
                with self._session() as session:
                    known = _json(session, f"{self.issuer.rstrip('/')}/.well-known/openid-configuration")
                    if known["issuer"] != self.issuer:
                        raise ValueError("it calls itself by another name")
                    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"):
                        if not (name == "userinfo_endpoint" and name not in known) and not self._is_ours(known[name]):
                            raise ValueError(f"its {name} is not safe")
                    self._known = known | {"keys": _json(session, known["jwks_uri"])}
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise _unavailable() from error
            self._known_at = time.monotonic()
            return self._known

    def _is_ours(self, url: Any) -> bool:
        return isinstance(url, str) and _is_safe(url, self.issuer)

    def _keys(self) -> KeySet:
        return KeySet.import_key_set(self._metadata()["keys"])

    def _forget(self) -> None:
        """The provider has new keys."""
        with self._lock:
            self._known = {}


def _unavailable() -> ProviderUnavailable:
    return ProviderUnavailable("The provider you sign in at does not answer.", "Try again in a minute.")


def _json(session: OAuth2Session, url: str) -> dict[str, Any]:
    answer = session.get(url, withhold_token=True, allow_redirects=False)
    answer.raise_for_status()
    found = answer.json()
    if not isinstance(found, dict):
        raise TypeError("not a JSON object")
    return found


def _is_safe(url: str, issuer: str) -> bool:
    """https, or a provider on this very machine, as in tests."""
    parts = urlsplit(url)
    if parts.scheme == "https":
        return bool(parts.hostname)
    return parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost") and issuer.startswith("http:")


def _text(told: Mapping[str, Any], name: str) -> str:
    value = told.get(name)
    return value[:LONGEST_CLAIM] if isinstance(value, str) else ""


def _name(told: Mapping[str, Any]) -> str:
    """The name to show: ORCID gives it in two parts."""
    parts = f"{_text(told, 'given_name')} {_text(told, 'family_name')}".strip()
    return (_text(told, "name") or parts or _text(told, "preferred_username"))[:100].strip()
