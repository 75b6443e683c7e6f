"""The workers' HTTP API itself: the token, the shape of errors, and messages nobody should send."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest
from scheduler_parts import Parts, Worker

from scheduler import contract
from scheduler.api import _hung_up
from scheduler.claims import Claims
from scheduler.jobs import handle_of
from scheduler.messages import BODY_BYTES
from zoo.settings import BadSetting, Settings

NewWorker = Callable[[str], Worker]

ROUTES = [
    ("POST", contract.path(contract.RESERVE)),
    *(
        ("POST", contract.path(template, uuid="0" * 32))
        for template in (
            contract.START,
            contract.EXTEND,
            contract.PROGRESS,
            contract.LOG,
            contract.RESULT,
            contract.FAIL,
            contract.RELEASE,
        )
    ),
    ("PUT", contract.path(contract.FILE, uuid="0" * 32, name="overlay.png")),
    ("GET", contract.path(contract.BLOB, sha256="0" * 64)),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_every_route_wants_the_workers_token(worker: Worker, method: str, path: str) -> None:
    for shown in (None, "", "Bearer ", f"Bearer {worker.token}x", f"Basic {worker.token}", "Bearer \u00e9"):
        headers = {} if shown is None else {"Authorization": shown}
        answer = worker.client.open(path, method=method, headers=headers)
        assert answer.status_code == 401
        error = answer.json["error"]
        assert error["code"] == "bad-token"
        assert error["message"].endswith(".")
        assert worker.token not in answer.text


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"null", b"\xff", b'{"lease": 5}', b'{"lease": NaN}', b"{}", b"[" * 100_000],
    ids=["empty", "cut", "list", "null", "binary", "number", "nan", "nothing", "deep"],
)
def test_bad_messages_get_400(parts: Parts, worker: Worker, data: bytes) -> None:
    uuid = parts.submit()
    headers = {"Authorization": f"Bearer {worker.token}"}
    for template in (contract.START, contract.PROGRESS, contract.LOG, contract.RESULT, contract.FAIL):
        answer = worker.client.post(contract.path(template, uuid=uuid), data=data, headers=headers)
        assert (answer.status_code, answer.json["error"]["code"]) == (400, "bad-message")


def test_a_message_beyond_the_limit_gets_413(worker: Worker) -> None:
    answer = worker.post(contract.RESERVE, {"worker": "x" * BODY_BYTES})
    assert answer.status_code == 413


@pytest.mark.parametrize("capabilities", [[], ["preview\r\nstats"], ["-x"], ["p"] * 17, "preview", [1]])
def test_capabilities_never_become_commands(worker: Worker, capabilities: object) -> None:
    answer = worker.post(contract.RESERVE, {"worker": "w", "capabilities": capabilities, "timeout_seconds": 0})
    assert answer.status_code == 400


@pytest.mark.parametrize(
    "progress", [{"stage": "dancing"}, {"stage": "drawing", "fraction": "half"}, {"stage": "drawing", "message": 5}, 5]
)
def test_progress_must_make_sense(parts: Parts, worker: Worker, progress: object) -> None:
    parts.submit()
    claim = worker.begin()
    assert worker.say(contract.PROGRESS, claim, progress=progress).status_code == 400


def test_progress_is_kept_within_its_bounds(parts: Parts, worker: Worker) -> None:
    uuid = parts.submit()
    claim = worker.begin()
    worker.say(contract.PROGRESS, claim, progress={"stage": "drawing", "fraction": 7, "message": "x" * 5000})
    progress = parts.job(uuid)["progress"]
    assert (progress["fraction"], len(progress["message"])) == (1.0, 2000)


@pytest.mark.parametrize(
    ("files", "summary"),
    [
        ([], {}),
        ([{"name": "overlay.png", "sha256": "0" * 64}], {}),
        ([{"name": "evil.html", "sha256": "0" * 64}], {}),
        ([{"name": "overlay.png"}, {"name": "overlay.png"}], {}),
        ([{"name": "overlay.png", "sha256": "0" * 64}], {"objects": "x" * 20_000}),
    ],
)
def test_a_result_names_what_was_uploaded(parts: Parts, worker: Worker, files: list, summary: dict) -> None:
    uuid = parts.submit()
    claim = worker.begin()
    assert worker.say(contract.RESULT, claim, files=files, summary=summary).status_code == 422
    assert parts.job(uuid)["state"] == "running"


def test_a_workers_failure_is_shown_within_bounds(parts: Parts, worker: Worker) -> None:
    uuid = parts.submit()
    claim = worker.begin()
    worker.say(contract.FAIL, claim, code="<b>", message="x" * 5000, hint="", retry=False)
    error = parts.job(uuid)["error"]
    assert (error["code"], len(error["message"])) == ("failed", 2000)


def test_a_job_claimed_for_a_worker_that_hangs_up_meanwhile_is_handed_back_at_once(
    parts: Parts, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    uuid = parts.submit(estimate_seconds=30.0)
    ours, theirs = socket.socketpair()
    believe = Claims.believe

    def hang_up(*arguments: Any) -> Any:
        theirs.close()
        return believe(*arguments)

    monkeypatch.setattr(Claims, "believe", hang_up)
    request = contract.ReserveRequest("w1", timeout_seconds=5.0).to_json()
    headers = {"Authorization": f"Bearer {worker.token}"}
    with ours:
        answer = worker.client.post(
            contract.path(contract.RESERVE), json=request, headers=headers, environ_base={"gunicorn.socket": ours}
        )
    assert answer.status_code == 204
    job = parts.job(uuid)
    assert (job["state"], job["attempt"], job["lease"]) == ("queued", 0, None)
    handle = handle_of(job)
    assert handle is not None
    assert parts.scheduler._queue.state(handle, uuid) == "ready"


def test_a_worker_that_hung_up_gets_no_job(parts: Parts) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        gone = _hung_up({"gunicorn.socket": ours})
        assert not gone()
        theirs.sendall(b"GET")
        assert not gone()
        theirs.close()
        ours.recv(3)
        assert gone()
    parts.submit()
    request = contract.ReserveRequest("w1", timeout_seconds=0.0)
    assert parts.scheduler.reserve(request, gone=lambda: True) is None
    assert parts.scheduler.reserve(request) is not None


def test_the_address_of_beanstalkd_is_checked(parts: Parts) -> None:
    parts.settings = Settings(data=parts.settings.data, beanstalkd="localhost")
    with pytest.raises(BadSetting, match="ZOOSCOPE_BEANSTALKD"):
        parts.restart()
