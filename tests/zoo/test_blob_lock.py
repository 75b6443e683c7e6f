"""Who keeps a blob and who removes it wait for each other: in one thread, between threads, between processes."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from zoo.blob_lock import BlobLock, BlobsBusy

HOLDER = """
import sys
from pathlib import Path
from zoo.blob_lock import BlobLock

lock = BlobLock(Path(sys.argv[1]))
with lock if sys.argv[2] == "keeps" else lock.removing():
    print("holds", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BlobLock:
    monkeypatch.setattr("zoo.blob_lock.KEEPER_SECONDS", 0.05)
    monkeypatch.setattr("zoo.blob_lock.REMOVER_SECONDS", 0.05)
    return BlobLock(tmp_path)


@pytest.fixture(params=["keeps", "removes"])
def other(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock until its stdin closes."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path), request.param]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "holds\n"
        try:
            yield process
        finally:
            process.kill()


def removes(lock: BlobLock) -> bool:
    try:
        with lock.removing():
            return True
    except BlobsBusy:
        return False


def keeps(lock: BlobLock) -> bool:
    try:
        with lock:
            return True
    except BlobsBusy:
        return False


def elsewhere(call: object) -> list[bool]:
    """What `call` answers in another thread."""
    answers: list[bool] = []
    thread = threading.Thread(target=lambda: answers.append(call()))  # type: ignore[operator]
    thread.start()
    thread.join()
    return answers


def test_keepers_keep_together_and_nobody_removes_meanwhile(lock: BlobLock) -> None:
    with lock, lock:
        assert elsewhere(lambda: keeps(lock)) == [True]
        assert elsewhere(lambda: removes(lock)) == [False]
    assert elsewhere(lambda: removes(lock)) == [True]


def test_a_remover_is_alone(lock: BlobLock) -> None:
    with lock.removing():
        assert elsewhere(lambda: keeps(lock)) == [False]
        assert elsewhere(lambda: removes(lock)) == [False]
    assert keeps(lock)
    assert removes(lock)


def test_an_error_lets_go(lock: BlobLock) -> None:
    with pytest.raises(ValueError), lock:
        raise ValueError
    with pytest.raises(ValueError), lock.removing():
        raise ValueError
    assert removes(lock)


@pytest.mark.parametrize("other", ["keeps", "removes"], indirect=True)
def test_other_processes_are_respected_until_they_are_killed(lock: BlobLock, other: subprocess.Popen[str]) -> None:
    assert not removes(lock)
    other.send_signal(signal.SIGSTOP)
    assert not removes(lock), "a process that is stopped still holds it"
    other.kill()
    other.wait()
    assert keeps(lock)
    assert removes(lock)


@pytest.mark.parametrize("other", ["removes"], indirect=True)
def test_a_keeper_waits_for_a_remover_of_another_process(lock: BlobLock, other: subprocess.Popen[str]) -> None:
    assert not keeps(lock)
    other.communicate("")
    assert keeps(lock)


def test_later_keepers_let_a_waiting_remover_pass(lock: BlobLock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a stream of keepers, one of whom always holds the lock, would starve it."""
    monkeypatch.setattr("zoo.blob_lock.REMOVER_SECONDS", 30.0)
    removed: list[bool] = []
    with lock:
        remover = threading.Thread(target=lambda: removed.append(removes(lock)))
        remover.start()
        while elsewhere(lambda: keeps(lock)) == [True]:
            pass
        assert not removed
    remover.join()
    assert removed == [True]
    assert keeps(lock)
