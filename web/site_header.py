"""What the head of every page shows of the visitor: whether somebody is signed in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask, g, request

from web.accounts import Account, current_account
from zoo.errors import ZooscopeError


def account_shown() -> Account | None:
    """Who is signed in; None too where that cannot be told now: an error page must not end in another error."""
    try:
        return current_account()
    except ZooscopeError:
        g.account = None
        return None


def register(app: Flask) -> None:
    @app.context_processor
    def header() -> dict[str, Callable[[], Any]]:
        return {"account_shown": account_shown, "sign_in_next": lambda: request.full_path.rstrip("?")}
