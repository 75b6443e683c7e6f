"""Who may do what, of every route there is: whoever adds one that changes something meets this test.

Strangers, other authors, authors where a reviewer is needed, and tokens that may not are refused, and nothing changes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from account_helpers import account_for, form_word, sessions_of, signed_in, token_for
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from zoo.accounts import Account

SAFE = {"GET", "HEAD", "OPTIONS"}
# What anyone may do; jobs and images belong to visitors, as tests of those tell.
OPEN = {
    "accounts.sign_in",
    "accounts.sign_up",
    "operator.sign_in",
    "api_images.upload_image",
    "api_images.image_from_sample",
    "api_estimates.make_estimates",
    "api_jobs.create_jobs",
}
OF_VISITORS = {"api_images.delete_image", "api_jobs.cancel_job", "api_jobs.rerun_job", "api_jobs.delete_job"}
# Of one's own account: there is nobody else's to change.
OF_ONESELF = {"api_submissions.create_submission", "publish.publish", "review_pages.submissions", "accounts."}
OF_REVIEWERS = {
    "api_submissions.return_submission",
    "api_submissions.accept_submission",
    "review_pages.review_action",
    "review_pages.review_list",
    "review_pages.review_page",
}
OF_ADMINS = {"admin_accounts."}
# Reviewers see, and say something, without owning it.
READ_BY_REVIEWERS = {
    "api_submissions.comment_submission",
    "api_submissions.get_submission",
    "api_submissions.get_package",
    "api_submission_files.get_file",
    "api_submission_files.get_file_thumbnail",
    "api_checks.get_check_file",
    "publish.publish_draft",
}
BODIES: dict[str, dict[str, Any]] = {
    "api_submissions.change_submission": {"fields": {"name": "Taken"}},
    "api_submissions.return_submission": {"text": "No."},
    "api_submissions.comment_submission": {"text": "No."},
    "api_versions.edit_version": {"name": "Taken"},
    "api_versions.withdraw_version": {"reason": "Taken."},
}
FORM = {"action": "accept", "text": "Yes.", "name": "Taken", "reason": "Taken.", "sure": "yes", "role": "admin"}
PRIVATE = ("/submissions", "/api/v1/submissions", "/review", "/publish", "/admin", "/account", "/api/v1/account")
Case = tuple[str, Rule]


@dataclass
class World:
    """A draft and a model of Ada's, and clients of everyone who might be after them."""

    app: Flask
    ada: Account
    draft: str
    clients: dict[str, FlaskClient]
    headers: dict[str, dict[str, str]]

    def ask(self, who: str, method: str, rule: Rule, form: bool = True) -> TestResponse:
        client = self.clients[who.partition(" ")[0]]
        url = self.url(rule)
        headers = self.headers.get(who, {})
        if method in SAFE:
            return client.open(url, method=method, headers=headers)
        if rule.rule.startswith("/api/"):
            if method == "PUT":
                return client.open(url, method=method, headers=headers, data=b"PK\3\4")
            return client.open(url, method=method, headers=headers, json=BODIES.get(rule.endpoint, {}))
        word = form_word(client) if form and client.get_cookie("zooscope_account") else "x"
        return client.open(url, method=method, headers=headers, data=FORM | {"form": word})

    def url(self, rule: Rule) -> str:
        id = self.ada.id if rule.endpoint.startswith("admin_accounts") else "cells"
        given = {"uuid": self.draft, "id": id, "version": "1.0.0", "role": "package", "name": "cover.png"}
        url = rule.rule
        for name, value in given.items():
            url = url.replace(f"<{name}>", value)
        return url

    def state(self) -> str:
        """Everything of Ada's that somebody might have changed."""
        parts = self.app.extensions["zooscope"]
        account = sessions_of(self.clients["stranger"]).accounts.get(self.ada.id)
        model = parts.catalogue.get("cells")
        return json.dumps([parts.submissions.get(self.draft), account, model], sort_keys=True)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, packages: Any, beanstalkd: Any) -> Iterator[World]:
    from web.app import create_app
    from zoo.settings import Settings

    data = tmp_path_factory.mktemp("access") / "data"
    app = create_app(Settings(data=data, beanstalkd=beanstalkd.address, free_disk_bytes=0))
    parts = app.extensions["zooscope"]
    parts.catalogue.fill_seeds(packages)
    people = {"ada": ("author",), "eve": ("author",), "rev": ("author", "reviewer"), "root": ("admin",)}
    clients = {"stranger": app.test_client()}
    for name, roles in people.items():
        clients[name] = app.test_client()
        signed_in(clients[name], name.capitalize(), roles)
    clients["program"] = app.test_client()
    ada = account_for(clients["ada"], "Ada")
    parts.documents.create("model_owners", "cells", {"id": "cells", "owner": ada.id, "at": 0.0})
    draft = parts.submissions.create(ada.id, {"name": "Ada's", "id": "adas", "version": "1.0.0"})["id"]
    tokens: dict[str, dict[str, str]] = {"program of eve": token_for(clients["stranger"], "Eve")[1]}
    tokens["program of ada, to read"] = token_for(clients["stranger"], "Ada", ("read",))[1]
    tokens["program of rev"] = token_for(clients["stranger"], "Rev")[1]
    sessions = sessions_of(clients["stranger"])
    for name, roles in people.items():
        sessions.accounts.set_roles(account_for(clients["stranger"], name.capitalize()).id, roles)
    tokens["program with none"] = {"Authorization": f"Bearer zst_{'0' * 32}_{'0' * 64}"}
    yield World(app, ada, draft, clients, tokens)
    parts.close()


