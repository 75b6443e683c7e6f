"""The scheduler's HTTP API as a worker sees it: one method per message of `scheduler.contract`, with typed errors.

Threads may share a client: its connections are in urllib3's pool, which is thread-safe. Every message but `reserve` may
be sent twice without harm, and is when a kept-alive connection turns out to be closed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from urllib3 import BaseHTTPResponse, Timeout
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, ProtocolError, ProxyError, SSLError

from scheduler import contract
from worker.connections import Connections
from zoo.errors import Unavailable, ZooscopeError

CONNECT_SECONDS = 3.0
ANSWER_SECONDS = 15.0
TRANSFER_SECONDS = 60.0  # between two bytes of an upload or download, and for the answer to an upload
CHUNK_BYTES = 2**20
# Nothing was answered, perhaps because the connection that was kept had been closed meanwhile.
UNANSWERED = (ProtocolError, NewConnectionError, ConnectTimeoutError, ProxyError, SSLError)


class StaleLease(ZooscopeError):
    """Another attempt owns the job now: forget it."""

    code = "stale-lease"
    status = 409


class JobOver(ZooscopeError):
    """The job was cancelled or is finished: stop and forget it."""

    code = "job-over"
    status = 410


class BadToken(ZooscopeError):
    """The scheduler does not know this worker's token."""

    code = "bad-token"
    status = 401


class Draining(ZooscopeError):
    """The worker waited for a job in vain because it is being drained."""

    code = "draining"


class ServiceAway(Unavailable):
    """The scheduler cannot be reached, or answers that it cannot work now.

    `answered` is true when it answered with a status that says it failed (500), not that it is away (502-504).
    """

    code = "scheduler-away"

    def __init__(self, message: str, hint: str = "", answered: bool = False) -> None:
        super().__init__(message, hint)
        self.answered = answered


