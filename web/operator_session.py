"""Who may look after the service in the browser: whoever knows the operator's token, for twelve hours.

The session is a cookie signed with the token itself, so that a new token ends every session, and sent to pages of
this site alone. Every form carries a word that belongs to its session, so that no other page can post one.
"""

from __future__ import annotations

import hmac

from flask import Flask, Response, g, request
from itsdangerous import BadData, URLSafeSerializer, URLSafeTimedSerializer

from web.errors import Forbidden
from zoo.identifiers import is_uuid, new_uuid
from zoo.secrets import OPERATOR_TOKEN, read_or_make_key
from zoo.settings import Settings

COOKIE, NOTE_COOKIE = "zooscope_operator", "zooscope_operator_note"
PATH = "/operator"
SESSION_SECONDS = 12 * 3600
NOTE_SECONDS = 60
LONGEST_NOTE = 600


class WrongToken(Forbidden):
    code = "wrong-token"


class BadForm(Forbidden):
    code = "bad-form"


class Sessions:
    """Signs and checks with the operator's token."""

    def __init__(self, settings: Settings) -> None:
        self._token = read_or_make_key(settings, OPERATOR_TOKEN)
        self._secure = settings.secure_cookies
        self._sessions = URLSafeTimedSerializer(self._token, salt="zooscope-operator")
        self._forms = URLSafeSerializer(self._token, salt="zooscope-operator-form")
        self._notes = URLSafeTimedSerializer(self._token, salt="zooscope-operator-note")

    def current(self) -> str | None:
        """The id of the session behind this request; None when nobody is signed in."""
        try:
            found = self._sessions.loads(request.cookies.get(COOKIE, ""), max_age=SESSION_SECONDS)
        except BadData:
            return None
        return found if isinstance(found, str) and is_uuid(found) else None

    def begin(self, token: str, response: Response) -> None:
        """Sign in whoever shows the token; raises WrongToken."""
        if not hmac.compare_digest(token.strip().encode("utf-8", "replace"), self._token.encode()):
            raise WrongToken("That is not the operator's token.", "It is in secrets/operator-token of the data folder.")
        self._set(response, COOKIE, str(self._sessions.dumps(new_uuid())), SESSION_SECONDS)

    def end(self, response: Response) -> None:
        response.delete_cookie(COOKIE, path=PATH)

    def form_word(self, session: str) -> str:
        """What every form of this session carries."""
        return str(self._forms.dumps(session))

    def check_form(self, session: str) -> None:
        """Raise BadForm unless the form posted is one of this session's."""
        shown = request.form.get("form", "").encode("utf-8", "replace")
        if not hmac.compare_digest(shown, self.form_word(session).encode()):
            raise BadForm("This form was made for another session.", "Reload the operator's page and try again.")

    def leave_note(self, response: Response, kind: str, sentence: str) -> None:
        """Say something, once, on the page that comes next."""
        self._set(response, NOTE_COOKIE, str(self._notes.dumps([kind, sentence[:LONGEST_NOTE]])), NOTE_SECONDS)

    def take_note(self) -> tuple[str, str] | None:
        """The kind (done or error) and the sentence that were left; the answer to this request forgets them."""
        try:
            kind, sentence = self._notes.loads(request.cookies.get(NOTE_COOKIE, ""), max_age=NOTE_SECONDS)
        except (BadData, ValueError, TypeError):
            return None
        g.operator_note_taken = True
        return str(kind), str(sentence)

    def forget_note(self, response: Response) -> None:
        if g.get("operator_note_taken"):
            response.delete_cookie(NOTE_COOKIE, path=PATH)

    def _set(self, response: Response, name: str, value: str, seconds: int) -> None:
        response.set_cookie(
            name, value, max_age=seconds, path=PATH, httponly=True, samesite="Strict", secure=self._secure
        )


def register(app: Flask, settings: Settings) -> None:
    app.extensions["zooscope_operator"] = Sessions(settings)
