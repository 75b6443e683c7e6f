"""One attempt at a job as the supervisor sees it: what the child said, how it ended, and what becomes of it."""

from __future__ import annotations

import logging
import time
from typing import Any

from scheduler.contract import STAGE_LABELS, Claim, Progress
from worker.job_folder import RELEASE, RESULT, JobFolder, Outcome, failure
from worker.lines import ending
from worker.reporter import Reporter
from worker.uploads import Uploads

MESSAGE_LENGTH = 300

_log = logging.getLogger(__name__)


class Attempt:
    """The job at hand. It is over once `answered` or the child has `died`."""

    def __init__(self, claim: Claim, folder: JobFolder, reporter: Reporter, uploads: Uploads) -> None:
        self.claim, self.folder, self.reporter, self.uploads = claim, folder, reporter, uploads
        self.handed = False  # to the child
        self.answer: dict[str, Any] | None = None
        self.died: str = ""  # how the child ended, to follow "The model's process"
        self.never_ready = False
        self.killed = ""  # the watchdog's reason
        self.stop_at: float | None = None  # when a child that was asked to stop is killed

    @property
    def over(self) -> bool:
        return self.answer is not None or bool(self.died)

    def hear(self, answer: dict[str, Any]) -> None:
        """An answer of the child; raises KeyError, TypeError or ValueError when it makes no sense."""
        event = answer.get("event")
        if answer.get("job") != self.claim.lease:
            return
        if event == "progress" and answer["stage"] in STAGE_LABELS:
            fraction = min(1.0, max(0.0, float(answer["fraction"])))
            self.reporter.progress(Progress(answer["stage"], fraction, str(answer["message"])[:MESSAGE_LENGTH]))
        elif event == "log":
            self.reporter.log(str(answer["text"]))
        elif event == "file":
            self.uploads.begin(str(answer["name"]))
        elif event in ("done", "error", "cancelled"):
            self.answer = answer

    def child_died(self, code: int, ready: bool) -> None:
        if self.handed:
            self.died, self.never_ready = ending(code), not ready

    def seconds_to_kill(self, grace: float) -> float | None:
        """None while the job is wanted; else the time left for the child to stop by itself, 0 when it is up."""
        if self.reporter.ended is None:
            return None
        if self.stop_at is None:
            _log.info("Job %s: stopping (%s).", self.claim.uuid, self.reporter.ended.code)
            self.stop_at = time.monotonic() + grace
        return max(0.0, self.stop_at - time.monotonic())

    def outcome(self, stall_seconds: float) -> Outcome | None:
        """What to tell the scheduler; None when it does not want to hear of this attempt any more."""
        answer = self.answer
        if self.reporter.ended is not None or self.killed == "lost":
            return None
        if answer is not None and answer["event"] == "done":
            names = [str(name) for name in answer["files"]]
            return Outcome(RESULT, {"files": names, "summary": answer["summary"], "timings": answer["timings"]})
        if answer is not None and answer["event"] == "error":
            return failure(str(answer["code"]), str(answer["message"]), str(answer["hint"]), bool(answer["retry"]))
        if answer is not None:
            return None
        if self.killed:
            seconds = min(stall_seconds, self.claim.ert_seconds)
            message = f"The model made no progress for {seconds:g} seconds and was stopped."
            return failure("no-progress", message, "Choose a smaller region, or try again.")
        if self.never_ready:
            return Outcome(RELEASE)  # this worker is broken; the job is not at fault
        return failure("worker-crashed", f"The model's process {self.died}.", "Choose a smaller region, or try again.")
