"""An application on a real socket, within the process of the test."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Iterator
from typing import Any

from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server

ANSWER = "zooscope.answer"
SHUTDOWN_POLL_SECONDS = 0.02


class ClosingHandler(WSGIRequestHandler):
    """werkzeug leaves an answer open, and its file, when the browser has gone to another page meanwhile."""

    def connection_dropped(self, error: BaseException, environ: dict[str, Any] | None = None) -> None:
        answer = (environ or {}).get(ANSWER)
        if hasattr(answer, "close"):
            answer.close()


@contextlib.contextmanager
def served(app: Flask, port: int = 0) -> Iterator[str]:
    """Serve an application with threads; gives its URL by address."""

    def noted(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        environ[ANSWER] = answer = app(environ, start_response)
        return answer

    with make_server("127.0.0.1", port, noted, threaded=True, request_handler=ClosingHandler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(SHUTDOWN_POLL_SECONDS,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
