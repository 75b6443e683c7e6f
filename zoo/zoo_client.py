"""A small client of another Zooscope's public API: JSON, files up in parts and down with resume, tries again politely.

What may be repeated is: reads, parts of an upload, and whatever the service answered that it did not do (429, 503). An
answer that never came is only asked for again where asking twice does no harm.
"""

from __future__ import annotations

import contextlib
import email.utils
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import requests
import urllib3
from requests.auth import AuthBase

from zoo.errors import Unavailable, UserError, ZooscopeError

CONNECT_SECONDS, ANSWER_SECONDS = 10.0, 60.0
# A file is looked through before its last part is answered.
UPLOAD_SECONDS = 300.0
PART_BYTES = 8 * 2**20
CHUNK_BYTES = 2**18
TRIES = 6
LONGEST_WAIT_SECONDS = 60.0
BUSY = frozenset({429, 502, 503, 504})
UPLOAD_BUSY = "upload-busy"

Progress = Callable[[int, int], None]
Wait = Callable[[float], None]


def plain(text: object) -> str:
    """What a service says, on one line and without what could steer a terminal."""
    return "".join(character if character.isprintable() else " " for character in str(text))


class BadServer(UserError):
    code = "bad-server"


class ServiceAway(Unavailable):
    code = "service-away"


class Refused(ZooscopeError):
    """The service refused: code, status, message and hint are its own, `answer` the whole of what it said."""

    def __init__(self, status: int, answer: Mapping[str, Any]) -> None:
        error = answer.get("error")
        error = error if isinstance(error, Mapping) else {}
        super().__init__(
            plain(error.get("message") or f"The service answered {status}."), plain(error.get("hint") or "")
        )
        self.code, self.status, self.answer = str(error.get("code") or "refused"), status, dict(answer)


class _Bearer(AuthBase):
    """The token as an auth object, because requests lets a .netrc overrule a plain header."""

    def __init__(self, token: str) -> None:
        self.token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self.token:
            request.headers["Authorization"] = f"Bearer {self.token}"
        return request


