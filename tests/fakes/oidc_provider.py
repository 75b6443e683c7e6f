"""An OpenID provider on a real socket, for tests: discovery, authorize, token, JWKS, RS256, userinfo.

It refuses what a real one refuses: an unknown client or redirect address (shown, not redirected to), a request without
PKCE, a wrong verifier, a wrong secret, a code that was used or has expired. `tamper` makes it a bad one.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import KeySet, OctKey, RSAKey

CODE_SECONDS = 60


@dataclass
class Grant:
    """A code that was given out."""

    person: str
    client_id: str
    redirect_uri: str
    nonce: str
    challenge: str
    at: float
    used: bool = False


@dataclass
class OidcProvider:
    """`people`: claims by login. `redirect_uris` are compared letter by letter."""

    client_id: str = "zooscope"
    client_secret: str = "the client's secret"
    redirect_uris: list[str] = field(default_factory=list)
    people: dict[str, dict[str, Any]] = field(default_factory=dict)
    auth_methods: list[str] = field(default_factory=lambda: ["client_secret_basic", "client_secret_post"])
    claims_in_token: bool = True
    tamper: Callable[[dict[str, Any]], dict[str, Any]] = dict
    tamper_metadata: Callable[[dict[str, Any]], dict[str, Any]] = dict
    sign_as: str = "RS256"
    answer_as: str = ""
    down: bool = False
    asked: list[str] = field(default_factory=list)
    clock: Callable[[], float] = time.time

    def __post_init__(self) -> None:
        self._grants: dict[str, Grant] = {}
        self._access: dict[str, tuple[str, str]] = {}
        self._waiting: dict[str, dict[str, str]] = {}
        self.rotate_keys()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.issuer = f"http://127.0.0.1:{self.server.server_port}"
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self._thread.start()

    def stop(self) -> None:
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()

    def rotate_keys(self) -> None:
        self._key = RSAKey.generate_key(2048, {"kid": secrets.token_hex(4), "use": "sig", "alg": "RS256"})

    def metadata(self) -> dict[str, Any]:
        return self.tamper_metadata(
            {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/jwks",
                "userinfo_endpoint": f"{self.issuer}/userinfo",
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
                "token_endpoint_auth_methods_supported": self.auth_methods,
                "code_challenge_methods_supported": ["S256"],
                "authorization_response_iss_parameter_supported": True,
            }
        )

    def jwks(self) -> dict[str, Any]:
        return dict(KeySet([self._key]).as_dict(private=False))

    def authorize(self, asked: dict[str, str]) -> tuple[int, str, str]:
        """Status, where to, and the page. A client that is not known is told on the page, and led nowhere."""
        if asked.get("client_id") != self.client_id:
            return 400, "", "invalid_client"
        if asked.get("redirect_uri") not in self.redirect_uris:
            return 400, "", "redirect_uri_mismatch"
        wrong = ""
        if asked.get("response_type") != "code":
            wrong = "unsupported_response_type"
        elif "openid" not in asked.get("scope", "").split():
            wrong = "invalid_scope"
        elif asked.get("code_challenge_method") != "S256" or len(asked.get("code_challenge", "")) != 43:
            wrong = "invalid_request"
        if wrong:
            return 302, self._back(asked, {"error": wrong}), ""
        waiting = secrets.token_urlsafe(16)
        self._waiting[waiting] = asked
        people = "".join(
            f'<button name="login" value="{html.escape(login)}">{html.escape(login)}</button>' for login in self.people
        )
        form = f'<form method="post" action="/decide"><input type="hidden" name="request" value="{waiting}">{people}'
        head = "<!doctype html><link rel=icon href=data:,><title>Provider</title>"
        return 200, "", f'{head}{form}<button name="login" value="">Deny</button></form>'

    def decide(self, form: dict[str, str]) -> tuple[int, str, str]:
        """What the person did on the provider's page."""
        asked = self._waiting.pop(form.get("request", ""), None)
        if asked is None:
            return 400, "", "no such request"
        login = form.get("login", "")
        if login not in self.people:
            return 302, self._back(asked, {"error": "access_denied"}), ""
        code = secrets.token_urlsafe(24)
        self._grants[code] = Grant(
            login, asked["client_id"], asked["redirect_uri"], asked.get("nonce", ""), asked["code_challenge"],
            self.clock(),
        )  # fmt: skip
        return 302, self._back(asked, {"code": code}), ""

    def _back(self, asked: dict[str, str], answer: dict[str, str]) -> str:
        more = {"state": asked["state"]} if "state" in asked else {}
        return f"{asked['redirect_uri']}?{urlencode(answer | more | {'iss': self.answer_as or self.issuer})}"

    def token(self, form: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        id, secret = form.get("client_id", ""), form.get("client_secret", "")
        method = "client_secret_post"
        if authorization.startswith("Basic "):
            method = "client_secret_basic"
            shown = base64.b64decode(authorization.removeprefix("Basic ")).decode()
            id, _, secret = (unquote(part) if part != ":" else part for part in shown.partition(":"))
        if method not in self.auth_methods or id != self.client_id or secret != self.client_secret:
            return 401, {"error": "invalid_client"}
        if form.get("grant_type") != "authorization_code":
            return 400, {"error": "unsupported_grant_type"}
        grant = self._grants.get(form.get("code", ""))
        if grant is None or self.clock() - grant.at > CODE_SECONDS:
            return 400, {"error": "invalid_grant", "error_description": "no such code"}
        if grant.used:
            # RFC 6749, 4.1.2: what was given for it before is taken back.
            self._access = {key: value for key, value in self._access.items() if value[1] != form["code"]}
            return 400, {"error": "invalid_grant", "error_description": "code was used"}
        grant.used = True
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if form.get("redirect_uri") != grant.redirect_uri or challenge.rstrip(b"=").decode() != grant.challenge:
            return 400, {"error": "invalid_grant"}
        access = secrets.token_urlsafe(24)
        self._access[access] = (grant.person, form["code"])
        return 200, {
            "access_token": access, "token_type": "Bearer", "expires_in": 3600,
            "id_token": self._id_token(grant, access),
        }  # fmt: skip

    def _id_token(self, grant: Grant, access: str) -> str:
        now, half = int(self.clock()), hashlib.sha256(access.encode()).digest()[:16]
        person = self.people[grant.person]
        claims = {
            "iss": self.issuer, "aud": self.client_id, "exp": now + 600, "iat": now, "nonce": grant.nonce,
            "at_hash": base64.urlsafe_b64encode(half).rstrip(b"=").decode(),
        } | (person if self.claims_in_token else {"sub": person["sub"]})  # fmt: skip
        claims = self.tamper(claims)
        if self.sign_as == "none":
            head, body = (json.dumps(part).encode() for part in ({"alg": "none"}, claims))
            return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (head, body)) + "."
        if self.sign_as == "HS256":
            secret = OctKey.import_key(self.client_secret.encode().ljust(32))
            return str(jwt.encode({"alg": "HS256"}, claims, secret, algorithms=["HS256"]))
        key = self._key if self.sign_as == "RS256" else RSAKey.generate_key(2048)
        return str(jwt.encode({"alg": "RS256", "kid": str(self._key.kid)}, claims, key, algorithms=["RS256"]))

    def userinfo(self, authorization: str) -> tuple[int, dict[str, Any]]:
        found = self._access.get(authorization.removeprefix("Bearer "))
        return (401, {"error": "invalid_token"}) if found is None else (200, self.people[found[0]])


