"""Scripts, styles and icons go out gzipped: a third of the bytes, for the first visit over a slow network."""

from __future__ import annotations

import gzip
from functools import lru_cache

from flask import Flask, Response, request

COMPRESSED_TYPES = frozenset({"text/javascript", "application/javascript", "text/css", "image/svg+xml"})
LEVEL = 6
FILES_KEPT = 64


@lru_cache(maxsize=FILES_KEPT)
def _compressed(content: bytes) -> bytes:
    return gzip.compress(content, LEVEL, mtime=0)


def register(app: Flask) -> None:
    @app.after_request
    def compress(response: Response) -> Response:
        if not request.path.startswith("/static/") or response.mimetype not in COMPRESSED_TYPES:
            return response
        response.vary.add("Accept-Encoding")
        if response.status_code != 200 or "gzip" not in request.accept_encodings or request.range is not None:
            return response
        response.direct_passthrough = False
        response.set_data(_compressed(response.get_data()))
        response.content_encoding = "gzip"
        # The same file in another encoding: alike, not identical byte for byte.
        etag, _ = response.get_etag()
        if etag:
            response.set_etag(etag, weak=True)
        return response
