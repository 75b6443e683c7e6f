"""Connections to one server, kept alive; proxies and certificates as the environment says (HTTPS_PROXY,
REQUESTS_CA_BUNDLE).

What the environment says is read once, by requests; each request then goes straight to urllib3's pool, which takes a
third of the time that requests takes for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import BinaryIO

from requests import Request, Session
from requests.adapters import HTTPAdapter
from requests.exceptions import RequestException
from requests.utils import select_proxy
from urllib3 import BaseHTTPResponse, HTTPConnectionPool, Timeout

KEPT_ALIVE = 8


def is_address(server: str) -> bool:
    """Whether there can be a server at this URL."""
    try:
        request = Request("GET", server).prepare()
    except RequestException:
        return False
    return str(request.url).startswith(("http://", "https://"))


class Connections:
    """To `server`, a URL. Thread-safe; raises urllib3's HTTPError."""

    def __init__(self, server: str) -> None:
        self._adapter = HTTPAdapter(pool_maxsize=KEPT_ALIVE)
        request = Request("GET", f"{server}/").prepare()
        with Session() as session:
            found = session.merge_environment_settings(request.url, {}, None, None, None)
        proxies = found["proxies"]
        pool = self._adapter.get_connection_with_tls_context(request, found["verify"], proxies, found["cert"])
        assert isinstance(pool, HTTPConnectionPool)
        self._adapter.cert_verify(pool, request.url, found["verify"], found["cert"])
        self._pool = pool
        # The whole address for a proxy that forwards requests, the path alone for others.
        self._prefix = self._adapter.request_url(request, proxies).rstrip("/")
        proxy = select_proxy(str(request.url), proxies)
        self._headers = self._adapter.proxy_headers(proxy) if proxy and self._prefix.startswith("http:") else {}

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | BinaryIO | None,
        headers: Mapping[str, str],
        timeout: Timeout,
        whole: bool,
    ) -> BaseHTTPResponse:
        """The answer, with all its bytes or (not `whole`) to be read piece by piece, whatever its status is.

        Redirects are not followed: they would carry a token to wherever they point.
        """
        return self._pool.urlopen(
            method,
            self._prefix + path,
            body=body,
            headers={**self._headers, **headers},
            retries=False,
            redirect=False,
            assert_same_host=False,
            timeout=timeout,
            preload_content=whole,
        )

    def close(self) -> None:
        self._adapter.close()
