"""DataCite's REST API for tests: the states of a DOI and what each refuses, as the real one has them.

draft → (publish) → findable → (hide) → registered → (publish, show) → findable; draft → (register) → registered. An
event that the state does not allow is ignored, as the real one does. Only drafts can be deleted (405). What is
registered or findable needs an address and metadata of kernel 4.5 (422). PUT of an unknown DOI makes it (201).
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import Any

from datacite import schema45
from fakes.registry_server import Answer, Asked, RegistryServer

DOI = re.compile(r"10\.\d{4,5}/[-._;()/:a-zA-Z0-9*~$=]+")
EVENTS = {
    ("draft", "register"): "registered",
    ("draft", "publish"): "findable",
    ("registered", "publish"): "findable",
    ("registered", "show"): "findable",
    ("findable", "hide"): "registered",
}


@dataclass
class Doi:
    owner: str
    state: str
    attributes: dict[str, Any]


def refused(status: int, title: str, source: str = "") -> Answer:
    return Answer(status, {"errors": [{"status": str(status), "source": source, "title": title}]})


class DataCiteServer(RegistryServer):
    """`dois` by their lower-case name; `history` has every state a DOI ever had."""

    def __init__(self, user: str = "TIB.ZOO", password: str = "secret", prefix: str = "10.12345") -> None:
        self.user, self.password, self.prefix = user, password, prefix
        self.dois: dict[str, Doi] = {}
        self.history: list[tuple[str, str]] = []
        super().__init__()

    def states(self) -> dict[str, str]:
        return {name: doi.state for name, doi in self.dois.items()}

    def answer(self, asked: Asked) -> Answer:
        known = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        if asked.headers.get("authorization") != f"Basic {known}":
            return refused(401, "Bad credentials.")
        if asked.path == "/dois" and asked.method == "POST":
            return self._create(asked.json()["data"]["attributes"])
        name = asked.path.removeprefix("/dois/").lower()
        if asked.method == "PUT":
            return self._put(name, asked.json()["data"]["attributes"])
        doi = self.dois.get(name)
        if doi is None or (doi.owner != self.user and doi.state == "draft"):
            return refused(404, "The resource you are looking for doesn't exist.")
        if asked.method == "GET":
            return Answer(200, self._shown(name))
        return self._delete(name, doi)

    def _create(self, attributes: dict[str, Any]) -> Answer:
        name = str(attributes.get("doi", f"{attributes.get('prefix')}/made-up-here")).lower()
        if not DOI.fullmatch(name):
            return refused(422, "Is invalid", "doi")
        if name.split("/")[0] != self.prefix:
            return refused(403, "You are not authorized to perform this action.")
        if name in self.dois:
            return refused(422, "This DOI has already been taken", "doi")
        return self._store(name, Doi(self.user, "draft", {}), attributes, 201)

    def _put(self, name: str, attributes: dict[str, Any]) -> Answer:
        doi = self.dois.get(name)
        if doi is None:
            return self._create(attributes | {"doi": name})
        if doi.owner != self.user:
            return refused(403, "You are not authorized to perform this action.")
        return self._store(name, doi, attributes, 200)

    def _store(self, name: str, doi: Doi, attributes: dict[str, Any], status: int) -> Answer:
        event = attributes.get("event")
        if event not in (None, "publish", "register", "hide", "show"):
            return refused(422, "Unknown event", "event")
        kept = doi.attributes | {key: value for key, value in attributes.items() if key != "event"} | {"doi": name}
        state = EVENTS.get((doi.state, event or ""), doi.state)
        if state != "draft":
            if not re.match(r"https?://\S+", str(kept.get("url", ""))):
                return refused(422, "Can't be blank", "url")
            wrong = next(iter(schema45.validator.iter_errors(kept)), None)
            if wrong is not None:
                return refused(422, wrong.message, ".".join(map(str, wrong.path)))
        self.dois[name] = Doi(doi.owner, state, kept)
        self.history.append((name, state))
        return Answer(status, self._shown(name))

    def _delete(self, name: str, doi: Doi) -> Answer:
        if doi.owner != self.user:
            return refused(403, "You are not authorized to perform this action.")
        if doi.state != "draft":
            return Answer(
                405, {"errors": [{"status": "405", "title": "Method not allowed"}]}, {"Allow": "HEAD, GET, POST"}
            )
        del self.dois[name]
        return Answer(204)

    def _shown(self, name: str) -> dict[str, Any]:
        doi = self.dois[name]
        return {"data": {"id": name, "type": "dois", "attributes": doi.attributes | {"state": doi.state}}}
