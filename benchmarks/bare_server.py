"""The web server and Flask alone: reads a JSON body and answers what a submission was answered, doing nothing.

That answer is `answer.json` in its data folder.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from flask import Flask, jsonify, request

from web.serve import Server
from zoo.settings import read_settings

ANSWER = "answer.json"


class BareServer(Server):
    def load(self) -> Flask:
        app = Flask("bare")
        answer = json.loads((self.settings.data / ANSWER).read_bytes())
        app.json.sort_keys = False  # type: ignore[attr-defined]

        @app.get("/healthz")
        def healthz() -> Any:
            return jsonify({"ok": True})

        @app.post("/jobs")
        def jobs() -> Any:
            request.get_json()
            return jsonify(answer), 201

        app.extensions["zooscope"] = _Parts()
        return app

    def look_after(self, parts: Any) -> None:
        """Nothing goes on but answering."""


class _Parts:
    """What the server's hook looks for."""

    def __init__(self) -> None:
        self.scheduler = self


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bare_server", description=__doc__)
    parser.add_argument("--fd", type=int, help="number of an inherited listening socket")
    listener = parser.parse_args().fd
    sys.argv = sys.argv[:1]
    BareServer(read_settings(), listener).run()
