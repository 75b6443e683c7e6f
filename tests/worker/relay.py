"""A TCP relay that can be cut, as a cable can: what is on its way waits, nothing is closed, nobody is told."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading

CHUNK = 65536


class Relay:
    """Listens on `port` of this machine and forwards to another one. Use it as a context."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._wake, self._bell = socket.socketpair()
        self._lock = threading.Lock()
        self._wanted = "open"
        self._links: dict[socket.socket, socket.socket] = {}
        self._obeyed = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Relay:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._order("end")
        self._thread.join()

    def cut(self) -> None:
        """From now on nothing passes, in neither direction; connections stay open."""
        self._order("cut")

    def mend(self) -> None:
        """What was held back passes, and everything after it."""
        self._order("open")

    def sever(self) -> None:
        """Close every connection; new ones are welcome."""
        self._order("sever")

    def _order(self, wanted: str) -> None:
        self._obeyed.clear()
        with self._lock:
            self._wanted = wanted
        self._bell.send(b"\0")
        assert self._obeyed.wait(10)

    def _run(self) -> None:
        with selectors.DefaultSelector() as open_ones:
            open_ones.register(self._wake, selectors.EVENT_READ)
            self._open(open_ones)
            while self._obey(open_ones):
                for key, _ in open_ones.select():
                    if key.fileobj is self._wake:
                        self._wake.recv(CHUNK)
                        break
                    self._pass_on(open_ones, key.fileobj)  # type: ignore[arg-type]
        for one in (*self._links, self._listener, self._wake, self._bell):
            one.close()

    def _obey(self, open_ones: selectors.BaseSelector) -> bool:
        """Bring the links into the state that is wanted; False at the end."""
        with self._lock:
            wanted, self._wanted = self._wanted, ""
        if wanted in ("cut", "sever"):
            for one in (self._listener, *self._links):
                with contextlib.suppress(KeyError):
                    open_ones.unregister(one)
        if wanted == "sever":
            for one in self._links:
                one.close()
            self._links.clear()
        if wanted in ("open", "sever"):
            self._open(open_ones)
        if wanted:
            self._obeyed.set()
        return wanted != "end"

    def _open(self, open_ones: selectors.BaseSelector) -> None:
        for one in (self._listener, *self._links):
            with contextlib.suppress(KeyError):
                open_ones.register(one, selectors.EVENT_READ)

    def _pass_on(self, open_ones: selectors.BaseSelector, one: socket.socket) -> None:
        if one is self._listener:
            self._connect(open_ones)
            return
        other = self._links.get(one)
        if other is None:  # closed with its partner in this round
            return
        try:
            data = one.recv(CHUNK)
            other.sendall(data)
        except OSError:
            data = b""
        if not data:
            for end in (one, other):
                del self._links[end]
                open_ones.unregister(end)
                end.close()

    def _connect(self, open_ones: selectors.BaseSelector) -> None:
        near, _ = self._listener.accept()
        try:
            far = socket.create_connection(("127.0.0.1", self._target), timeout=5)
        except OSError:
            near.close()
            return
        self._links |= {near: far, far: near}
        for one in (near, far):
            one.settimeout(30)
            open_ones.register(one, selectors.EVENT_READ)