class Refused(ZooscopeError):
    """The scheduler refused a message; code, status, message and hint are its own."""

    def __init__(self, code: str, status: int, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.code = code
        self.status = status


@dataclass(frozen=True)
class LeaseTime:
    """What start and extend answer: the lease's end (epoch seconds of the scheduler) and its length from now."""

    until: float
    seconds: float


class SchedulerClient:
    """Talks to the scheduler at `server` (`http://host:port`) with the worker's token."""

    def __init__(self, server: str, token: str) -> None:
        self.server = server.rstrip("/")
        self._connections = Connections(self.server)
        self._headers = {"Authorization": f"Bearer {token}"}

    def close(self) -> None:
        self._connections.close()

    def reserve(self, request: contract.ReserveRequest) -> contract.Claim | None:
        """Wait for a job, up to the request's `timeout_seconds`; None when there was none. Raises `Draining`."""
        timeout = request.timeout_seconds + ANSWER_SECONDS
        path = contract.path(contract.RESERVE)
        # A reserve that was answered to nobody has claimed a job, so it is never repeated blindly.
        with self._answer("POST", path, repeat=False, timeout=timeout, message=request.to_json()) as response:
            if contract.DRAINING_HEADER in response.headers:
                raise Draining(response.headers[contract.DRAINING_HEADER])
            return None if response.status == 204 else contract.Claim.from_json(response.json())

    def alive(self, about: contract.Alive) -> bool:
        """Show the worker; answers whether it is being drained."""
        path = contract.path(contract.ALIVE)
        with self._answer("POST", path, repeat=True, timeout=ANSWER_SECONDS, message=about.to_json()) as response:
            return bool(response.json()["draining"])

    def start(self, uuid: str, lease: str) -> LeaseTime:
        return _lease_time(self._post(contract.START, uuid, {"lease": lease}))

    def extend(self, uuid: str, lease: str) -> LeaseTime:
        return _lease_time(self._post(contract.EXTEND, uuid, {"lease": lease}))

    def progress(self, uuid: str, lease: str, progress: contract.Progress) -> None:
        self._post(contract.PROGRESS, uuid, {"lease": lease, "progress": progress.to_json()})

    def log(self, uuid: str, lease: str, sequence: int, text: str) -> None:
        self._post(contract.LOG, uuid, {"lease": lease, "sequence": sequence, "text": text})

    def put_file(self, uuid: str, lease: str, name: str, file: Path, sha256: str) -> None:
        """Upload one file of a result; the scheduler checks it against `sha256`."""
        path = contract.path(contract.FILE, uuid=uuid, name=name) + f"?lease={lease}&sha256={sha256}"
        with file.open("rb") as stream, self._answer("PUT", path, repeat=False, timeout=TRANSFER_SECONDS, file=stream):
            pass

    def result(self, uuid: str, lease: str, files: list[dict[str, Any]], summary: Any, timings: Any) -> None:
        self._post(contract.RESULT, uuid, {"lease": lease, "files": files, "summary": summary, "timings": timings})

    def fail(self, uuid: str, lease: str, code: str, message: str, hint: str = "", retry: bool = True) -> None:
        body = {"lease": lease, "code": code, "message": message, "hint": hint, "retry": retry}
        self._post(contract.FAIL, uuid, body)

    def release(self, uuid: str, lease: str) -> None:
        self._post(contract.RELEASE, uuid, {"lease": lease})

    @contextmanager
    def blob(self, sha256: str) -> Iterator[Iterator[bytes]]:
        """The bytes of a job's input or package, in chunks, not yet verified."""
        path = contract.path(contract.BLOB, sha256=sha256)
        with self._answer("GET", path, repeat=True, timeout=TRANSFER_SECONDS, whole=False) as response:
            yield response.stream(CHUNK_BYTES)

    def _post(self, template: str, uuid: str, body: Mapping[str, Any]) -> dict[str, Any]:
        path = contract.path(template, uuid=uuid)
        with self._answer("POST", path, repeat=True, timeout=ANSWER_SECONDS, message=body) as response:
            return response.json() if response.data else {}

    @contextmanager
    def _answer(
        self,
        method: str,
        path: str,
        *,
        repeat: bool,
        timeout: float,
        message: Mapping[str, Any] | None = None,
        file: BinaryIO | None = None,
        whole: bool = True,
    ) -> Iterator[BaseHTTPResponse]:
        """The answer to a request with a message or a file, or with neither; `whole`: with all its bytes."""
        times = Timeout(connect=CONNECT_SECONDS, read=timeout)
        try:
            body, headers = _body(message, file)
            headers |= self._headers
            try:
                response = self._connections.ask(method, path, body, headers, times, whole)
            except UNANSWERED:
                if not repeat:
                    raise
                response = self._connections.ask(method, path, body, headers, times, whole)
            with closing(response):
                _raise_for(response)
                yield response
        except (HTTPError, ValueError) as error:
            raise ServiceAway(f"The scheduler at {self.server} does not answer ({type(error).__name__}).") from error


def _body(message: Mapping[str, Any] | None, file: BinaryIO | None) -> tuple[bytes | BinaryIO | None, dict[str, str]]:
    """What is sent, and the headers that say so."""
    if message is not None:
        return json.dumps(message, allow_nan=False).encode(), {"Content-Type": "application/json"}
    if file is not None:
        size = os.fstat(file.fileno()).st_size
        return file, {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
    return None, {}


def _lease_time(body: Mapping[str, Any]) -> LeaseTime:
    return LeaseTime(float(body["lease_until"]), float(body["ert_seconds"]))


def _raise_for(response: BaseHTTPResponse) -> None:
    status = response.status
    if status in (200, 201, 204):
        return
    try:
        error = response.json()["error"]
        code, message, hint = str(error["code"]), str(error["message"]), str(error.get("hint", ""))
    except (ValueError, KeyError, TypeError):
        code, message, hint = "unexpected-answer", f"The scheduler answered with status {status}.", ""
    if status == StaleLease.status:
        raise StaleLease(message, hint)
    if status == JobOver.status:
        raise JobOver(message, hint)
    if status == BadToken.status:
        raise BadToken(message, hint or "Start the worker with the token from the server's secrets folder.")
    if status >= 500 and status != 507:  # 507: the server's disk is full, which waiting does not mend
        raise ServiceAway(message, hint, answered=status not in (502, 503, 504))
    raise Refused(code, status, message, hint)
