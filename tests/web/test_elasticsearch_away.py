"""Elasticsearch stopped under the service: searches say so soon, and a job that a worker is at goes on afterwards."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from web_helpers import WorkerHand, error_of, submit

from web.app import create_app
from zoo.documents_elasticsearch import ANSWER_SECONDS
from zoo.identifiers import new_uuid
from zoo.secrets import worker_token
from zoo.settings import Settings

pytestmark = pytest.mark.slow


def group_of(url: str) -> int:
    """The processes of the server that listens there, a launcher and Java, when it is one of this machine."""
    port = url.rpartition(":")[2].strip("/")
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if f"http.port={port}".encode() in command:
            return os.getpgid(int(folder.name))
    return pytest.skip("The Elasticsearch in use is no process of this machine, and is not stopped.")


@pytest.fixture
def app(settings: Settings, packages: Path, elasticsearch_url: str) -> Iterator[Flask]:
    app = create_app(settings.replace(elasticsearch=elasticsearch_url, elasticsearch_prefix=f"test-{new_uuid()}"))
    parts = app.extensions["zooscope"]
    parts.catalogue.fill_seeds(packages)
    yield app
    documents = parts.documents
    client, prefix = documents.client.options(), documents.prefix
    for index in client.indices.get(index=f"{prefix}-*").body:
        client.indices.delete(index=index)
    client.indices.delete_index_template(name=prefix)
    parts.close()


def test_searches_say_it_and_a_running_job_is_untouched(app: Flask, settings: Settings, elasticsearch_url: str) -> None:
    client, worker = app.test_client(), WorkerHand(app.test_client(), worker_token(settings))
    found = client.get("/api/v1/models?q=cels&about.task=instances").get_json()
    assert ([model["id"] for model in found["items"]], found["facets"]["about.task"]) == (["cells"], {"instances": 1})
    job = submit(client)
    claim = worker.start()
    server = group_of(elasticsearch_url)
    os.killpg(server, signal.SIGSTOP)
    try:
        asked = time.monotonic()
        answer = client.get("/api/v1/models?q=cells")
        assert error_of(answer) == (503, "documents-unavailable")
        assert answer.get_json()["error"]["hint"]
        assert int(answer.headers["Retry-After"]) > 0
        assert time.monotonic() - asked < 2 * ANSWER_SECONDS + 5
        page = client.get("/?q=cells")
        assert page.status_code == 503
        assert re.search("Elasticsearch", page.text)
        # The worker is told to ask again, not that its lease is lost.
        assert worker.progress(claim, "inferring", 0.5).status_code == 503
    finally:
        os.killpg(server, signal.SIGCONT)
    assert worker.progress(claim, "inferring", 0.6).status_code == 200
    worker.finish(claim)
    done = client.get(f"/api/v1/jobs/{job['uuid']}").get_json()
    assert (done["state"], done["attempt"]) == ("done", 1)
    assert client.get("/api/v1/models?q=cells").get_json()["total"] == 1
