"""Posting an attempt's outcome: what is left of the log, the files, then the result itself, each at least once.

The scheduler keeps a log sequence, a file and a result once, so a delivery that broke off starts again from the top.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import stat
from functools import partial
from pathlib import Path
from typing import Any

from scheduler.contract import RESULT_FILES
from worker.client import CHUNK_BYTES, BadToken, JobOver, Refused, SchedulerClient, ServiceAway, StaleLease
from worker.errands import Errand
from worker.job_folder import FAILURE, RELEASE, JobFolder, Outcome, failure
from zoo.errors import ZooscopeError

UPLOADS = 4  # at once
ANSWERED_TRIES = 5  # a scheduler that keeps failing over one result must not stop the worker for ever

_log = logging.getLogger(__name__)


class BadResult(ZooscopeError):
    """The child named something that is not one of its result files."""

    code = "bad-result"


class Delivery:
    """One outcome on its way; `post` is called again until it does not raise `ServiceAway`."""

    def __init__(self, folder: JobFolder, outcome: Outcome) -> None:
        self.folder = folder
        self.outcome = outcome
        self._answered = 0

    def post(self, client: SchedulerClient) -> None:
        """Deliver, then remove the folder. Raises `ServiceAway` (call again) and `BadToken`; an outcome that nobody
        wants any more (stale lease, job over) is dropped."""
        try:
            self._post(client, self.outcome)
        except (StaleLease, JobOver) as gone:
            _log.info("Job %s: the outcome is not wanted any more (%s).", self.folder.uuid, gone.code)
        except BadToken:
            raise
        except ServiceAway as away:
            self._answered += away.answered
            if self._answered < ANSWERED_TRIES:
                raise
            self._give_up(client, failure(away.code, "The scheduler could not take the result.", retry=True))
        except (Refused, BadResult) as refused:
            self._give_up(client, failure(refused.code, refused.message, refused.hint, retry=False))
        except OSError as error:
            reason = f"A file of the result could not be read ({error.strerror})."
            self._give_up(client, failure("worker-disk", reason, retry=True))
        self.folder.remove()

    def _give_up(self, client: SchedulerClient, outcome: Outcome) -> None:
        _log.warning("Job %s: %s", self.folder.uuid, outcome.content["message"])
        with contextlib.suppress(ZooscopeError):
            self._post(client, outcome)

    def _post(self, client: SchedulerClient, outcome: Outcome) -> None:
        uuid, lease = self.folder.uuid, self.folder.lease
        for sequence, text in outcome.log:
            with contextlib.suppress(Refused):
                client.log(uuid, lease, sequence, text)
        if outcome.kind == RELEASE:
            client.release(uuid, lease)
            return
        if outcome.kind == FAILURE:
            client.fail(uuid, lease, **outcome.content)
            return
        # Each upload waits for the server's disk, so several at once take little longer than one.
        names = outcome.content["files"]
        lanes = [Errand(partial(self._upload_all, client, names[lane::UPLOADS])) for lane in range(UPLOADS)]
        for lane in lanes:
            lane.wait()
        files = [file for lane in lanes for file in lane.value()]
        client.result(uuid, lease, files, outcome.content["summary"], outcome.content["timings"])

    def _upload_all(self, client: SchedulerClient, names: list[str]) -> list[dict[str, Any]]:
        return [self._upload(client, name) for name in names]

    def _upload(self, client: SchedulerClient, name: str) -> dict[str, Any]:
        if name not in RESULT_FILES:
            raise BadResult(f"The model's process made a file {name!r}, which is not part of a result.")
        file = self.folder.out / name
        size, sha256 = _measure(file)
        client.put_file(self.folder.uuid, self.folder.lease, name, file, sha256)
        return {"name": name, "sha256": sha256, "size": size, "media_type": RESULT_FILES[name]}


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
