"""Tokens of single workers: made once, scoped to a name and kinds, revoked with their open jobs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from scheduler_parts import Parts, Worker
from served_application import served

import zooscope
from scheduler import contract
from scheduler.service_api import create_service_blueprint
from scheduler.worker_tokens import TokenExists, TokenMissing, TokenRevoked, TokenUnknown
from zoo.secrets import SERVICE_TOKEN, read_or_make_key


@pytest.fixture
def named(parts: Parts, worker: Worker) -> Worker:
    """The worker gpu-1 with a token of its own."""
    return Worker(worker.client, parts.scheduler.worker_tokens.make("gpu-1"), "gpu-1")


def test_a_worker_with_its_own_token_does_a_job(parts: Parts, named: Worker) -> None:
    uuid = parts.submit()
    claim = named.begin()
    assert parts.job(uuid)["lease"]["token"] == "gpu-1"
    headers = {"Authorization": f"Bearer {named.token}"}
    for sha256 in (parts.input_sha256, parts.package_sha256):
        with named.client.get(contract.path(contract.BLOB, sha256=sha256), headers=headers) as answer:
            assert answer.data == parts.blobs.read(sha256)
    assert named.finish(claim).status_code == 200
    assert [worker["token"] for worker in parts.scheduler.workers.present()] == ["gpu-1"]


def test_only_a_hash_of_a_token_is_stored(parts: Parts, named: Worker) -> None:
    secret = named.token.removeprefix("zsw_gpu-1_")
    assert len(secret) >= 40
    assert secret not in json.dumps(parts.documents.get("worker_tokens", "gpu-1").body)
    assert named.token.encode() not in parts.settings.documents_file.read_bytes()


@pytest.mark.parametrize("change", [lambda token: token[:-1], lambda token: token + "x", lambda token: token.upper()])
def test_a_guessed_token_is_refused(parts: Parts, named: Worker, change: Callable[[str], str]) -> None:
    forged = Worker(named.client, change(named.token), "gpu-1")
    refused = forged.post(contract.RESERVE, {"worker": "gpu-1"})
    assert (refused.status_code, refused.json["error"]["code"]) == (401, "bad-token")
    for shown in ("zsw_gpu-2_secret", "zsw__", "zsw", "", "zsw_gpu-1_", "x" * 10_000, "zsw_gpu-1_\u20ac"):
        with pytest.raises(TokenUnknown):
            parts.scheduler.worker_tokens.check(shown)


def test_a_token_is_for_one_worker_and_its_cards(named: Worker) -> None:
    for name, status in (("gpu-1", 204), ("gpu-1-gpu0", 204), ("gpu-10", 403), ("other", 403)):
        answer = named.post(contract.RESERVE, {"worker": name, "timeout_seconds": 0})
        assert answer.status_code == status, name
    assert answer.json["error"]["code"] == "out-of-scope"
    assert "--name gpu-1" in answer.json["error"]["hint"]
    alive = {"about": {"worker": "other"}, "phase": "starting"}
    assert named.post(contract.ALIVE, alive).status_code == 403


def test_a_token_is_good_for_its_kinds_alone(parts: Parts, worker: Worker) -> None:
    trainer = Worker(worker.client, parts.scheduler.worker_tokens.make("trainer", ["train"]), "trainer")
    parts.submit()
    refused = trainer.post(contract.RESERVE, {"worker": "trainer", "timeout_seconds": 0})
    assert (refused.status_code, refused.json["error"]["code"]) == (403, "out-of-scope")
    asked = {"worker": "trainer", "timeout_seconds": 0, "capabilities": ["preview", "train"]}
    assert trainer.post(contract.RESERVE, asked).status_code == 204
    (seen,) = parts.scheduler.workers.present()
    assert seen["kinds"] == ["train"]


def test_a_worker_reads_only_what_its_own_jobs_need(parts: Parts, named: Worker, worker: Worker) -> None:
    parts.submit()
    path, headers = contract.path(contract.BLOB, sha256=parts.input_sha256), {"Authorization": f"Bearer {named.token}"}
    assert named.client.get(path, headers=headers).status_code == 404
    worker.begin()
    assert named.client.get(path, headers=headers).status_code == 404


def test_a_revoked_token_is_refused_and_its_job_is_done_by_another(parts: Parts, named: Worker, worker: Worker) -> None:
    uuid = parts.submit()
    claim = named.begin()
    assert parts.scheduler.worker_tokens.revoke("gpu-1") == 1
    refused = named.say(contract.PROGRESS, claim, progress={"stage": "inferring", "fraction": 0.5, "message": ""})
    assert (refused.status_code, refused.json["error"]["code"]) == (401, "token-revoked")
    assert "was revoked on" in refused.json["error"]["message"]
    job = parts.job(uuid)
    assert (job["state"], job["lease"], job["attempt"]) == ("queued", None, 0)
    assert worker.post(contract.EXTEND, {"lease": claim.lease}, uuid=uuid).status_code == 409
    again = worker.claim(0.5)
    assert (again.uuid, again.attempt) == (uuid, 1)
    assert worker.finish(again).status_code == 200
    assert [line["what"] for line in parts.job(uuid)["history"]][:4] == ["submitted", "started", "taken away", "done"]
    with pytest.raises(TokenRevoked):
        parts.scheduler.worker_tokens.check(named.token)
    assert parts.scheduler.worker_tokens.revoke("gpu-1") == 0


def test_a_token_is_made_anew_only_after_the_old_one_was_revoked(parts: Parts, named: Worker) -> None:
    tokens = parts.scheduler.worker_tokens
    with pytest.raises(TokenExists):
        tokens.make("gpu-1")
    tokens.revoke("gpu-1")
    new = tokens.make("gpu-1")
    assert tokens.check(new).name == "gpu-1"
    with pytest.raises(TokenUnknown):
        tokens.check(named.token)
    with pytest.raises(TokenMissing):
        tokens.revoke("nobody")


def test_any_name_of_a_worker_may_have_a_token(parts: Parts) -> None:
    tokens = parts.scheduler.worker_tokens
    for name in ("a", "lab_2.gpu-1", "x" * 60):
        assert tokens.check(tokens.make(name)).name == name


def test_the_installations_token_stays_good(parts: Parts, named: Worker, worker: Worker) -> None:
    parts.scheduler.worker_tokens.revoke("gpu-1")
    parts.submit()
    assert worker.claim().attempt == 1


# In the terminal


@pytest.fixture
def terminal(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The beginning of a command line that finds the service."""
    app = Flask("service")
    app.register_blueprint(create_service_blueprint(parts.scheduler))
    monkeypatch.setenv("ZOOSCOPE_SERVICE_TOKEN", read_or_make_key(parts.settings, SERVICE_TOKEN))
    with served(app) as url:
        yield ["workers", "--server", url]


