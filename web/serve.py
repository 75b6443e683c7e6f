"""The production server: gunicorn in this process, one worker process with threads.

One worker process, because live progress is handed from a worker's post to the browser's stream in memory; threads,
because long polls and event streams wait more than they compute.
`python -m web.serve` serves the settings in the environment; `--fd` takes over a listening socket. Several of them may
serve one socket and one data folder side by side; `--replaces` asks another one to end as soon as this one serves.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import psutil
from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger
from gunicorn.workers.gthread import _DEFER, ThreadWorker

from web.children import die_with_parent
from web.crew import Crew
from zoo import log_lines
from zoo.settings import Settings, read_settings
from zoo.turns import REQUESTS

KEEPALIVE_SECONDS = 5
# For requests under way when a server is asked to end, such as uploads; long polls and streams end by themselves.
GRACEFUL_SECONDS = 30
# The poller waits for a client that has said nothing by then.
FIRST_DATA_SECONDS = 0.05
# A client that neither sends nor reads for this long loses its thread.
IDLE_CLIENT_SECONDS = 60
# For the rest of a request that was answered before its end, so that the answer is not cut off (RFC 9112, 9.6).
LINGER_SECONDS = 2
LINGER_BYTES = 65536
# Programs send their next request as soon as they have an answer: a thread waits for it so long, and saves handing the
# client over to the thread that waits for all of them, and back. While other clients wait for a thread, this one goes
# behind them: when it is first in line again, its next request is there.
STAY_MILLISECONDS = 5
AGAIN = object()
# New clients are left to the replicas on the same socket for so long, while all threads of this one are busy.
LEAVE_SECONDS = 0.02
# gunicorn's largest request line; the query itself is limited by web.security.
REQUEST_LINE_BYTES = 8190


class Server(BaseApplication):
    """gunicorn, configured from our settings and nothing else."""

    def __init__(self, settings: Settings, listener: int | None = None, replaces: int | None = None) -> None:
        self.settings = settings
        self.listener = listener
        self.replaces = replaces
        super().__init__()

    def load_config(self) -> None:
        host = f"[{self.settings.host}]" if ":" in self.settings.host else self.settings.host
        values = {
            "bind": f"{host}:{self.settings.port}" if self.listener is None else f"fd://{self.listener}",
            "worker_class": PatientWorker,
            "workers": 1,
            "threads": self.settings.web_threads,
            "keepalive": KEEPALIVE_SECONDS,
            "graceful_timeout": GRACEFUL_SECONDS,
            "limit_request_line": REQUEST_LINE_BYTES,
            "loglevel": "warning",
            "logger_class": OneLog,
            "control_socket_disable": True,
            "post_worker_init": self.serving,
        }
        for name, value in values.items():
            self.cfg.set(name, value)

    def load(self) -> Callable[..., Iterable[bytes]]:
        from web.app import create_app

        app = create_app(self.settings)
        parts = app.extensions["zooscope"]
        parts.catalogue.fill_seeds(self.settings.seed_folder)
        return app

    def look_after(self, parts: Any) -> None:
        """Begin what goes on though nobody asks."""
        from web.upkeep import Upkeep

        Upkeep(parts).start()

    def serving(self, worker: Any) -> None:
        """Called in the process that answers requests, as soon as it does.

        Streams and long polls end when it is to stop, and when gunicorn's arbiter was killed: an orphan that went on
        with them would hold their clients for as long as they stay.
        """
        die_with_parent()
        parts = worker.wsgi.extensions["zooscope"]
        parts.stopping = parts.scheduler.stopping = lambda: not worker.alive or os.getppid() != worker.ppid
        self.look_after(parts)
        # What is there now stays for good: looking through it for garbage would hold up requests for milliseconds.
        gc.collect()
        gc.freeze()
        if self.replaces is not None and _is_sibling(self.replaces):
            os.kill(self.replaces, signal.SIGTERM)


def _is_sibling(pid: int) -> bool:
    """Whether a process is a server that was started by whoever started this one, and not another with its old id."""
    try:
        other, server = psutil.Process(pid), psutil.Process(os.getppid())
        return bool(other.ppid() == server.ppid() and __spec__.name in other.cmdline())
    except psutil.NoSuchProcess:
        return False


class OneLog(Logger):
    """gunicorn's own lines go where all others go."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        for handler in list(self.error_log.handlers):
            self.error_log.removeHandler(handler)
        self.error_log.propagate = True