class ZooClient:
    """Talks to the Zooscope at `server` (`https://host`), with an API token (`zst_…`) where one is needed."""

    def __init__(self, server: str, token: str = "", wait: Wait = time.sleep) -> None:
        parts = urlsplit(server)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise BadServer(
                f"{server[:100]!r} is no address of a Zooscope.", "Write it as https://zooscope.example.org."
            )
        self.server = server.rstrip("/")
        self._wait = wait
        self._session = requests.Session()
        self._session.auth = _Bearer(token)
        self._session.headers["Accept-Encoding"] = "identity"

    def close(self) -> None:
        self._session.close()

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        """The JSON answer; raises `Refused` and `ServiceAway`."""
        return self._json("GET", path, params={name: value for name, value in query.items() if value is not None})

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return self._json("POST", path, json=dict(body), repeat=False)

    def patch(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return self._json("PATCH", path, json=dict(body))

    def put_file(
        self, path: str, file: Path, key: str, progress: Progress = lambda done, total: None
    ) -> dict[str, Any]:
        """Send a file to `path` in parts and return the answer to the last; goes on where another try of `key` ended.

        `path` is that of the files; how much has come is asked at the same path of the uploads.
        """
        total = file.stat().st_size
        headers = {"X-Filename": quote(file.name), "Content-Type": "application/octet-stream"}
        if total == 0:
            return self._json("PUT", path, params={"key": key}, data=b"", headers=headers)
        start, tries = self._received(path, key), 0
        with file.open("rb") as source:
            while True:
                progress(start, total)
                source.seek(start)
                part = source.read(PART_BYTES)
                span = {"Content-Range": f"bytes {start}-{start + len(part) - 1}/{total}"}
                try:
                    answer = self._json(
                        "PUT", path, params={"key": key}, data=part, headers=headers | span, timeout=UPLOAD_SECONDS
                    )
                except Refused as refused:
                    tries += 1
                    if tries > TRIES or refused.status != 409 or not self._other_offset(refused):
                        raise
                    start = int(refused.answer.get("received", self._received(path, key)))
                    continue
                if "received" not in answer:
                    progress(total, total)
                    return answer
                start = int(answer["received"])

    def _other_offset(self, refused: Refused) -> bool:
        """Whether the upload may go on elsewhere in the file, or after a while."""
        if refused.code == UPLOAD_BUSY:
            self._wait(1.0)
            return True
        return "received" in refused.answer

    def _received(self, path: str, key: str) -> int:
        return int(self.get(path.replace("/files/", "/uploads/"), key=key)["received"])

    @contextlib.contextmanager
    def stream(self, path: str, start: int = 0, etag: str = "") -> Iterator[tuple[int, Iterator[bytes]]]:
        """A file's bytes from `start` on, if it still is the one of `etag`; gives where they really begin."""
        headers = {"Range": f"bytes={start}-"} | ({"If-Range": f'"{etag}"'} if etag else {}) if start else {}
        with self._answer("GET", path, stream=True, headers=headers) as response:
            yield (start if response.status_code == 206 else 0), self._chunks(response)

    def _chunks(self, response: requests.Response) -> Iterator[bytes]:
        """What has come as it comes, so that nothing of it is lost when the line breaks."""
        try:
            while chunk := response.raw.read1(CHUNK_BYTES):
                yield chunk
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._away(error) from error

    def _json(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        with self._answer(method, path, **options) as response:
            if response.status_code == 204:
                return {}
            found = self._body(response)
            if found is None:
                raise BadServer(f"{self.server} does not answer as Zooscope does.", "Check the address.")
            return found

    @contextlib.contextmanager
    def _answer(self, method: str, path: str, repeat: bool = True, **options: Any) -> Iterator[requests.Response]:
        """An answer of success; a busy or absent service is asked again a few times."""
        options.setdefault("timeout", ANSWER_SECONDS)
        options["timeout"] = (CONNECT_SECONDS, options["timeout"])
        for tried in range(1, TRIES + 1):
            try:
                # A redirect would carry the token elsewhere, or turn what is posted into a question.
                response = self._session.request(method, self.server + path, allow_redirects=False, **options)
            except (requests.ConnectionError, requests.Timeout) as error:
                never_sent = isinstance(error, requests.exceptions.ConnectTimeout)
                if tried == TRIES or not (repeat or never_sent):
                    raise self._away(error) from error
                self._wait(float(2**tried) / 2)
                continue
            except requests.RequestException as error:
                raise self._away(error) from error
            with response:
                if response.status_code in BUSY and tried < TRIES:
                    self._wait(_retry_after(response, float(2**tried) / 2))
                    continue
                self._check(response)
                yield response
                return

    def _check(self, response: requests.Response) -> None:
        status = response.status_code
        if status < 300:
            return
        if status < 400:
            target = response.headers.get("Location", "")
            raise BadServer(f"{self.server} says that it has moved to {target[:200]!r}.", "Use that address instead.")
        answer = self._body(response)
        if status in BUSY and answer is None:
            raise ServiceAway(f"{self.server} is not available now.", "Try again in a while.")
        raise Refused(status, answer or {})

    def _body(self, response: requests.Response) -> dict[str, Any] | None:
        try:
            found = response.json()
        except (ValueError, requests.RequestException, OSError):
            return None
        return found if isinstance(found, dict) else None

    def _away(self, error: Exception) -> ServiceAway:
        return ServiceAway(
            f"{self.server} does not answer: {_reason(error)}.", "Check the address and the network, and try again."
        )


def _reason(error: Exception) -> str:
    if isinstance(error, requests.Timeout):
        return "it takes too long"
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not trusted"
    return "the connection broke" if isinstance(error, urllib3.exceptions.HTTPError) else "no connection"


def _retry_after(response: requests.Response, default: float) -> float:
    """Seconds that the service asks to wait: told as a number or a date, never more than a minute."""
    told = response.headers.get("Retry-After", "")
    if told.isdigit():
        return min(float(told), LONGEST_WAIT_SECONDS)
    with contextlib.suppress(ValueError, TypeError):
        return min(max(email.utils.parsedate_to_datetime(told).timestamp() - time.time(), 0.0), LONGEST_WAIT_SECONDS)
    return default
