"""Review, one's submissions and the texts of a model in a browser: by keyboard, in every window and theme."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from browser_visitor import Visitor, visitors_of
from example_package import make_package
from flask import Flask
from playwright.sync_api import Browser, Page, expect
from served_application import served
from test_page_checks import check

from web.app import create_app
from zoo.packages import read_package
from zoo.review import Person
from zoo.settings import Settings

SEED = Path(__file__).parents[2] / "zoo" / "seed" / "nuclei.zip"
PASSWORD = "four words in a row"
SIZES = {"desktop": (1440, 900), "tablet": (1024, 768), "phone": (390, 844)}
REPORT: dict[str, Any] = {
    "passed": True, "load_s": 0.5, "seconds_per_megapixel": 0.25, "device": "cpu", "objects": 112, "at": 1.8e9,
    "difference": 1e-6, "peak_memory_bytes": 10**9, "software": {"zooscope": "Zooscope 1"},
    "steps": [
        {"name": "load", "ok": True, "sentence": "The network was loaded.", "seconds": 0.5},
        {"name": "reproduce", "ok": True, "sentence": "It reproduces its test output.", "seconds": 0.3},
    ],
}  # fmt: skip
FIELDS = {
    "description": "Finds the outlines of leaves of cress in pictures taken from above.", "task": "instances",
    "structure": ["leaf"], "modality": ["bright-field microscopy"], "organism": ["Arabidopsis thaliana"],
    "authors": [{"name": "Ada Lovelace", "affiliation": "London", "orcid": "0000-0002-1825-0097"}],
    "licence": "CC-BY-4.0", "pixel_size_um": "0.5", "tags": ["leaf", "cress"],
    "card": "# Training\n\nTrained on 120 pictures of 12 plants.\n\n# Limits\n\nNot for trees.",
}  # fmt: skip


@dataclass
class Office:
    """A service with people, and what they submitted."""

    app: Flask
    folder: Path
    new_visitor: Callable[..., Visitor]
    visitors: list[Visitor] = field(default_factory=list)

    def forgive(self) -> None:
        """That the browser notes a page that answered 400 or 410 is no fault of the page."""
        for visitor in self.visitors:
            visitor.complaints[:] = [one for one in visitor.complaints if "responded with a status" not in one]

    def person(self, name: str, *roles: str) -> str:
        accounts = self.app.extensions["zooscope_accounts"].accounts
        return str(accounts.add(name.lower(), name, PASSWORD, roles or ("author",))["id"])

    def enter(self, name: str, path: str, **window: Any) -> Page:
        """The page, signed in as that person."""
        visitor = self.new_visitor(**window)
        self.visitors.append(visitor)
        page = visitor.open(path)
        page.locator("#login").fill(name.lower())
        page.locator("#password").fill(PASSWORD)
        page.keyboard.press("Enter")
        expect(page).to_have_url(f"{visitor.url}{path}")
        return page

    def submit(self, owner: str, name: str, title: str, submit: bool = True) -> str:
        """A checked model with pictures, submitted or still a draft."""
        parts = self.app.extensions["zooscope"]
        package = parts.blobs.put_file(make_package(self.folder / f"{name}.zip", name=title)).sha256
        nuclei = read_package(SEED, Settings())
        pictures = {"cover.png": nuclei.cover, "cover-before.png": nuclei.cover_before}
        kept = {shown: parts.blobs.put_bytes(nuclei.open(member)).sha256 for shown, member in pictures.items()}
        id = parts.submissions.create(owner, FIELDS | {"id": name, "version": "1.0.0", "name": title})["id"]
        parts.submissions.start_check(id, "0" * 32, package)
        files = {shown: {"sha256": sha256, "bytes": 1} for shown, sha256 in kept.items()}
        parts.submissions.end_check(
            id, "0" * 32, "passed", REPORT, package, files=files, blobs=sorted({*kept.values()})
        )
        if submit:
            parts.publishing.review.submit(id, Person(owner, owner))
        return str(id)


@pytest.fixture
def office(browser: Browser, tmp_path: Path) -> Iterator[Office]:
    settings = Settings(data=tmp_path / "data", beanstalkd="127.0.0.1:1", free_disk_bytes=0, local_accounts="open")
    app = create_app(settings)
    app.extensions["zooscope"].catalogue.publish(SEED)
    with served(app) as url:
        for new_visitor in visitors_of(browser, url):
            yield Office(app, tmp_path, new_visitor)
    app.extensions["zooscope"].close()


def test_from_review_to_withdrawal(office: Office) -> None:
    ada = office.person("Ada")
    office.person("Rita", "author", "reviewer")
    office.submit(ada, "leaves", "Leaves of cress")

    review = office.enter("Rita", "/review")
    review.get_by_role("link", name="Leaves of cress").click()
    expect(review.get_by_text("The network was loaded.")).to_be_visible()
    review.get_by_role("button", name="Return").click()
    expect(review.get_by_role("alert")).to_contain_text("A comment is missing")
    office.forgive()
    review.locator("#text").focus()
    review.keyboard.type("Which camera?")
    review.keyboard.press("Tab")
    review.keyboard.press("Tab")
    expect(review.get_by_role("button", name="Return")).to_be_focused()
    review.keyboard.press("Enter")
    expect(review.get_by_role("status").filter(has_text="Returned to its author.")).to_be_visible()

    mine = office.enter("Ada", "/submissions")
    expect(mine.get_by_text("Rita: Which camera?")).to_be_visible()
    parts = office.app.extensions["zooscope"]
    uuid = review.url.rsplit("/", 1)[1].split("?")[0]
    root = mine.url.removesuffix("/submissions")
    answer = mine.request.post(f"{root}/api/v1/submissions/{uuid}/submit", data={})
    assert answer.ok

    review.reload()
    review.get_by_role("button", name="Accept and publish").click()
    review.get_by_role("link", name="See it in the zoo").click()
    expect(review.get_by_role("heading", name="Leaves of cress")).to_be_visible()
    assert parts.catalogue.get("leaves")["owner"] == ada

    mine.goto(f"{root}/models/leaves")
    mine.get_by_role("link", name="Edit texts").click()
    mine.locator("#name").fill("Leaves of any cress")
    mine.get_by_role("button", name="Save").click()
    expect(mine.get_by_role("heading", name="Leaves of any cress")).to_be_visible()
    mine.get_by_role("link", name="Withdraw").click()
    mine.locator("#reason").fill("Trained on the test set.")
    mine.get_by_label("I am sure").check()
    mine.get_by_role("button", name="Withdraw version 1.0.0").click()
    expect(mine.get_by_text("Trained on the test set.")).to_be_visible()
    office.forgive()


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_pages_in_every_window(office: Office, size: str, theme: str) -> None:
    root = office.person("Root", "author", "admin")
    waiting = office.submit(root, "leaves", "Leaves of cress")
    office.submit(root, "draft", "Draft", submit=False)
    width, height = SIZES[size]
    page = office.enter("Root", "/review", viewport={"width": width, "height": height}, theme=theme)
    check(page)
    version = office.app.extensions["zooscope"].catalogue.get("nuclei")["version"]
    for path in (f"/review/{waiting}", "/submissions", f"/models/nuclei/versions/{version}/edit"):
        page.goto("/".join(page.url.split("/")[:3]) + path)
        check(page)
