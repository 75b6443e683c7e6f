"""Item 47 in a browser: names, cards, authors and comments with HTML in them are shown as text and run nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browser_visitor import Visitor, visitors_of
from example_package import make_package
from flask import Flask
from hostile_files import repacked
from playwright.sync_api import Browser, Page
from served_application import served

from web.app import create_app
from zoo.review import Person
from zoo.settings import Settings

PASSWORD = "four words in a row"
SCRIPT = "<script>window.harmed = true</script>"
PICTURE = '"><img src="x" onerror="window.harmed = true">'
DATA = "</script><script>window.harmed = true</script>"
TEMPLATE = "{{ 7 * 7 }} ${7 * 7} '; window.harmed = true; //"
LINK = "javascript:window.harmed = true"
ALL = f"{SCRIPT} {PICTURE} {DATA} {TEMPLATE} {LINK}"
CARD = (
    f"# {SCRIPT}\n\n{PICTURE}\n\n[a link]({LINK})\n\n<a href='{LINK}'>another</a>\n\n![x]({LINK})\n\n"
    f"[data](data:text/html,{DATA})\n\n<iframe srcdoc='{SCRIPT}'></iframe>\n"
)
# What a page must not hold, whatever it shows.
HARM = """() => [
  window.harmed ? "a script ran" : "",
  ...[...document.querySelectorAll("*")].flatMap((one) => [...one.attributes]
    .filter((a) => a.name.startsWith("on")
      || /^\\s*(javascript|data:text)/i.test(a.value) && /^(href|src|action)$/.test(a.name))
    .map((a) => `${one.localName} has ${a.name}="${a.value.slice(0, 60)}"`)),
  ...[...document.scripts].filter((one) => !one.type.endsWith("json") && !one.src)
    .map(() => "an inline script"),
  ...[...document.querySelectorAll("iframe, object, embed, base")].map((one) => `a ${one.localName}`),
  ...[...document.querySelectorAll('script[type$="json"]')].flatMap((one) => {
    try { JSON.parse(one.textContent); return []; } catch (error) { return ["broken JSON"]; }
  }),
].filter(Boolean)"""


def hostile_package(folder: Path) -> Path:
    """A package that the standard allows, with HTML wherever it allows text."""

    def change(rdf: dict[str, Any], files: dict[str, bytes]) -> None:
        rdf["description"] = ALL
        rdf["authors"] = [{"name": PICTURE, "affiliation": SCRIPT}]
        rdf["tags"] = [SCRIPT, PICTURE]
        rdf["cite"] = [{"text": ALL, "url": "https://example.org/'onmouseover='window.harmed=true"}]
        rdf["documentation"] = {"source": "README.md"}
        files["README.md"] = CARD.encode()
        rdf["config"]["bioimageio"] = {"modality": SCRIPT, "target_structure": [PICTURE]}
        rdf["config"]["zooscope"] |= {
            "finds": SCRIPT, "images": PICTURE, "not_for": DATA,
            "scores": [{"dataset": SCRIPT, "metric": PICTURE, "value": 0.5, "split": DATA, "date": TEMPLATE}],
            "about": {
                "organism": [PICTURE], "organism_ids": [LINK], "staining": [SCRIPT],
                "training_data": [{"name": DATA, "url": LINK}, {"name": SCRIPT, "doi": PICTURE}],
            },
        }  # fmt: skip
        rdf["config"]["zooscope"]["samples"][0] |= {"title": PICTURE, "origin": ALL, "licence": SCRIPT}

    path = make_package(folder / "harmful.zip")
    path.write_bytes(repacked(path.read_bytes(), change))
    return path


@pytest.fixture
def service(browser: Browser, tmp_path: Path) -> Iterator[tuple[Flask, Callable[..., Visitor]]]:
    settings = Settings(data=tmp_path / "data", beanstalkd="127.0.0.1:1", free_disk_bytes=0, local_accounts="open")
    app = create_app(settings)
    app.extensions["zooscope"].catalogue.publish(hostile_package(tmp_path))
    with served(app) as url:
        for new_visitor in visitors_of(browser, url):
            yield app, new_visitor
    app.extensions["zooscope"].close()


def submitted(app: Flask, package: Path, owner: str) -> str:
    """A submission whose every text is hostile, with a report and a comment alike."""
    parts = app.extensions["zooscope"]
    own = repacked(package.read_bytes(), lambda rdf, files: rdf.update(id="harmful-too"))
    sha256 = parts.blobs.put_bytes(own).sha256
    fields = {
        "id": "harmful-too", "version": "1.0.0", "name": PICTURE, "description": ALL, "card": CARD, "task": "segment",
        "authors": [{"name": SCRIPT, "affiliation": PICTURE, "orcid": DATA}], "structure": [PICTURE],
        "tags": [SCRIPT], "cite": [{"text": ALL, "url": LINK, "doi": PICTURE}], "licence": SCRIPT, SCRIPT: PICTURE,
    }  # fmt: skip
    id = str(parts.submissions.create(owner, fields)["id"])
    steps = [{"name": SCRIPT, "ok": True, "sentence": ALL, "hint": PICTURE, "seconds": 0.5}]
    report = {
        "passed": True,
        "steps": steps,
        "load_s": 0.5,
        "seconds_per_megapixel": 0.25,
        "device": PICTURE,
        "at": 1.0,
    }
    parts.submissions.start_check(id, "0" * 32, sha256)
    parts.submissions.end_check(id, "0" * 32, "passed", report, sha256)
    parts.publishing.review.submit(id, Person(owner, PICTURE))
    parts.publishing.review.comment(id, Person(owner, PICTURE), ALL)
    return id


def looked_at(page: Page, path: str) -> list[str]:
    page.goto(page.url.split("/", 3)[0] + "//" + page.url.split("/", 3)[2] + path)
    page.wait_for_load_state("networkidle")
    page.evaluate("() => { for (const one of document.querySelectorAll('details')) one.open = true; }")
    return [f"{path}: {harm}" for harm in page.evaluate(HARM)]


@pytest.mark.slow
def test_47_hostile_texts_are_shown_and_run_nothing(
    service: tuple[Flask, Callable[..., Visitor]], tmp_path: Path
) -> None:
    app, new_visitor = service
    accounts = app.extensions["zooscope_accounts"].accounts
    rita = accounts.add("rita", PICTURE, PASSWORD, ("author", "reviewer", "admin"))["id"]
    uuid = submitted(app, tmp_path / "harmful.zip", rita)
    visitor = new_visitor()
    dialogs: list[str] = []
    visitor.context.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    page = visitor.open("/sign-in")
    page.locator("#login").fill("rita")
    page.locator("#password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/account*")
    model = "/models/harmful"
    harms = []
    for path in (
        "/", "/?q=harmful", f"/?tags={SCRIPT}", f"/?q={PICTURE}", model, f"{model}/versions/1.0.0/edit",
        "/embed/models/harmful", "/try?model=harmful", f"/review/{uuid}", "/review", "/submissions", f"/publish/{uuid}",
        "/publish", "/account", "/admin/accounts", f"/library?q={PICTURE}",
    ):  # fmt: skip
        harms += looked_at(page, path)
    page.goto(f"{visitor.url}{model}")
    shown = page.locator("main").inner_text()
    assert SCRIPT in shown
    assert PICTURE in shown
    page.get_by_role("link", name=SCRIPT, exact=True).first.hover()
    assert harms == []
    assert dialogs == []
    app.extensions["zooscope"].publishing.changes.withdraw("harmful", "1.0.0", ALL, rita)
    assert looked_at(page, model) == []
    assert ALL.split()[0] in page.locator("main").inner_text()
    # The browser notes that a withdrawn model answered 410.
    visitor.complaints[:] = [one for one in visitor.complaints if "responded with a status of 410" not in one]
