"""What every answer carries and what no request may carry: headers, cross-site refusal, junk, hosts, sizes."""

from __future__ import annotations

import functools
import ipaddress
from urllib.parse import unquote_to_bytes, urlsplit

from flask import Flask, Request, Response, request
from werkzeug.exceptions import RequestURITooLarge

from scheduler import contract
from web.errors import Forbidden
from zoo.errors import UserError
from zoo.settings import KIB, MIB, Settings

QUERY_BYTES = 4 * KIB
JSON_BODY_BYTES = MIB
FORM_PARTS = 16
FORM_FIELD_BYTES = 256 * KIB
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "connect-src 'self'",
        "font-src 'self'",
        "manifest-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
}


# The one page that other sites may show in a frame; its own policy says so.
FRAMED = "zoo_pages.embedded"


class JunkQuery(UserError):
    code = "junk-query"


class CrossSite(Forbidden):
    code = "cross-site"


class UnknownHost(UserError):
    code = "unknown-host"


def is_worker_request(request: Request) -> bool:
    """Requests of workers show a bearer token and no cookie, so nothing can forge them across sites."""
    return request.path.startswith(contract.PREFIX + "/")


def check_query(query: bytes) -> None:
    """Refuse a query that is too long, not UTF-8, or holds control characters."""
    if len(query) > QUERY_BYTES:
        raise RequestURITooLarge
    try:
        text = unquote_to_bytes(query).decode("utf-8")
    except UnicodeDecodeError:
        raise JunkQuery("The query in the address is not valid UTF-8.", "Check the link.") from None
    if any((ord(character) < 32 and character not in "\t\n\r") or ord(character) == 127 for character in text):
        raise JunkQuery("The query in the address holds control characters.", "Check the link.")


def check_same_site(request: Request) -> None:
    """Refuse a change asked for by a page of another site; programs, which send neither header, pass."""
    if request.method in SAFE_METHODS or is_worker_request(request):
        return
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        allowed = site in {"same-origin", "none"}
    else:
        origin = request.headers.get("Origin")
        allowed = origin is None or origin == f"{request.scheme}://{request.host}"
    if not allowed:
        raise CrossSite("Another site asked for this change.", "Open Zooscope itself and try there.")


@functools.lru_cache(maxsize=256)
def _is_loopback(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def check_host(request: Request, settings: Settings) -> None:
    """Answer only to our own names: a service on loopback would else be readable through a rebound DNS name."""
    name = urlsplit(f"//{request.host}").hostname or ""
    if settings.hosts:
        known = name in settings.hosts or _is_loopback(name)
    else:
        known = settings.trusted_proxies > 0 or not _is_loopback(settings.host) or _is_loopback(name)
    if not known:
        raise UnknownHost(
            f"This service does not answer to the name {name[:80]!r}.",
            "The operator adds names with ZOOSCOPE_HOSTS.",
        )


def register(app: Flask, settings: Settings) -> None:
    app.config["MAX_CONTENT_LENGTH"] = JSON_BODY_BYTES
    app.config["MAX_FORM_PARTS"] = FORM_PARTS
    app.config["MAX_FORM_MEMORY_SIZE"] = FORM_FIELD_BYTES

    @app.before_request
    def check_request() -> None:
        if is_worker_request(request):
            request.max_content_length = settings.result_file_bytes
        check_host(request, settings)
        check_query(request.query_string)
        check_same_site(request)

    @app.after_request
    def add_headers(response: Response) -> Response:
        # Not by setdefault, which looks through all of them for each.
        there = {name.lower() for name, _ in response.headers}
        response.headers.extend([(name, value) for name, value in HEADERS.items() if name.lower() not in there])
        if request.endpoint == FRAMED:
            response.headers.pop("X-Frame-Options", None)
        if request.path.startswith("/api/"):
            response.headers.setdefault("Cache-Control", "no-store")
        elif response.mimetype == "text/html":
            response.headers.setdefault("Cache-Control", "private, no-cache")
        return response
