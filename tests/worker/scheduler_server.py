"""The scheduler's API alone, served by gunicorn in a process of its own: `python scheduler_server.py SETTINGS PORT`.

SETTINGS is a JSON object. Ends when its stdin closes.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication

from scheduler.api import create_blueprint
from scheduler.service import Scheduler
from zoo.blobs import DiskBlobs
from zoo.documents_sqlite import SqliteDocuments
from zoo.settings import Settings


class Server(BaseApplication):
    def __init__(self, settings: Settings, port: int) -> None:
        self.settings, self.port = settings, port
        super().__init__()

    def load_config(self) -> None:
        values = {
            "bind": f"127.0.0.1:{self.port}",
            "worker_class": "gthread",
            "threads": 16,
            "keepalive": 5,
            "loglevel": "warning",
            "control_socket_disable": True,
        }
        for name, value in values.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        documents, blobs = SqliteDocuments(self.settings.documents_file), DiskBlobs(self.settings.blobs_folder)
        app = Flask(__name__)
        app.register_blueprint(create_blueprint(Scheduler(documents, blobs, self.settings)))
        threading.Thread(target=end_with_the_test, daemon=True).start()
        return app


def end_with_the_test() -> None:
    sys.stdin.read()
    os.killpg(0, 9)


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    given["data"] = Path(given["data"])
    port, sys.argv[1:] = int(sys.argv[2]), []
    Server(Settings(**given), port).run()