def _handler(provider: OidcProvider) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            provider.asked.append(parts.path)
            asked = {name: values[-1] for name, values in parse_qs(parts.query).items()}
            if provider.down:
                self._send(503, {"error": "down"})
            elif parts.path == "/.well-known/openid-configuration":
                self._send(200, provider.metadata())
            elif parts.path == "/jwks":
                self._send(200, provider.jwks())
            elif parts.path == "/authorize":
                self._page(*provider.authorize(asked))
            elif parts.path == "/userinfo":
                self._send(*provider.userinfo(self.headers.get("Authorization", "")))
            else:
                self._send(404, {"error": "not_found"})

        def do_POST(self) -> None:
            provider.asked.append(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
            form = {name: values[-1] for name, values in parse_qs(body).items()}
            if provider.down:
                self._send(503, {"error": "down"})
            elif self.path == "/token":
                self._send(*provider.token(form, self.headers.get("Authorization", "")))
            elif self.path == "/decide":
                self._page(*provider.decide(form))
            else:
                self._send(404, {"error": "not_found"})

        def _send(self, status: int, answer: dict[str, Any]) -> None:
            self._write(status, "application/json", json.dumps(answer))

        def _page(self, status: int, location: str, text: str) -> None:
            self._write(status, "text/html", text, location)

        def _write(self, status: int, kind: str, text: str, location: str = "") -> None:
            data = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            if location:
                self.send_header("Location", location)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    return Handler