@pytest.fixture(autouse=True)
def nothing_changes(request: pytest.FixtureRequest) -> Iterator[None]:
    if "world" not in request.fixturenames:
        yield
        return
    world: World = request.getfixturevalue("world")
    before = world.state()
    yield
    assert world.state() == before


def is_in(rule: Rule, endpoints: set[str]) -> bool:
    return any(rule.endpoint == one or (one.endswith(".") and rule.endpoint.startswith(one)) for one in endpoints)


def cases(world: World, wanted: Callable[[str, Rule], bool]) -> list[Case]:
    found = [
        (method, rule)
        for rule in world.app.url_map.iter_rules()
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
    ]
    return [case for case in found if wanted(*case)]


def is_private(method: str, rule: Rule) -> bool:
    """Every change that is not open to all, and what only some may see."""
    if rule.endpoint.startswith(("scheduler", "operator")) or is_in(rule, OPEN | OF_VISITORS):
        return False
    return method not in SAFE or any(rule.rule == one or rule.rule.startswith(f"{one}/") for one in PRIVATE)


def refused(world: World, who: str, wanted: Callable[[str, Rule], bool], statuses: tuple[int, ...] = (403,)) -> int:
    asked = cases(world, wanted)
    told = [(f"{method} {rule}", world.ask(who, method, rule).status_code) for method, rule in asked]
    assert [one for one in told if one[1] not in statuses] == []
    return len(asked)


def test_strangers_are_sent_to_sign_in(world: World) -> None:
    count = refused(world, "stranger", lambda m, r: is_private(m, r) and m not in SAFE, (401,))
    assert count >= 25
    refused(world, "stranger", lambda m, r: is_private(m, r) and m in SAFE, (401, 303))
    for method, rule in cases(world, lambda m, r: is_private(m, r) and m in SAFE):
        answer = world.ask("stranger", method, rule)
        if answer.status_code == 303:
            assert answer.location.startswith("/sign-in?next=")


def test_a_token_that_is_none_is_refused_everywhere(world: World) -> None:
    refused(world, "program with none", lambda m, r: is_private(m, r), (401, 403))


def of_ada(method: str, rule: Rule) -> bool:
    """What is about something of Ada's."""
    return is_private(method, rule) and "<" in rule.rule and not is_in(rule, OF_ONESELF)


def test_other_authors_touch_nothing_of_adas(world: World) -> None:
    assert refused(world, "eve", of_ada) >= 20
    refused(world, "program of eve", of_ada)