class PatientWorker(ThreadWorker):
    """gunicorn's thread worker, with no thread held by a client that says nothing.

    Browsers open connections ahead of need; gunicorn gives each of them a thread for five seconds. It drops those that
    have said nothing yet when it is asked to end; here they are given the time of any other connection.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        # Clients that have a thread or wait for one, and since when a new one is left to others.
        self._served = 0
        self._left_since: float | None = None

    def get_thread_pool(self) -> ThreadPoolExecutor:
        """As many threads again as serve clients: for those that wait meanwhile."""
        pool = ThreadPoolExecutor(2 * self.cfg.threads)
        self._crew: Crew[Any] = Crew(pool, self.cfg.threads, self._serve)
        REQUESTS.on_leaving, REQUESTS.on_coming_back = self._crew.left, self._crew.back
        return pool

    def enqueue_req(self, conn: Any) -> None:
        self._served += 1
        self._crew.line_up(conn)

    def _serve(self, conn: Any) -> None:
        """Called in a thread of the crew."""
        done: Future[Any] = Future()
        try:
            done.set_result(self.handle(conn))
        except BaseException as error:
            done.set_exception(error)
        if self.alive and not done.exception() and done.result() is AGAIN:
            self._crew.line_up(conn)
        else:
            self.method_queue.defer(self.finish_request, conn, done)

    def accept(self, listener: Any) -> None:
        """Take a new client, or leave it for a moment: of processes that accept from one socket, the first to wake
        would take nearly all.
        """
        if self._served < self.cfg.threads:
            super().accept(listener)
            return
        self._left_since = time.monotonic()
        # gunicorn looks at the socket while it has fewer connections than it may have.
        self.worker_connections = 0

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        if self._left_since is None:
            super().wait_for_and_dispatch_events(timeout)
            return
        super().wait_for_and_dispatch_events(min(timeout, LEAVE_SECONDS))
        waited = time.monotonic() - self._left_since >= LEAVE_SECONDS
        if not waited and self._served >= self.cfg.threads:
            return
        self._left_since, self.worker_connections = None, self.cfg.worker_connections
        if self.alive and waited:
            # Nobody else took it, if it is still there.
            for listener in self.sockets:
                super().accept(listener)

    def handle(self, conn: Any) -> Any:
        if not conn.initialized and not conn.data_ready and not conn.wait_for_data(FIRST_DATA_SECONDS):
            if self.alive:
                return _DEFER
            if not conn.wait_for_data(KEEPALIVE_SECONDS):
                return False
        if not conn.initialized:
            limit = struct.pack("ll", IDLE_CLIENT_SECONDS, 0)
            # In the kernel rather than by settimeout, which would make a peek at the socket wait as well.
            conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
            conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        elif not _read_ahead(conn) and not _says(conn, 0):
            return True
        kept = self._answer(conn)
        while kept is True and self.alive and not _read_ahead(conn):
            if self._crew.has_line:
                return AGAIN
            if not _says(conn, STAY_MILLISECONDS):
                break
            kept = self._answer(conn)
        if kept is False:
            self._linger(conn.sock)
        return kept

    def _answer(self, conn: Any) -> Any:
        with REQUESTS.turn():
            return super().handle(conn)

    @staticmethod
    def _linger(client: socket.socket) -> None:
        """Wait in this thread for the client to close; gunicorn does so where it waits for everybody else."""
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_WR)
            client.settimeout(LINGER_SECONDS)
            deadline = time.monotonic() + LINGER_SECONDS
            while client.recv(LINGER_BYTES) and time.monotonic() < deadline:
                pass
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)

    def finish_request(self, conn: Any, fs: Future[Any]) -> None:
        self._served -= 1
        if not self.alive and not fs.cancelled() and not fs.exception() and fs.result() is _DEFER:
            self.enqueue_req(conn)  # asked to end in between
            return
        super().finish_request(conn, fs)


def _read_ahead(conn: Any) -> bool:
    """Whether gunicorn has read more than a request, so that the socket does not tell when the next one is there."""
    return bool(conn.is_http2 or conn.parser.unreader.buf.getvalue())


def _says(conn: Any, milliseconds: int) -> bool:
    """Whether a client says something, or hangs up, within so long."""
    waiting = select.poll()
    waiting.register(conn.sock, select.POLLIN)
    return bool(waiting.poll(milliseconds))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m web.serve", description=__doc__)
    parser.add_argument("--fd", type=int, help="number of an inherited listening socket")
    parser.add_argument("--replaces", type=int, metavar="PID", help="process id of the server to take over from")
    arguments = parser.parse_args()
    # gunicorn reads the command line of its process as well.
    sys.argv = sys.argv[:1]
    settings = read_settings()
    log_lines.begin("web", settings.log_format)
    Server(settings, arguments.fd, arguments.replaces).run()


if __name__ == "__main__":
    main()
