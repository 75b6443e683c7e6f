"""The one shape of an error: a code for programs, a sentence for people, and what to do next."""

from __future__ import annotations

from typing import Any


class ZooscopeError(Exception):
    """Base of every error meant to be shown. Subclasses stand beside what raises them and set `code` and `status`.

    `status` is the HTTP status; a command line ends with 2 for a status below 500 and with 1 otherwise.
    """

    code = "internal"
    status = 500
    # Said as Retry-After, where waiting helps.
    retry_after_seconds: int | None = None

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def to_json(self) -> dict[str, dict[str, Any]]:
        return {"error": {"code": self.code, "message": self.message, "hint": self.hint}}


class UserError(ZooscopeError):
    """Something the user can put right."""

    code = "bad-request"
    status = 400


class Unavailable(ZooscopeError):
    """A service that is down for now: answered with 503 and Retry-After."""

    code = "unavailable"
    status = 503
    retry_after_seconds = 5