def test_reviewers_change_nothing_that_is_not_theirs(world: World) -> None:
    refused(world, "rev", lambda m, r: of_ada(m, r) and not is_in(r, OF_REVIEWERS | READ_BY_REVIEWERS))


def test_authors_do_not_review_even_their_own(world: World) -> None:
    assert refused(world, "ada", lambda m, r: is_in(r, OF_REVIEWERS)) >= 4


def test_nobody_but_admins_administers(world: World) -> None:
    for who in ("ada", "rev"):
        assert refused(world, who, lambda m, r: is_in(r, OF_ADMINS)) == 3


def test_a_token_that_may_read_changes_nothing(world: World) -> None:
    refused(world, "program of ada, to read", lambda m, r: is_private(m, r) and m not in SAFE)


def test_a_reviewers_token_does_not_review(world: World) -> None:
    refused(world, "program of rev", lambda m, r: is_in(r, OF_REVIEWERS | OF_ADMINS))


def test_a_form_of_no_session_does_nothing(world: World) -> None:
    """Whoever is signed in and led to a page of somebody else's making posts no form of ours."""
    pages = cases(
        world,
        lambda m, r: is_private(m, r) and m not in SAFE and not r.rule.startswith("/api/"),
    )
    assert len(pages) >= 10
    for method, rule in pages:
        for who in ("ada", "rev", "root"):
            assert world.ask(who, method, rule, form=False).status_code == 403, rule


def test_another_site_changes_nothing(world: World) -> None:
    for method, rule in cases(world, lambda m, r: m not in SAFE and not r.endpoint.startswith("scheduler")):
        url = world.url(rule).replace("<", "").replace(">", "")
        answer = world.clients["ada"].open(url, method=method, headers={"Sec-Fetch-Site": "cross-site"}, json={})
        assert answer.status_code == 403, rule


def test_workers_and_operators_doors_are_shut(world: World) -> None:
    """To everyone here: they are for other tokens."""

    def wanted(method: str, rule: Rule) -> bool:
        return method not in SAFE and rule.endpoint.startswith(("scheduler", "operator")) and not is_in(rule, OPEN)

    for who in ("stranger", "root", "program of rev"):
        for method, rule in cases(world, wanted):
            answer = world.clients[who.partition(" ")[0]].open(
                world.url(rule), method=method, headers=world.headers.get(who, {}), json={}
            )
            led_away = answer.status_code == 303 and answer.location == "/operator/sign-in"
            assert answer.status_code in (401, 403) or led_away, f"{method} {rule} for {who}: {answer.status_code}"


def test_its_owner_is_let_in(world: World) -> None:
    """Else the tests above would pass for a wrong reason."""
    for method, rule in cases(
        world, lambda m, r: of_ada(m, r) and m in SAFE and not is_in(r, OF_REVIEWERS | OF_ADMINS)
    ):
        assert world.ask("ada", method, rule).status_code not in (401, 403), rule
        if is_in(rule, READ_BY_REVIEWERS):
            assert world.ask("rev", method, rule).status_code not in (401, 403), rule
    for method, rule in cases(world, lambda m, r: m in SAFE and is_in(r, OF_REVIEWERS)):
        assert world.ask("rev", method, rule).status_code == 200, rule
    for method, rule in cases(world, lambda m, r: m in SAFE and is_in(r, OF_ADMINS)):
        assert world.ask("root", method, rule).status_code == 200, rule


def test_who_is_no_author_any_more_submits_nothing(client: FlaskClient) -> None:
    signed_in(client)
    draft = client.post("/api/v1/submissions", json={}).get_json()["id"]
    account = account_for(client, roles=())
    sessions_of(client).accounts.set_roles(account.id, ())
    for method, path in (("post", ""), ("patch", f"/{draft}"), ("post", f"/{draft}/submit"), ("delete", f"/{draft}")):
        json_body = {"fields": {}} if method == "patch" else {}
        answer = client.open(f"/api/v1/submissions{path}", method=method.upper(), json=json_body)
        assert answer.status_code == 403, (method, path)
        assert "This is for authors." in answer.text
    assert client.get(f"/api/v1/submissions/{draft}").status_code == 200
