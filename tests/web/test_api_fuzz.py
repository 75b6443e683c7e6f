"""Schemathesis asks every operation of the public API for what its description allows and for what it forbids.

The real application answers, with models, an image and a finished job in it. No answer is a 500, and every answer is
one that the description names, with the type and the shape that it names.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from account_helpers import signed_in, token_for
from check_helpers import put_file
from flask import Flask
from hypothesis import given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from web_helpers import WorkerHand, submit, upload

from scheduler.broker import Broker
from web.api.openapi import document
from web.app import create_app
from zoo.package_inspect import look
from zoo.secrets import worker_token
from zoo.settings import Settings

OPERATIONS = [(method, path) for path, methods in document()["paths"].items() for method in methods]
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
# Parts that are down or full are told by their own statuses, where the description has them.
CONFIG = schemathesis.Config.from_dict(
    {"seed": 1, "checks": {"not_a_server_error": {"expected-statuses": ["2xx", "3xx", "4xx", "503", "507"]}}}
)
EXAMPLES = 6


@dataclass
class Fuzzed:
    """An application, the names of what is in it, the headers of who asks, and what a draft may hold."""

    app: Flask
    there: dict[str, Any]
    askers: list[dict[str, str]]
    author: str
    package: Path
    fields: dict[str, Any]
    schema: Any

    def draft(self) -> str:
        """A new draft of the author's, with a package."""
        parts = self.app.extensions["zooscope"]
        id = str(parts.submissions.create(self.author, self.fields)["id"])
        put_file(self.app, id, "package", "cells.zip", self.package.read_bytes())
        return id


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory, beanstalkd: Broker, packages: Path) -> Iterator[Fuzzed]:
    """An application with something of everything in it."""
    settings = Settings(
        data=tmp_path_factory.mktemp("fuzzed"), beanstalkd=beanstalkd.address, free_disk_bytes=0, upload_bytes=400_000
    )
    app = create_app(settings)
    parts = app.extensions["zooscope"]
    parts.catalogue.fill_seeds(packages)
    client = app.test_client()
    job = submit(client)
    hand = WorkerHand(app.test_client(), worker_token(settings))
    hand.finish(hand.start())
    there = {
        "models": "cells",
        "images": upload(client)["id"],
        "jobs": job["uuid"],
        "version": "1.0.0",
        "name": "log.txt",
        "role": "package",
    }
    bodies = {"image": there["images"], "models": ["cells"], "model": "cells"}
    author, token = token_for(client)
    signed_in(client, "Grace", ("author", "reviewer", "admin"))
    cookie = client.get_cookie("zooscope_account")
    assert cookie
    yield Fuzzed(
        app,
        there | {"bodies": bodies},
        [{}, token, {"Cookie": f"zooscope_account={cookie.value}"}],
        author.id,
        packages / "cells.zip",
        look(packages / "cells.zip", "cells.zip", settings).fields,
        schemathesis.openapi.from_wsgi("/api/v1/openapi.json", read_whole(app), config=CONFIG),
    )
    parts.close()


def known_parameters(path: str, there: dict[str, Any]) -> dict[str, Any]:
    """Names of things that are there, for the parameters in `path`."""
    subject = path.split("/")[3]
    found = {name: there[subject] for name in ("id", "uuid") if f"{{{name}}}" in path and subject in there}
    return found | {name: there[name] for name in ("version", "name", "role") if f"{{{name}}}" in path}


def read_whole(app: Flask) -> Any:
    """The application with answers that are read to their end and closed, as a server does it, and not compressed."""

    def answer(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        environ.pop("HTTP_ACCEPT_ENCODING", None)
        parts = app.wsgi_app(environ, start_response)
        with contextlib.closing(parts) if hasattr(parts, "close") else contextlib.nullcontext():  # type: ignore[type-var]
            return [b"".join(parts)]

    return answer


@pytest.mark.parametrize(("method", "path"), OPERATIONS, ids=[f"{method} {path}" for method, path in OPERATIONS])
def test_no_request_is_answered_otherwise_than_described(fuzzed: Fuzzed, method: str, path: str) -> None:
    there = fuzzed.there | ({"submissions": fuzzed.draft()} if "/submissions/" in path else {})
    operation = fuzzed.schema[path][method.upper()]
    cases = st.one_of(operation.as_strategy(mode) for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE))

    @settings(max_examples=EXAMPLES, database=None)
    @given(case=cases, known=st.booleans(), asker=st.sampled_from(fuzzed.askers))
    def ask(case: Any, known: bool, asker: dict[str, str]) -> None:
        if known:
            case.path_parameters = (case.path_parameters or {}) | known_parameters(path, there)
            if isinstance(case.body, dict):
                case.body |= {name: there["bodies"][name] for name in case.body.keys() & there["bodies"].keys()}
        case.call_and_validate(checks=CHECKS, headers=asker)

    ask()


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b'{"a": NaN}',
        b'{"a": 1e999}',
        b'{"a": 1, "a": 2}',
        b'{"a": "\\ud800"}',
        b"\xff\xfe",
        b"null",
        b'{"a": "' + b"x" * 2**21 + b'"}',
    ],
    ids=["open", "deep", "NaN", "infinite", "twice", "surrogate", "bytes", "null", "large"],
)
def test_no_body_is_too_strange_to_be_refused(fuzzed: Fuzzed, body: bytes) -> None:
    client, there = fuzzed.app.test_client(), fuzzed.there
    for method, path in OPERATIONS:
        described = document()["paths"][path][method].get("requestBody", {}).get("content", {})
        if "application/json" in described:
            address = path.format_map(defaultdict(lambda: "0" * 32, known_parameters(path, there)))
            answer = client.open(
                address, method=method.upper(), data=body, content_type="application/json", headers=fuzzed.askers[1]
            )
            assert 400 <= answer.status_code < 500, (method, path, answer.status_code)
            assert answer.get_json()["error"]["message"]
