"""Sending the files of a result: each as soon as it is whole, so that little is left to send when the job is done."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from scheduler.contract import MEDIA_TYPES
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
        """Start sending a file, once; how it went is told by `finish`."""
        if name in MEDIA_TYPES and name not in self._errands:
            self._errands[name] = Errand(partial(self._upload, name))

    def finish(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """Wait until all of `names` are sent; what failed is sent again by the next call.

        Returns {name, sha256, size, media_type} of each. Raises `BadResult`, OSError for a file that cannot be read,
        and what the client raises.
        """
        strange = [name for name in names if name not in MEDIA_TYPES]
        if strange:
            raise BadResult(f"The model's process made a file {strange[0]!r}, which is not part of a result.")
        self._forget_failed()
        for name in names:
            self.begin(name)
        for name in names:
            self._errands[name].wait()
        sent = [self._errands[name] for name in names]
        self._forget_failed()
        return [errand.value() for errand in sent]

    def _forget_failed(self) -> None:
        """Let go of uploads that failed, so that all of them are tried again at once."""
        for name, errand in list(self._errands.items()):
            if errand.done and errand.failed:
                del self._errands[name]

    def _upload(self, name: str) -> dict[str, Any]:
        file = self._folder.out / name
        size, sha256 = _measure(file)
        self._client.put_file(self._folder.uuid, self._folder.lease, name, file, sha256)
        return {"name": name, "sha256": sha256, "size": size, "media_type": MEDIA_TYPES[name]}


def _measure(file: Path) -> tuple[int, str]:
    """Size and sha256 of a plain file; a link could point to anything of the worker's."""
    if not stat.S_ISREG(os.lstat(file).st_mode):
        raise BadResult(f"The result file {file.name} is not a plain file.")
    digest, size = hashlib.sha256(), 0
    with file.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
    return size, digest.hexdigest()
