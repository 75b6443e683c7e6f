"""Serving stored files: safe types, names for the download, and caching by content."""

from __future__ import annotations

import re
from pathlib import Path

from flask import Response, request, send_file

# A file opened as a page of its own may load nothing and run nothing.
FILE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'"
# Types a browser may show; everything else is a download.
SHOWN_TYPES = frozenset({"image/png", "image/jpeg", "text/plain"})
IMMUTABLE = "private, max-age=31536000, immutable"
REVALIDATED = "private, no-cache"


def send(path: Path, media_type: str, name: str, etag: str, immutable: bool = False) -> Response:
    """Send a file; `etag` names its content. `?download` asks for a download of a type that would be shown."""
    attached = media_type not in SHOWN_TYPES or "download" in request.args
    response = send_file(
        path, mimetype=media_type, as_attachment=attached, download_name=name, etag=etag, conditional=True
    )
    return finish(response, immutable)


def finish(response: Response, immutable: bool) -> Response:
    """Add what every served file carries."""
    response.headers["Content-Security-Policy"] = FILE_POLICY
    response.headers["Cache-Control"] = IMMUTABLE if immutable else REVALIDATED
    return response


def asked_by_content(sha256: str) -> bool:
    """Whether the address names this content (`?sha256=`), so that it may be cached for good."""
    asked = request.args.get("sha256", "")
    return len(asked) >= 16 and sha256.startswith(asked)


def download_name(*parts: str) -> str:
    """A file name of plain characters from the given parts, joined by a dash."""
    return "-".join(re.sub(r"[^A-Za-z0-9._-]+", "_", part).strip("._-") for part in parts if part)
