"""Posting an attempt's outcome: what is left of the log, the files, then the result itself, each at least once.

The scheduler keeps a log sequence, a file and a result once, so a delivery that broke off starts again from the top.
The live log is a courtesy, the result has one of its own: a result does not wait for it for ever.
"""

from __future__ import annotations

import contextlib
import logging

from worker.client import BadToken, JobOver, Refused, SchedulerClient, ServiceAway, StaleLease
from worker.job_folder import FAILURE, RELEASE, JobFolder, Outcome, failure
from worker.uploads import BadResult, Uploads
from zoo.errors import ZooscopeError

ANSWERED_TRIES = 5  # a scheduler that keeps failing over one result must not stop the worker for ever
LOG_TRIES = 3  # then the result goes ahead, if the scheduler takes that; the log is tried along with it

_log = logging.getLogger(__name__)


class Delivery:
    """One outcome on its way; `post` is called again until it does not raise `ServiceAway`."""

    def __init__(self, folder: JobFolder, outcome: Outcome, uploads: Uploads) -> None:
        self.folder = folder
        self.outcome = outcome
        self._uploads = uploads
        self._answered = 0
        self._log_tries = 0

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
        self._post_log(client, outcome)
        if outcome.kind == RELEASE:
            client.release(uuid, lease)
            return
        if outcome.kind == FAILURE:
            client.fail(uuid, lease, **outcome.content)
            return
        files = self._uploads.finish(outcome.content["files"])
        client.result(uuid, lease, files, outcome.content["summary"], outcome.content["timings"])

    def _post_log(self, client: SchedulerClient, outcome: Outcome) -> None:
        try:
            for sequence, text in outcome.log:
                with contextlib.suppress(Refused):
                    client.log(self.folder.uuid, self.folder.lease, sequence, text)
        except ServiceAway:
            self._log_tries += 1
            if self._log_tries < LOG_TRIES:
                raise
