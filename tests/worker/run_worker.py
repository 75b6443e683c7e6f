"""A worker: `python run_worker.py SETTINGS NAME SERVER TOKEN ENGINE`; SETTINGS is a JSON object."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from worker.supervisor import Supervisor
from zoo import log_lines
from zoo.settings import Settings

if __name__ == "__main__":
    text, name, server, token, engine = sys.argv[1:]
    given = json.loads(text)
    given["data"] = Path(given["data"])
    settings = Settings(**given)
    log_lines.begin(name, settings.log_format)
    Supervisor(settings, name, server, token, engine=engine).run()
    assert "tensorflow" not in sys.modules
