"""Who made what, without accounts: a random visitor id in a signed cookie."""

from __future__ import annotations

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


def register(app: Flask, settings: Settings, key: str | bytes) -> None:
    cookies = URLSafeSerializer(key, salt="zooscope-visitor")

    @app.before_request
    def open_cookies() -> None:
        g.visitor_cookies = cookies

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
