"""A worker that does nothing but speak the protocol, and the parts of a scheduler that tests look into."""

from __future__ import annotations

import hashlib
import io
import socket
from base64 import b64encode
from dataclasses import dataclass, field
from typing import Any

import greenstalk
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from scheduler import contract
from scheduler.broker import Broker, start_beanstalkd
from scheduler.contract import Claim
from scheduler.service import JobRequest, Scheduler
from zoo.blobs import DiskBlobs
from zoo.documents_sqlite import SqliteDocuments
from zoo.settings import Settings

SHORT = {
    "ert_floor_seconds": 1.0,
    "ert_slack": 1.0,
    "claim_seconds": 1.0,
    "reserve_seconds": 5.0,
    "free_disk_bytes": 0,
    "attempts": 2,
}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@dataclass
class Brokers:
    """beanstalkd as a thing that is killed and started again, always on the same port."""

    settings: Settings
    running: Broker | None = None

    @property
    def port(self) -> int:
        return int(self.settings.beanstalkd.rpartition(":")[2])

    def start(self, binlog: bool = True) -> Broker:
        self.running = start_beanstalkd(self.settings, self.port, binlog)
        return self.running

    def kill(self) -> None:
        if self.running is not None:
            self.running.kill()
            self.running = None

    def client(self) -> greenstalk.Client:
        return greenstalk.Client(("127.0.0.1", self.port), encoding=None)


@dataclass
class Parts:
    settings: Settings
    documents: SqliteDocuments
    blobs: DiskBlobs
    scheduler: Scheduler
    input_sha256: str = ""
    package_sha256: str = ""

    def restart(self) -> None:
        """The scheduler ends and another one starts on the same data."""
        self.scheduler.close()
        self.scheduler = Scheduler(self.documents, self.blobs, self.settings)

    def request(self, owner: str = "ada", **changes: Any) -> JobRequest:
        values: dict[str, Any] = {
            "kind": "preview",
            "owner": owner,
            "model": {
                "id": "nuclei",
                "version": "1.0.0",
                "name": "Nuclei",
                "package_sha256": self.package_sha256,
                "head_kind": "watershed-instances",
            },
            "settings": {"threshold": 0.5},
            "input_sha256": self.input_sha256,
            "source": {
                "image_id": "i",
                "image_name": "cells.tif",
                "image_sha256": self.input_sha256,
                "roi": [0, 0, 8, 8],
            },
            "estimate_seconds": 0.1,
            "load_seconds": 0.1,
        }
        return JobRequest(**(values | changes))

    def submit(self, owner: str = "ada", **changes: Any) -> str:
        return str(self.scheduler.submit(self.request(owner, **changes))["uuid"])

    def job(self, uuid: str) -> dict[str, Any]:
        return self.scheduler.job(uuid)


@dataclass
class Worker:
    """A worker's side of the contract, over HTTP."""

    client: FlaskClient
    token: str
    name: str = "w1"
    claims: list[Claim] = field(default_factory=list)

    def post(self, template: str, body: Any, **names: str) -> TestResponse:
        headers = {"Authorization": f"Bearer {self.token}"}
        return self.client.post(contract.path(template, **names), json=body, headers=headers)

    def reserve(self, seconds: float = 0.0, **changes: Any) -> Claim | None:
        request = {"worker": self.name, "capabilities": ["preview"], "timeout_seconds": seconds, "device": "cpu"}
        answer = self.post(contract.RESERVE, request | changes)
        if answer.status_code == 204:
            return None
        assert answer.status_code == 200, answer.text
        return Claim.from_json(answer.json)

    def claim(self, seconds: float = 4.0) -> Claim:
        claim = self.reserve(seconds)
        assert claim is not None, "there was no job to reserve"
        return claim

    def say(self, template: str, claim: Claim, **body: Any) -> TestResponse:
        return self.post(template, {"lease": claim.lease} | body, uuid=claim.uuid)

    def begin(self, seconds: float = 4.0) -> Claim:
        claim = self.claim(seconds)
        assert self.say(contract.START, claim).status_code == 200
        return claim

    def upload(self, claim: Claim, name: str, data: bytes, sha256: str | None = None) -> TestResponse:
        digest = sha256 or hashlib.sha256(data).hexdigest()
        return self.client.put(
            contract.path(contract.FILE, uuid=claim.uuid, name=name),
            query_string={"lease": claim.lease, "sha256": digest},
            headers={"Authorization": f"Bearer {self.token}"},
            input_stream=io.BytesIO(data),
            content_length=len(data),
        )

    def result(self, claim: Claim, files: dict[str, bytes]) -> TestResponse:
        named = [
            {"name": name, "sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
            for name, data in files.items()
        ]
        return self.say(contract.RESULT, claim, files=named, summary={"objects": 3}, timings={"inferring": 0.5})

    def finish(self, claim: Claim, data: bytes = b"an overlay") -> TestResponse:
        assert self.upload(claim, "overlay.png", data).status_code == 200
        return self.result(claim, {"overlay.png": data})

    def finish_along(self, claim: Claim, files: dict[str, bytes], **changes: Any) -> TestResponse:
        """A result with its files in it; `changes` to what is said of each."""
        named = [
            {"name": name, "sha256": hashlib.sha256(data).hexdigest(), "data": b64encode(data).decode()} | changes
            for name, data in files.items()
        ]
        return self.say(contract.RESULT, claim, files=named, summary={}, timings={})

    def finish_refused(self, claim: Claim) -> TestResponse:
        """A result of which no file was uploaded: refused for its lease before its files are looked at."""
        return self.result(claim, {"overlay.png": b"never uploaded"})
