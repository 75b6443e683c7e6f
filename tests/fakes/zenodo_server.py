"""Zenodo's deposit API for tests: drafts with reserved DOIs, files, publish, edit, newversion, and their refusals.

A reserved DOI is registered by publishing alone. A new version is made of the latest one only, inherits its files, and
there is one draft of it at a time: asked again, Zenodo gives the draft there is, or refuses while it has files
(`answers_existing`). What is published cannot be deleted, nor its files changed; a version needs other files than the
one before.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import Any

from fakes.registry_server import Answer, Asked, RegistryServer

REQUIRED = ("title", "upload_type", "description", "creators")
LICENCES = ("cc-by-4.0", "cc0-1.0", "mit", "apache-2.0", "bsd-3-clause", "cc-by-nc-sa-3.0")


@dataclass
class Deposition:
    id: int
    concept: int
    metadata: dict[str, Any]
    files: dict[str, bytes] = field(default_factory=dict)
    submitted: bool = False
    state: str = "unsubmitted"
    edited: dict[str, Any] | None = None


def refused(status: int, message: str, *errors: tuple[str, str]) -> Answer:
    named = [{"field": name, "messages": [text]} for name, text in errors]
    return Answer(status, {"status": status, "message": message, "errors": named})


class ZenodoServer(RegistryServer):
    """`depositions` by id; `minted` are the DOIs that were registered, in their order."""

    def __init__(self, token: str = "a token", answers_existing: bool = False) -> None:
        self.token = token
        self.answers_existing = answers_existing
        self.depositions: dict[int, Deposition] = {}
        self.minted: list[str] = []
        self.made = 100
        super().__init__()

    def drafts(self) -> list[int]:
        return [id for id, deposition in self.depositions.items() if not deposition.submitted]

    def answer(self, asked: Asked) -> Answer:
        if asked.headers.get("authorization") != f"Bearer {self.token}":
            return refused(401, "The server could not verify that you are authorized to access the URL requested.")
        if found := re.fullmatch(r"/api/files/bucket-(\d+)/(.+)", asked.path):
            return self._file(self.depositions.get(int(found[1])), found[2], asked.body)
        if asked.path == "/api/deposit/depositions":
            return self._list(asked) if asked.method == "GET" else self._make(asked.json())
        found = re.fullmatch(r"/api/deposit/depositions/(\d+)(?:/(actions|files)/(.+))?", asked.path)
        deposition = self.depositions.get(int(found[1])) if found else None
        if found is None or deposition is None:
            return refused(404, "PID does not exist.")
        if found[2] == "actions":
            return getattr(self, f"_{found[3]}")(deposition)
        if found[2] == "files":
            return self._delete_file(deposition, found[3])
        return {"GET": self._show, "PUT": self._put, "DELETE": self._delete}[asked.method](deposition, asked)

    def doi(self, recid: int) -> str:
        return f"10.5281/zenodo.{recid}"

    def versions(self, concept: int) -> list[Deposition]:
        return [each for each in self.depositions.values() if each.concept == concept]

    def _make(self, body: dict[str, Any]) -> Answer:
        self.made += 2
        made = Deposition(self.made, self.made - 1, body.get("metadata") or {})
        self.depositions[made.id] = made
        return Answer(201, self._shown(made))

    def _list(self, asked: Asked) -> Answer:
        listed = [each for each in self.depositions.values() if "status=draft" not in asked.query or not each.submitted]
        return Answer(200, [self._shown(each) for each in reversed(listed)])

    def _show(self, deposition: Deposition, asked: Asked) -> Answer:
        return Answer(200, self._shown(deposition))

    def _put(self, deposition: Deposition, asked: Asked) -> Answer:
        if deposition.state == "done":
            return refused(403, "This deposition is published: edit it first.")
        metadata = asked.json()["metadata"]
        if metadata.get("license") and metadata["license"] not in LICENCES:
            return refused(400, "Validation error.", ("metadata.license", "Invalid license."))
        if deposition.state == "inprogress":
            deposition.edited = metadata
        else:
            deposition.metadata = metadata
        return Answer(200, self._shown(deposition))

    def _delete(self, deposition: Deposition, asked: Asked) -> Answer:
        if deposition.submitted:
            return refused(403, "Published depositions cannot be deleted.")
        del self.depositions[deposition.id]
        return Answer(204)

    def _file(self, deposition: Deposition | None, name: str, content: bytes) -> Answer:
        if deposition is None:
            return refused(404, "Bucket does not exist.")
        if deposition.submitted:
            return refused(403, "The bucket is locked.")
        deposition.files[name] = content
        return Answer(201, {"key": name, "checksum": f"md5:{hashlib.md5(content).hexdigest()}", "size": len(content)})

    def _delete_file(self, deposition: Deposition, id: str) -> Answer:
        if deposition.submitted:
            return refused(403, "The files of a published deposition cannot be changed.")
        return (
            Answer(204) if deposition.files.pop(id.removeprefix("id-"), None) is not None else refused(404, "No file.")
        )

    def _publish(self, deposition: Deposition) -> Answer:
        if deposition.state == "done":
            return refused(403, "This deposition is published already.")
        metadata = deposition.edited or deposition.metadata
        missing = [
            (f"metadata.{name}", "Missing data for required field.") for name in REQUIRED if not metadata.get(name)
        ]
        if missing:
            return refused(400, "Validation error.", *missing)
        if not deposition.submitted:
            if not deposition.files:
                return refused(400, "Validation error.", ("files", "Minimum one file must be provided."))
            before = [each for each in self.versions(deposition.concept) if each.submitted]
            if any(sorted(each.files.values()) == sorted(deposition.files.values()) for each in before):
                return refused(400, "Validation error.", ("files", "New version's files must differ."))
            self.minted += [] if before else [self.doi(deposition.concept)]
            self.minted.append(self.doi(deposition.id))
        deposition.metadata, deposition.edited = metadata, None
        deposition.submitted, deposition.state = True, "done"
        return Answer(202, self._shown(deposition))

    def _edit(self, deposition: Deposition) -> Answer:
        if deposition.state != "done":
            return refused(403, "Only published depositions that are not in edit can be edited.")
        deposition.state = "inprogress"
        return Answer(201, self._shown(deposition))

    def _discard(self, deposition: Deposition) -> Answer:
        if deposition.state != "inprogress":
            return refused(403, "Nothing to discard.")
        deposition.state, deposition.edited = "done", None
        return Answer(201, self._shown(deposition))

    def _newversion(self, deposition: Deposition) -> Answer:
        versions = self.versions(deposition.concept)
        draft = next((each for each in versions if not each.submitted), None)
        published = [each.id for each in versions if each.submitted]
        if not deposition.submitted or deposition.id != max(published):
            return refused(403, "Only the latest version can have a new one.")
        if draft is not None and draft.files and not self.answers_existing:
            return refused(400, "A validation error occurred.", ("files.enabled", "Please remove all files first."))
        if draft is None:
            self.made += 1
            kept = {name: value for name, value in deposition.metadata.items() if name != "publication_date"}
            self.depositions[self.made] = Deposition(self.made, deposition.concept, kept, dict(deposition.files))
        return Answer(201, self._shown(deposition))

    def _shown(self, deposition: Deposition) -> dict[str, Any]:
        drafts = [each.id for each in self.versions(deposition.concept) if not each.submitted]
        files = [
            {"id": f"id-{name}", "filename": name, "checksum": hashlib.md5(content).hexdigest()}
            for name, content in deposition.files.items()
        ]
        reserved = {"prereserve_doi": {"doi": self.doi(deposition.id), "recid": deposition.id}}
        address = f"{self.url}/api/deposit/depositions"
        links = {"self": f"{address}/{deposition.id}", "bucket": f"{self.url}/api/files/bucket-{deposition.id}"}
        if drafts:
            links["latest_draft"] = f"{address}/{drafts[0]}"
        published = {"doi": self.doi(deposition.id), "conceptdoi": self.doi(deposition.concept)}
        return {
            "id": deposition.id, "conceptrecid": str(deposition.concept), "files": files, "links": links,
            "metadata": (deposition.edited or deposition.metadata) | reserved,
            "submitted": deposition.submitted, "state": deposition.state,
        } | (published if deposition.submitted else {})  # fmt: skip
