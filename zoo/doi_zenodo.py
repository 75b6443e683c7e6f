"""DOIs from Zenodo, by its deposit API: a draft with a reserved DOI, its file, publish; later versions by `newversion`.

Zenodo names the DOIs itself, that of all versions with the first. A reserved DOI is not registered before the draft is
published. A draft whose reservation was never written down is found again by the address that it is to resolve to.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, urlsplit

import requests

from zoo.doi_metadata import zenodo_deposit
from zoo.doi_registry import DoiRecord, RegistryDown, RegistryRefused, Reserved

ADDRESS = "https://zenodo.org"
TIMEOUT_SECONDS = (5.0, 60.0)
# Zenodo stores a file before it answers.
UPLOAD_TIMEOUT_SECONDS = (5.0, 600.0)
DRAFTS_LISTED = 100
IN_EDIT = "inprogress"

Json = dict[str, Any]


class _Refused(Exception):
    """An answer that is no success and no reason to wait."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code} {text}")
        self.code = code
        self.text = text


class Zenodo:
    """The account at Zenodo that `token` belongs to (scopes deposit:write and deposit:actions). `url` is that of the
    site, empty for the real one; thread-safe."""

    name = "zenodo"
    mints = True
    one_draft = True

    def __init__(self, token: str, url: str = "") -> None:
        self._url = (url or ADDRESS).rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"}

    def new_name(self) -> str:
        return ""

    def reserve(self, record: DoiRecord) -> Reserved:
        if record.latest:
            draft = self._new_version(record)
        else:
            draft = self._orphan(record) or self._ask("POST", "", json={"metadata": _metadata(record)})
        try:
            doi, recid = draft["metadata"]["prereserve_doi"]["doi"], str(draft["metadata"]["prereserve_doi"]["recid"])
            concept = doi.removesuffix(recid) + str(draft["conceptrecid"])
            return Reserved(doi, record.concept_doi or concept, {"deposition": int(draft["id"])})
        except (KeyError, TypeError, ValueError) as error:
            raise RegistryDown("Zenodo reserved no DOI.", "It is tried again by itself.") from error

    def discard(self, record: DoiRecord) -> None:
        try:
            self._try("DELETE", f"/{_deposition(record)}")
        except _Refused as refused:
            if refused.code not in (requests.codes["not_found"], requests.codes["gone"]):
                raise self._error(refused) from None

    def publish(self, record: DoiRecord, package: Path) -> None:
        id = _deposition(record)
        draft = self._ask("GET", f"/{id}")
        try:
            if not draft.get("submitted"):
                self._try("PUT", f"/{id}", json={"metadata": _metadata(record)})
                self._put_file(draft, package, f"{record.model_id}-{record.version}.zip")
                draft = self._try("POST", f"/{id}/actions/publish")
        except _Refused as refused:
            # Someone else who had the same to do may have been faster.
            draft = self._ask("GET", f"/{id}")
            if not draft.get("submitted"):
                raise self._error(refused) from None
        if draft.get("doi", record.doi) != record.doi:
            raise RegistryRefused(
                f"Zenodo published {record.key} as {draft['doi']}, where {record.doi} was reserved.",
                "Tell Zenodo's support.",
            )

    def update(self, record: DoiRecord) -> None:
        """Also goes on with an edit that was begun and not published."""
        id = _deposition(record)
        if self._ask("GET", f"/{id}").get("state") != IN_EDIT:
            self._ask("POST", f"/{id}/actions/edit")
        self._ask("PUT", f"/{id}", json={"metadata": _metadata(record)})
        self._ask("POST", f"/{id}/actions/publish")

    def withdraw(self, record: DoiRecord) -> None:
        """Zenodo takes nothing back: the record says from now on that the version is withdrawn, and why."""
        self.update(record)

    def show_concept(self, record: DoiRecord) -> None:
        """Zenodo's own concept DOI resolves to the newest version by itself."""

    def _new_version(self, record: DoiRecord) -> Json:
        """The draft of the next version. There is one at most, and Zenodo refuses, or gives that, when there is one."""
        latest = int(record.latest["deposition"])
        try:
            answer = self._try("POST", f"/{latest}/actions/newversion")
        except _Refused as refused:
            if refused.code not in (requests.codes["bad_request"], requests.codes["conflict"]):
                raise self._error(refused) from None
            answer = self._ask("GET", f"/{latest}")
            if _latest_draft(answer) in (None, latest):
                raise self._error(refused) from None
        id = _latest_draft(answer)
        if id is None or id == latest:
            raise RegistryDown("Zenodo made no draft of a new version.", "It is tried again by itself.")
        return self._ask("GET", f"/{id}")

    def _orphan(self, record: DoiRecord) -> Json | None:
        """The draft that was made for this version before a crash, if there is one."""
        drafts: Any = self._ask("GET", f"?status=draft&sort=mostrecent&size={DRAFTS_LISTED}")
        for draft in drafts if isinstance(drafts, list) else []:
            related = draft.get("metadata", {}).get("related_identifiers") or []
            if not draft.get("submitted") and any(entry.get("identifier") == record.url for entry in related):
                return self._ask("GET", f"/{int(draft['id'])}")
        return None

    def _put_file(self, draft: Json, package: Path, name: str) -> None:
        """Have the package as the only file of the draft: what a new version inherits goes, what is there stays."""
        with package.open("rb") as file:
            md5 = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        there = False
        for entry in draft.get("files") or []:
            if entry["filename"] == name and _md5(entry) == md5:
                there = True
            else:
                self._try("DELETE", f"/{int(draft['id'])}/files/{quote(str(entry['id']), safe='')}")
        if there:
            return
        bucket = str(draft.get("links", {}).get("bucket", ""))
        if urlsplit(bucket)[:2] != urlsplit(self._url)[:2]:
            raise RegistryRefused("Zenodo wants the file sent to another site.", "Check ZOOSCOPE_DOI_URL.")
        with package.open("rb") as file:
            stored = self._answer("PUT", f"{bucket}/{quote(name, safe='')}", data=file, timeout=UPLOAD_TIMEOUT_SECONDS)
        if _md5(stored) != md5:
            raise RegistryDown("The package reached Zenodo damaged.", "It is sent again by itself.")

    def _ask(self, method: str, path: str, **options: Any) -> Json:
        try:
            return self._try(method, path, **options)
        except _Refused as refused:
            raise self._error(refused) from None

    def _try(self, method: str, path: str, **options: Any) -> Json:
        return self._answer(method, f"{self._url}/api/deposit/depositions{path}", **options)

    def _answer(self, method: str, url: str, timeout: tuple[float, float] = TIMEOUT_SECONDS, **options: Any) -> Json:
        """The answer's JSON, empty without one. Raises `_Refused`, or `RegistryDown` where waiting helps."""
        try:
            # Redirects would take the token elsewhere.
            response = requests.request(
                method, url, headers=self._headers, allow_redirects=False, timeout=timeout, **options
            )
        except requests.RequestException as error:
            raise RegistryDown("Zenodo does not answer.", "It is tried again by itself.") from error
        code = response.status_code
        if code == requests.codes["too_many_requests"] or code >= requests.codes["server_error"]:
            wait = response.headers.get("Retry-After", "")
            raise RegistryDown(
                "Zenodo asks to wait.", "It is tried again by itself.", int(wait) if wait.isdigit() else None
            )
        if not response.ok or response.is_redirect:
            raise _Refused(code, _sentence(response))
        try:
            return cast(Json, response.json()) if response.content else {}
        except ValueError as error:
            raise RegistryDown("Zenodo's answer cannot be read.", "It is tried again by itself.") from error

    def _error(self, refused: _Refused) -> RegistryRefused:
        if refused.code in (requests.codes["unauthorized"], requests.codes["forbidden"]):
            return RegistryRefused(
                f"Zenodo refuses this Zooscope ({refused.code}): {refused.text}",
                "Check ZOOSCOPE_DOI_PASSWORD: a token with the scopes deposit:write and deposit:actions.",
            )
        if refused.code in (requests.codes["not_found"], requests.codes["gone"]):
            return RegistryRefused("The draft is no longer at Zenodo.", "Someone deleted it there; reserve another.")
        return RegistryRefused(f"Zenodo refuses: {refused.text}", "What is told of the model has to be put right.")


def _metadata(record: DoiRecord) -> Json:
    """What a deposit says: while it is only reserved, no more than what it is for."""
    if record.document:
        return zenodo_deposit(record)
    return zenodo_deposit(record) | {"title": record.key, "description": f"<p>Reserved for {record.key}.</p>"}


def _deposition(record: DoiRecord) -> int:
    return int(record.remote["deposition"])


def _latest_draft(answer: Json) -> int | None:
    """The number of the draft that an answer names, None without one."""
    last = str(answer.get("links", {}).get("latest_draft", "")).rstrip("/").rsplit("/", 1)[-1]
    return int(last) if last.isdigit() else None


def _md5(entry: Mapping[str, Any]) -> str:
    return str(entry.get("checksum", "")).removeprefix("md5:")


def _sentence(response: requests.Response) -> str:
    """What the answer says is wrong, as text: the message, then each field with its messages."""
    try:
        answer = response.json()
        errors = [
            f"{error.get('field', '')}: {' '.join(error.get('messages') or [error.get('message', '')])}"
            for error in answer.get("errors") or []
        ]
        return " ".join([str(answer.get("message", "")), *errors])[:500]
    except (ValueError, TypeError, AttributeError):
        return response.reason or ""
