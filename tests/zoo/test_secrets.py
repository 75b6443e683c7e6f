"""Keys: made once, whoever is first, and readable by their owner alone."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from zoo.identifiers import BadIdentifier
from zoo.secrets import JOB_TOKENS, VISITOR_COOKIES, WORKER_TOKEN, SecretDamaged, read_or_make_key, worker_token
from zoo.settings import Settings

RACER = """
import sys
from pathlib import Path
from zoo.secrets import read_or_make_key
from zoo.settings import Settings
print("ready", flush=True)
sys.stdin.readline()
print(read_or_make_key(Settings(data=Path(sys.argv[1])), "job-tokens"), flush=True)
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path / "data")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_key_is_made_once(settings: Settings) -> None:
    key = read_or_make_key(settings, JOB_TOKENS)
    assert len(bytes.fromhex(key)) == 32
    assert read_or_make_key(settings, JOB_TOKENS) == key
    assert read_or_make_key(settings, VISITOR_COOKIES) != key


def test_keys_are_their_owners_alone(settings: Settings) -> None:
    before = os.umask(0)
    try:
        read_or_make_key(settings, JOB_TOKENS)
    finally:
        os.umask(before)
    file = settings.secrets_folder / JOB_TOKENS
    assert (mode(file), mode(file.parent)) == (0o600, 0o700)
    file.chmod(0o644)
    read_or_make_key(settings, JOB_TOKENS)
    assert mode(file) == 0o600
    assert [path.name for path in file.parent.iterdir()] == [JOB_TOKENS]


def test_processes_that_race_for_a_key_get_the_same_one(settings: Settings) -> None:
    command = [sys.executable, "-c", RACER, str(settings.data)]
    racers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    keys = {racer.communicate()[0].strip() for racer in racers}
    assert keys == {read_or_make_key(settings, JOB_TOKENS)}


@pytest.mark.parametrize("content", ["", "abc", "g" * 64, "a" * 63, "ü" * 64])
def test_a_damaged_key_is_not_used(settings: Settings, content: str) -> None:
    read_or_make_key(settings, JOB_TOKENS)
    (settings.secrets_folder / JOB_TOKENS).write_text(content)
    with pytest.raises(SecretDamaged) as caught:
        read_or_make_key(settings, JOB_TOKENS)
    assert content == "" or content not in caught.value.message


def test_a_key_has_a_plain_name(settings: Settings) -> None:
    with pytest.raises(BadIdentifier):
        read_or_make_key(settings, "../documents.sqlite3")


def test_the_worker_token_is_the_setting_or_a_key(settings: Settings) -> None:
    assert worker_token(settings) == read_or_make_key(settings, WORKER_TOKEN)
    assert worker_token(settings.replace(worker_token="given")) == "given"
