"""DOIs from DataCite, by its REST API and its own client: draft, then findable, then registered again when withdrawn.

A DOI's name is made up here, written down, and only then asked for: to ask twice is harmless. The client has no
timeout, tells a refusal from a fault of the server by no type, and writes into the metadata it is given: see `_Request`
and `_told`.
"""

from __future__ import annotations

import copy
import secrets
from pathlib import Path
from typing import Any

import requests
from datacite import DataCiteRESTClient
from datacite.errors import DataCiteError, HttpError
from datacite.request import DataCiteRequest

from zoo.doi_metadata import datacite_concept, datacite_version
from zoo.doi_registry import DoiRecord, DoiTaken, RegistryDown, RegistryRefused, Reserved

API = "https://api.datacite.org/"
TIMEOUT_SECONDS = (5.0, 30.0)
# Crockford's digits: no letter that is taken for a digit; 12 of them are 60 bits.
DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
NAME_DIGITS = 12
DRAFT, REGISTERED, FINDABLE = "draft", "registered", "findable"


class _Status(Exception):
    """An answer that is no success."""

    def __init__(self, code: int, text: str, retry_after: str) -> None:
        super().__init__(f"{code} {text}")
        self.code = code
        self.text = text
        self.retry_after = int(retry_after) if retry_after.isdigit() else None


class _Request(DataCiteRequest):
    """Tells every refusal by its status, which the client's own errors do not keep."""

    def request(self, *arguments: Any, **options: Any) -> requests.Response:
        response: requests.Response = super().request(*arguments, **options)
        if response.status_code >= requests.codes["bad_request"]:
            raise _Status(response.status_code, _sentence(response), response.headers.get("Retry-After", ""))
        return response


class _Client(DataCiteRESTClient):
    def _create_request(self) -> DataCiteRequest:
        return _Request(
            base_url=self.api_url, username=self.username, password=self.password, timeout=self.timeout
        )  # fmt: skip


class DataCite:
    """The account of a DataCite repository. `url` is that of the API, empty for the real one; thread-safe."""

    name = "datacite"
    mints = True
    one_draft = False

    def __init__(self, user: str, password: str, prefix: str, url: str = "", publisher: str = "Zooscope") -> None:
        # The client's `test_mode` would override the address.
        self._client = _Client(user, password, prefix, url=url or API, timeout=TIMEOUT_SECONDS)
        self._prefix = prefix
        self._publisher = publisher

    def new_name(self) -> str:
        return f"{self._prefix}/zs.{''.join(secrets.choice(DIGITS) for _ in range(NAME_DIGITS))}"

    def reserve(self, record: DoiRecord) -> Reserved:
        self._draft(record.concept_doi, record.concept_url)
        self._draft(record.doi, record.url)
        return Reserved(record.doi, record.concept_doi)

    def discard(self, record: DoiRecord) -> None:
        """Delete the version's draft; that of a model stays for the next version."""
        try:
            self._ask(self._client.delete_doi, record.doi)
        except _Status as status:
            # Gone already; or a stranger's, whose name was made up here before it was known.
            if status.code not in (requests.codes["not_found"], requests.codes["forbidden"]):
                raise self._refused(status, record.doi) from None

    def publish(self, record: DoiRecord, package: Path) -> None:
        self._turn(record.doi, FINDABLE, datacite_version(record, self._publisher), record.url)

    def update(self, record: DoiRecord) -> None:
        self.publish(record, Path())

    def withdraw(self, record: DoiRecord) -> None:
        self._turn(record.doi, REGISTERED, {}, record.url)

    def show_concept(self, record: DoiRecord) -> None:
        if record.public:
            metadata = datacite_concept(record, self._publisher)
            self._turn(record.concept_doi, FINDABLE, metadata, record.concept_url)
        else:
            self._turn(record.concept_doi, REGISTERED, {}, record.concept_url)

    def _draft(self, doi: str, url: str) -> None:
        """Have a DOI of this name; if there is one, ours is told from a stranger's by what it resolves to."""
        try:
            self._ask(self._client.draft_doi, {"url": url}, doi)
        except _Status as status:
            if status.code != requests.codes["unprocessable"] or "taken" not in status.text.lower():
                raise self._refused(status, doi) from None
            try:
                known = self._ask(self._client.get_metadata, doi)
            except _Status as hidden:
                if hidden.code in (requests.codes["not_found"], requests.codes["forbidden"]):
                    raise DoiTaken(doi) from None
                raise self._refused(hidden, doi) from None
            if known.get("url") != url:
                raise DoiTaken(doi) from None

    def _turn(self, doi: str, state: str, metadata: dict[str, Any], url: str) -> None:
        """Put what is told of a DOI, and its state; DataCite ignores an event that its state does not allow."""
        event = "publish" if state == FINDABLE else "hide"
        try:
            # `update_doi` sends what it is given as the attributes, the event as well.
            answer = self._ask(self._client.update_doi, doi, copy.deepcopy(metadata) | {"event": event}, url)
        except _Status as status:
            raise self._refused(status, doi) from None
        if answer.get("state") != state:
            raise RegistryRefused(
                f"DataCite keeps the DOI {doi} {answer.get('state', 'in no state')}, where {state} was asked for.",
                "See whether the prefix of the repository is one for tests only.",
            )

    def _ask(self, call: Any, *arguments: Any) -> Any:
        try:
            return call(*arguments)
        except (DataCiteError, ValueError, KeyError, TypeError) as error:
            # A success of another kind than the client knows, or no JSON: a proxy's page, perhaps.
            raise RegistryDown("DataCite's answer cannot be read.", "It is tried again by itself.") from error
        except (HttpError, OSError) as error:
            raise RegistryDown("DataCite does not answer.", "It is tried again by itself.") from error

    def _refused(self, status: _Status, doi: str) -> Exception:
        if (
            status.code in (requests.codes["too_many_requests"], requests.codes["request_timeout"])
            or status.code >= 500
        ):
            return RegistryDown("DataCite asks to wait.", "It is tried again by itself.", status.retry_after)
        if status.code in (requests.codes["unauthorized"], requests.codes["forbidden"]):
            return RegistryRefused(
                f"DataCite refuses the account of this Zooscope ({status.code}).",
                "Check ZOOSCOPE_DOI_USER, ZOOSCOPE_DOI_PASSWORD and ZOOSCOPE_DOI_PREFIX.",
            )
        return RegistryRefused(f"DataCite refuses the DOI {doi}: {status.text}", "Its metadata has to be put right.")


def _sentence(response: requests.Response) -> str:
    """What the answer says is wrong, as text."""
    try:
        errors = response.json()["errors"]
        return "; ".join(f"{error.get('source', '')} {error.get('title', '')}".strip() for error in errors)[:500]
    except (ValueError, KeyError, TypeError, AttributeError):
        return response.reason or ""
