"""The supervisor's child and watchdog, kept running, and the one place where the supervisor waits.

`pump` waits on the pipes of both and on the bell, calls the supervisor's handlers and starts again what has ended.
"""

from __future__ import annotations

import json
import logging
import selectors
from collections.abc import Callable
from typing import Any, Protocol

from scheduler.contract import Claim
from worker.errands import Bell
from worker.job_folder import JobFolder
from worker.lines import LineReader, ending
from worker.processes import ChildProcess, Patience, WatchdogProcess
from worker.roll_call import RollCall

_log = logging.getLogger(__name__)


class Listener(Protocol):
    """Told of what the crew does."""

    def child_answered(self, answer: dict[str, Any]) -> None: ...
    def child_printed(self, line: str) -> None: ...
    def child_ended(self, code: int, ready: bool) -> None: ...
    def child_killed(self, reason: str) -> None: ...


class Crew:
    """`hire_child` and `hire_watchdog` start the processes; `child` and `watchdog` are None while there is none."""

    def __init__(
        self, hire_child: Callable[[], ChildProcess], hire_watchdog: Callable[[], WatchdogProcess], listener: Listener
    ) -> None:
        self._hire_child, self._hire_watchdog, self._listener = hire_child, hire_watchdog, listener
        self.bell = Bell()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self.bell, selectors.EVENT_READ, self.bell.hush)
        self.child: ChildProcess | None = None
        self.watchdog: WatchdogProcess | None = None
        self._child_rest = Patience(1.0, 30.0)
        self._watchdog_rest = Patience(0.1, 10.0)
        self._watch_orders: list[dict[str, Any]] = []
        self._roll_call = RollCall()

    @property
    def able(self) -> bool:
        """Whether to take a job: the child is ready, or may be expected to become so."""
        return self.child is not None and (self.child.ready or self._child_rest.until == 0.0)

    def pump(self, seconds: float | None = None) -> None:
        """Wait for something to happen, up to `seconds`, and handle it."""
        self._revive()
        self._call_the_watchdog()
        rests = [rest.left for rest in (self._child_rest, self._watchdog_rest) if rest.left]
        others = [one for one in (seconds, self._roll_call.left) if one is not None]
        patience = min([*rests, *others], default=None)
        for key, _ in self._selector.select(patience):
            key.data()

    def close(self) -> None:
        for process in (self.child, self.watchdog):
            if process is not None:
                process.close()
        self._selector.close()
        self.bell.close()

    # What the watchdog is told of the job at hand, kept for the next watchdog

    def watch(self, claim: Claim, folder: JobFolder) -> None:
        heartbeat = str(folder.heartbeat.resolve())
        job = {"uuid": claim.uuid, "lease": claim.lease, "seconds": claim.ert_seconds, "heartbeat": heartbeat}
        self._watch_orders = []
        self._order({"watch": job | {"taken_over": False}})
        self._roll_call.begin(claim.ert_seconds)

    def watch_child(self, claim: Claim, child: ChildProcess) -> None:
        self._order({"computing": claim.lease, "pid": child.pid, "created": child.created})

    def watch_upload(self, claim: Claim) -> None:
        self._order({"computed": claim.lease})

    def forget(self, claim: Claim) -> None:
        self._order({"forget": claim.lease})
        self._watch_orders = []
        self._roll_call.end()

    def _order(self, order: dict[str, Any]) -> None:
        self._watch_orders.append(order)
        if self.watchdog is not None:
            self.watchdog.tell(**order)

    def _call_the_watchdog(self) -> None:
        """One that does not answer while a job is watched is replaced; the next one extends the lease at once."""
        if self.watchdog is None:
            return
        if self._roll_call.due():
            self.watchdog.tell(call=True)
        elif self._roll_call.missed():
            _log.warning("The watchdog does not answer; it is killed.")
            self.watchdog.kill()

    def _revive(self) -> None:
        if self.child is None and not self._child_rest.left:
            self.child = child = self._hire_child()
            self._listen(child.answers, self._child_answered, self._child_ended)
            self._listen(child.prints, self._listener.child_printed)
        if self.watchdog is None and not self._watchdog_rest.left:
            self.watchdog = watchdog = self._hire_watchdog()
            self._roll_call.hired()
            self._listen(watchdog.answers, self._watchdog_answered, self._watchdog_ended)
            self._listen(watchdog.prints, lambda line: _log.warning("watchdog: %s", line))
            for order in self._watch_orders:
                if "watch" in order:
                    order["watch"]["taken_over"] = True
                watchdog.tell(**order)

    def _child_answered(self, line: str) -> None:
        child = self.child
        try:
            answer = json.loads(line, parse_constant=_refuse)
            if answer["event"] == "ready" and child is not None:
                child.ready, child.gpu_formats = True, tuple(map(str, answer["gpu_formats"]))
                self._child_rest.worked()
                _log.info("The engine is ready.")
            else:
                self._listener.child_answered(answer)
        except (ValueError, KeyError, TypeError):
            _log.warning("The child does not speak the protocol; it is killed.")
            if child is not None:
                child.kill()

    def _child_ended(self) -> None:
        child, self.child = self.child, None
        if child is None:
            return
        self._last_lines(child.prints, self._listener.child_printed)
        code = child.close()
        if not child.ready:
            self._child_rest.failed()
        _log.warning("The model's process %s.", ending(code))
        # The watchdog tells its reason before it kills, so it can be read by now.
        if self.watchdog is not None:
            for line in self.watchdog.answers.read():
                self._watchdog_answered(line)
        self._listener.child_ended(code, child.ready)

    def _watchdog_answered(self, line: str) -> None:
        answer = json.loads(line)
        self._roll_call.heard()
        if answer["event"] == "ready":
            self._watchdog_rest.worked()
        elif answer["event"] == "killed":
            self._listener.child_killed(answer["reason"])

    def _watchdog_ended(self) -> None:
        watchdog, self.watchdog = self.watchdog, None
        if watchdog is None:
            return
        self._last_lines(watchdog.prints, lambda line: _log.warning("watchdog: %s", line))
        code = watchdog.close()
        self._watchdog_rest.failed()
        _log.warning("The watchdog %s; another is started.", ending(code))

    def _last_lines(self, prints: LineReader, on_line: Callable[[str], None]) -> None:
        if not prints.closed:
            self._selector.unregister(prints)
            for line in prints.read():
                on_line(line)

    def _listen(
        self, pipe: LineReader, on_line: Callable[[str], None], on_end: Callable[[], None] | None = None
    ) -> None:
        def read() -> None:
            if pipe.released:  # its process was closed by another handler of the same round
                return
            for line in pipe.read():
                on_line(line)
            if pipe.closed:
                self._selector.unregister(pipe)
                if on_end is not None:
                    on_end()

        self._selector.register(pipe, selectors.EVENT_READ, read)


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON")
