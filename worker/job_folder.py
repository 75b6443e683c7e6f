"""A job's folder on the worker's disk, and the outcome it keeps until the scheduler has taken it.

`jobs/<lease>/` holds `job.json` (whose it is), `heartbeat`, `out/` (the engine's files) and, once the child is done,
`outcome.json`. A worker that starts finds what an earlier one with its name left there.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from scheduler.contract import Claim
from worker.heartbeat import Heartbeat

RESULT, FAILURE, RELEASE = "result", "failure", "release"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended.

    `content` is {files, summary, timings}, or {code, message, hint, retry}, or nothing for a job that is handed back;
    `log` is what of the log was not posted yet, as (sequence, text).
    """

    kind: str
    content: dict[str, Any] = field(default_factory=dict)
    log: list[tuple[int, str]] = field(default_factory=list)


def failure(code: str, message: str, hint: str = "", retry: bool = True) -> Outcome:
    return Outcome(FAILURE, {"code": code, "message": message, "hint": hint, "retry": retry})


@dataclass(frozen=True)
class JobFolder:
    """The folder of one attempt."""

    path: Path
    uuid: str
    lease: str

    @classmethod
    def create(cls, jobs: Path, claim: Claim) -> JobFolder:
        """Raises OSError when the disk is full."""
        path = jobs / claim.lease
        (path / "out").mkdir(parents=True)
        folder = cls(path, claim.uuid, claim.lease)
        Heartbeat.create(folder.heartbeat).close()
        (path / "job.json").write_text(json.dumps({"uuid": claim.uuid, "lease": claim.lease}))
        return folder

    @classmethod
    def left_over(cls, jobs: Path) -> Iterator[JobFolder]:
        """Folders of attempts that an earlier run of this worker did not bring to an end; unreadable ones go."""
        for path in sorted(jobs.glob("*"), key=lambda path: path.stat().st_mtime):
            try:
                job = json.loads((path / "job.json").read_text())
                yield cls(path, job["uuid"], job["lease"])
            except (OSError, ValueError, KeyError):
                shutil.rmtree(path, ignore_errors=True)

    @property
    def out(self) -> Path:
        return self.path / "out"

    @property
    def heartbeat(self) -> Path:
        return self.path / "heartbeat"

    def keep(self, outcome: Outcome) -> None:
        """Write the outcome down for a later run of this worker; without disk space it lives in memory only."""
        part = self.path / "outcome.part"
        try:
            part.write_text(json.dumps(asdict(outcome)))
            part.replace(self.path / "outcome.json")
        except OSError as error:
            _log.warning("The outcome of job %s could not be kept on disk: %s.", self.uuid, error)

    def kept(self) -> Outcome | None:
        try:
            return Outcome(**json.loads((self.path / "outcome.json").read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
