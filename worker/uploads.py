"""Sending the files of a result: each as soon as it is whole, so that little is left to send when the job is done.

Small ones go along with the result itself, which saves their requests; but what is shown early is sent early.
"""

from __future__ import annotations

import hashlib
import os
import stat
from base64 import b64encode
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from scheduler.contract import ALONG_BYTES, ALONG_FILE_BYTES, MEDIA_TYPES, SHOWN_EARLY
from worker.client import CHUNK_BYTES, SchedulerClient
from worker.errands import Errand
from worker.job_folder import JobFolder
from zoo.errors import ZooscopeError


class BadResult(ZooscopeError):
    """The child named something that is not one of its result files."""

    code = "bad-result"


class Uploads:
    """The uploads of one attempt, each in a thread of its own, which mostly waits for the server's disk."""

    def __init__(self, client: SchedulerClient, folder: JobFolder) -> None:
        self._client = client
        self._folder = folder
        self._errands: dict[str, Errand[dict[str, Any]]] = {}

    def begin(self, name: str) -> None:
        """Start sending a file, once, unless it can go along; how it went is told by `finish`."""
        if name in MEDIA_TYPES and (name == SHOWN_EARLY or not self._is_small(name)):
            self._send(name)

    def _send(self, name: str) -> None:
        if name not in self._errands:
            self._errands[name] = Errand(partial(self._upload, name))

    def _is_small(self, name: str) -> bool:
        try:
            return os.lstat(self._folder.out / name).st_size <= ALONG_FILE_BYTES
        except FileNotFoundError:
            return False

    def finish(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """Wait until all of `names` are sent but for small ones; what failed is sent again by the next call.

        Returns {name, sha256, size, media_type} of each, and its bytes as base64 `data` if it is to go along with the
        result. Raises `BadResult`, OSError for a file that cannot be read, and what the client raises.
        """
        strange = [name for name in names if name not in MEDIA_TYPES]
        if strange:
            raise BadResult(f"The model's process made a file {strange[0]!r}, which is not part of a result.")
        self._forget_failed()
        along = self._along([name for name in names if name not in self._errands])
        sent = [name for name in names if name not in along]
        for name in sent:
            self._send(name)
        for name in sent:
            self._errands[name].wait()
        errands = dict(self._errands)
        self._forget_failed()
        return [along.get(name) or errands[name].value() for name in names]

    def _along(self, names: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Those of the files that go along with the result, the first ones of which there is room for."""
        along: dict[str, dict[str, Any]] = {}
        room = ALONG_BYTES
        for name in names:
            if self._is_small(name):
                with _plain(self._folder.out / name) as stream:
                    data = stream.read(min(room, ALONG_FILE_BYTES) + 1)
                if len(data) <= min(room, ALONG_FILE_BYTES):
                    along[name] = _described(name, len(data), hashlib.sha256(data).hexdigest())
                    along[name]["data"] = b64encode(data).decode()
                    room -= len(data)
        return along

    def _forget_failed(self) -> None:
        """Let go of uploads that failed, so that all of them are tried again at once."""
        for name, errand in list(self._errands.items()):
            if errand.done and errand.failed:
                del self._errands[name]

    def _upload(self, name: str) -> dict[str, Any]:
        file = self._folder.out / name
        size, sha256 = _measure(file)
        self._client.put_file(self._folder.uuid, self._folder.lease, name, file, sha256)
        return _described(name, size, sha256)


def _described(name: str, size: int, sha256: str) -> dict[str, Any]:
    return {"name": name, "sha256": sha256, "size": size, "media_type": MEDIA_TYPES[name]}


def _measure(file: Path) -> tuple[int, str]:
    """Size and sha256 of a plain file."""
    digest, size = hashlib.sha256(), 0
    with _plain(file) as stream:
        while chunk := stream.read(CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
    return size, digest.hexdigest()


def _plain(file: Path) -> BinaryIO:
    """A plain file, opened; a link could point to anything of the worker's, and a pipe be waited for."""
    if not stat.S_ISREG(os.lstat(file).st_mode):
        raise BadResult(f"The result file {file.name} is not a plain file.")
    return os.fdopen(os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")
