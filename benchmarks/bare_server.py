"""The web server and Flask alone: reads a JSON body and answers as long a one as a submission gets, doing nothing."""

from __future__ import annotations

import sys
from typing import Any

from flask import Flask, jsonify, request

from web.serve import Server
from zoo.settings import read_settings

# The answer to a submission, as it is sent by POST /answer.
ANSWER: dict[str, Any] = {}


class BareServer(Server):
    def load(self) -> Flask:
        app = Flask("bare")
        app.json.sort_keys = False  # type: ignore[attr-defined]

        @app.get("/healthz")
        def healthz() -> Any:
            return jsonify({"ok": True})

        @app.post("/answer")
        def remember() -> Any:
            ANSWER.update(request.get_json())
            return jsonify({}), 201

        @app.post("/jobs")
        def jobs() -> Any:
            request.get_json()
            return jsonify(ANSWER), 201

        app.extensions["zooscope"] = _Parts()
        return app

    def look_after(self, parts: Any) -> None:
        """Nothing goes on but answering."""


class _Parts:
    """What the server's hook looks for."""

    def __init__(self) -> None:
        self.scheduler = self


if __name__ == "__main__":
    sys.argv = sys.argv[:1]
    BareServer(read_settings()).run()
