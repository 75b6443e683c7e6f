"""Who made what, without accounts: a random visitor id in a signed cookie, and a hash of the network address.

Cookies can be thrown away; the address limits those who do. Only its keyed hash is kept, and only until a job is over.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress

from flask import Flask, Response, g, request
from itsdangerous import BadData, URLSafeSerializer

from zoo.identifiers import is_uuid, new_uuid
from zoo.settings import Settings

COOKIE = "zooscope_visitor"
COOKIE_SECONDS = 2 * 365 * 24 * 3600


def visitor() -> str:
    """The id of the visitor behind this request; a newcomer gets one, and the cookie with the answer."""
    if "visitor" not in g:
        known = known_visitor()
        g.new_visitor = known is None
        g.visitor = known or new_uuid()
    found: str = g.visitor
    return found


def known_visitor() -> str | None:
    """The visitor id of a valid cookie, or None."""
    if "visitor" in g:
        return str(g.visitor)
    try:
        found = g.visitor_cookies.loads(request.cookies.get(COOKIE, ""))
    except BadData:
        return None
    return found if isinstance(found, str) and is_uuid(found) else None


def address() -> str:
    """A keyed hash of where this request comes from: an IPv4 address, or the /64 network of an IPv6 one.

    Empty for the machine itself, whose user nobody limits. Behind a proxy it is right only with
    ZOOSCOPE_TRUSTED_PROXIES.
    """
    try:
        found = ipaddress.ip_address((request.remote_addr or "").partition("%")[0])
    except ValueError:
        return ""
    if isinstance(found, ipaddress.IPv6Address):
        found = found.ipv4_mapped or found
    if found.is_loopback:
        return ""
    network = ipaddress.ip_network((found, 64 if found.version == 6 else 32), strict=False)
    return hmac.new(g.address_key, str(network).encode(), hashlib.sha256).hexdigest()[:32]


def register(app: Flask, settings: Settings, key: str | bytes) -> None:
    cookies = URLSafeSerializer(key, salt="zooscope-visitor")
    address_key = hashlib.sha256(b"zooscope-address" + (key.encode() if isinstance(key, str) else key)).digest()

    @app.before_request
    def open_cookies() -> None:
        g.visitor_cookies, g.address_key = cookies, address_key

    @app.after_request
    def set_cookie(response: Response) -> Response:
        if g.get("new_visitor"):
            response.set_cookie(
                COOKIE,
                str(cookies.dumps(g.visitor)),
                max_age=COOKIE_SECONDS,
                httponly=True,
                samesite="Lax",
                secure=settings.secure_cookies,
            )
        return response
