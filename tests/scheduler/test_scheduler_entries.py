"""What is found in the queue is believed only when its token is ours and says what the job document says."""

from __future__ import annotations

import contextlib
import json
import time

import greenstalk
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scheduler_parts import Parts, Worker

from scheduler.entry import BadEntry, Entry
from scheduler.jobs import handle_of
from scheduler.tokens import BadToken, TokenExpired, Tokens
from zoo.identifiers import new_uuid


def body_of(**changes: object) -> dict[str, object]:
    model = {"id": "nuclei", "version": "1", "package_sha256": "a" * 64}
    return {"uuid": "1" * 32, "owner": "ada", "input": {"sha256": "b" * 64}, "model": model} | changes


def entry_of(**changes: object) -> bytes:
    fields = {"v": 1, "uuid": new_uuid(), "kind": "preview", "capability": "preview", "attempt": 0, "token": "x"}
    return json.dumps(fields | changes).encode()


MALFORMED = {
    "empty": b"",
    "not json": b"{",
    "truncated": entry_of()[:-20],
    "not utf-8": b"\xff\xfe" + entry_of(),
    "a list": b"[1]",
    "deep": b"[" * 60_000,
    "largest": b"x" * 65_535,
    "unknown version": entry_of(v=2),
    "no version": entry_of(v=None),
    "not a uuid": entry_of(uuid="../../etc"),
    "attempt as text": entry_of(attempt="1"),
    "no token": entry_of(token=None),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_entries_are_bad(name: str) -> None:
    with pytest.raises(BadEntry):
        Entry.parse(MALFORMED[name])


def test_an_entry_survives_the_journey() -> None:
    entry = Entry(new_uuid(), "preview", "preview", 1, "token")
    assert Entry.parse(entry.to_bytes()) == entry
    assert len(entry.to_bytes()) < 500


def test_malformed_entries_are_buried_and_the_jobs_behind_them_done(
    parts: Parts, worker: Worker, bare: greenstalk.Client
) -> None:
    bare.use("zooscope.preview")
    for data in MALFORMED.values():
        bare.put(data, priority=0)
    uuid = parts.submit()
    assert worker.claim().uuid == uuid
    assert bare.stats()["current-jobs-buried"] == len(MALFORMED)


def test_an_entry_of_no_job_is_deleted(worker: Worker, bare: greenstalk.Client) -> None:
    bare.use("zooscope.preview")
    bare.put(entry_of())
    assert worker.reserve() is None
    assert bare.stats()["current-jobs-ready"] + bare.stats()["current-jobs-buried"] == 0


def test_a_forged_entry_opens_no_lease(parts: Parts, worker: Worker, bare: greenstalk.Client) -> None:
    assert worker.reserve() is None  # the first one recovers lost jobs
    uuid = parts.submit()
    handle = handle_of(parts.job(uuid))
    assert handle is not None
    bare.delete(handle.job_id)
    bare.use("zooscope.preview")
    bare.put(entry_of(uuid=uuid, token="forged"))
    assert worker.reserve() is None
    assert parts.job(uuid)["state"] == "queued"
    assert bare.stats()["current-jobs-buried"] == 1
    parts.scheduler.maintenance.recover()
    assert worker.claim().uuid == uuid


def test_a_swapped_token_opens_no_lease(parts: Parts, worker: Worker, bare: greenstalk.Client) -> None:
    assert worker.reserve() is None  # the first one recovers lost jobs
    mine, other = parts.submit("ada"), parts.submit("bob")
    tokens = {}
    for uuid in (mine, other):
        handle = handle_of(parts.job(uuid))
        assert handle is not None
        tokens[uuid] = Entry.parse(bare.peek(handle.job_id).body).token
        bare.delete(handle.job_id)
    bare.use("zooscope.preview")
    bare.put(entry_of(uuid=mine, token=tokens[other]))
    assert worker.reserve() is None
    assert bare.stats()["current-jobs-buried"] == 1


@pytest.mark.parametrize("field", ["uuid", "owner", "input", "model"])
def test_a_token_speaks_of_one_job_only(field: str) -> None:
    tokens = Tokens("key", 1.0)
    token = tokens.make(body_of())
    tokens.check(token, body_of())
    model = {"id": "nuclei", "version": "2", "package_sha256": "a" * 64}
    changed = {"uuid": "2" * 32, "owner": "bob", "input": {"sha256": "c" * 64}, "model": model}[field]
    with pytest.raises(BadToken):
        tokens.check(token, body_of(**{field: changed}))


def test_a_token_of_another_key_or_spelling_is_refused() -> None:
    token = Tokens("one key", 1.0).make(body_of())
    for wrong in (token, token + "x", "", "a.b.c", token[:-1]):
        with pytest.raises(BadToken):
            Tokens("another key", 1.0).check(wrong, body_of())


def test_a_token_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = Tokens("key", 1.0)
    token = tokens.make(body_of())
    later = time.time() + 3700
    monkeypatch.setattr("itsdangerous.timed.time.time", lambda: later)
    with pytest.raises(TokenExpired):
        tokens.check(token, body_of())


def test_a_job_that_waited_too_long_fails_with_a_reason(
    parts: Parts, worker: Worker, bare: greenstalk.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    uuid = parts.submit()
    monkeypatch.setattr(parts.scheduler._tokens, "_seconds", -1)
    assert worker.reserve() is None
    job = parts.job(uuid)
    assert (job["state"], job["error"]["code"]) == ("failed", "token-expired")
    assert "waited too long" in job["error"]["message"]
    assert bare.stats()["current-jobs-ready"] == 0


@given(st.binary(max_size=2000) | st.recursive(st.none() | st.text(), st.lists).map(lambda x: json.dumps(x).encode()))
def test_any_bytes_are_an_entry_or_bad(data: bytes) -> None:
    with contextlib.suppress(BadEntry):
        Entry.parse(data)


@given(st.text(st.characters(categories=None)))
def test_any_text_is_refused_as_a_token(token: str) -> None:
    """Halves of surrogate pairs included, which JSON may bring."""
    with pytest.raises(BadToken):
        Tokens("key", 1.0).check(token, body_of())


def test_half_a_character_as_a_token_is_buried_and_the_job_behind_it_done(
    parts: Parts, worker: Worker, bare: greenstalk.Client
) -> None:
    first = parts.submit()
    bare.use("zooscope.preview")
    bare.put(entry_of(uuid=first, token="\ud83d"), priority=0)
    second = parts.submit()
    assert [worker.claim().uuid, worker.claim().uuid] == [first, second]
    assert bare.stats()["current-jobs-buried"] == 1


def test_a_damaged_document_does_not_keep_others_from_their_jobs(
    parts: Parts, worker: Worker, bare: greenstalk.Client, caplog: pytest.LogCaptureFixture
) -> None:
    damaged, sound = parts.submit("ada"), parts.submit("ben")
    stored = parts.documents.get("jobs", damaged)
    del stored.body["model"]
    parts.documents.replace("jobs", damaged, stored.body, stored.revision)
    claim = worker.claim()
    assert claim.uuid == sound
    assert worker.finish(claim).status_code == 200
    assert worker.reserve() is None
    assert bare.stats()["current-jobs-delayed"] == 1
    assert "put off" in caplog.text