def test_workers_are_looked_after_in_the_terminal(
    parts: Parts, worker: Worker, terminal: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    def say(*words: str) -> str:
        assert zooscope.main([*terminal, *words]) == 0
        return capsys.readouterr().out

    assert say() == "0 workers\n"
    token = say("token", "gpu-1", "--kinds", "preview", "train").strip()
    facts = {"formats": ["keras"], "gpu_formats": ["keras"], "gpu_memory_gb": 15.0, "device_name": "Tesla T4",
             "memory_gb": 31.2, "version": "0.1.0"}  # fmt: skip
    gpu = Worker(worker.client, token, "gpu-1")
    gpu.reserve(facts=facts, device="gpu:0", warm_models=["0" * 64])
    worker.reserve()
    listed = say("list").splitlines()
    assert [word in listed[1] for word in ("gpu-1", "waiting", "gpu:0", "Tesla T4 15 GB", "31.2 GB", "0.1.0")]
    assert listed[2].split()[:3] == ["w1", "waiting", "cpu"]
    assert "installation" in listed[2]
    assert listed[3] == "2 workers"
    assert listed[4].startswith("token gpu-1: good, made ")
    assert listed[4].endswith("for preview, train")

    uuid = parts.submit()
    assert gpu.begin().uuid == uuid
    assert say("drain", "gpu-1") == f"gpu-1 finishes its job {uuid} and takes no other\n"
    assert "working, draining" in say()
    assert say("drain", "w1") == "w1 takes no jobs\n"
    assert say("resume", "gpu-1", "w1") == "gpu-1 takes jobs again\nw1 takes jobs again\n"
    assert "1 of its jobs go to other workers" in say("revoke", "gpu-1")
    assert "token gpu-1: revoked" in say()


def test_mistakes_are_told_in_a_sentence(parts: Parts, terminal: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    for words, sentence in (
        (["drain", "nobody"], "No worker called 'nobody' was ever here."),
        (["revoke", "no body"], "There is no token for a worker called"),
        (["token", "Not A Slug"], "cannot be a worker's name"),
    ):
        assert zooscope.main([*terminal, *words]) == 2
        assert sentence in capsys.readouterr().err, words
