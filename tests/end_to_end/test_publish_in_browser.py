"""Publishing in a browser: the form keeps what is typed, says what is missing, and leads to a published model."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from browser_visitor import Visitor
from playwright.sync_api import Page, Route, expect
from result_page import run, wait_done
from test_page_checks import PHONE, SCRIPT_BYTES, check, script_bytes, violations
from test_whole_path import tab_to

from zoo.accounts import Accounts
from zoo.open_documents import open_documents
from zoo.settings import Settings

pytestmark = pytest.mark.slow

SEED = Path(__file__).parents[2] / "zoo" / "seed" / "nuclei.zip"
PASSWORD = "four words in a row"
CHECK_MS = 120_000
DRAFT = re.compile("/publish/[0-9a-f]{32}")


@pytest.fixture(scope="module")
def people(zooscope_url: str, zooscope_data: Path) -> None:
    """Grace writes models, Rosalind reviews them."""
    with closing(open_documents(Settings(data=zooscope_data))) as documents:
        accounts = Accounts(documents)
        accounts.add("grace", "Grace Hopper", PASSWORD, ("author",))
        accounts.add("rosalind", "Rosalind Franklin", PASSWORD, ("author", "reviewer"))


@pytest.fixture
def visitors() -> list[Visitor]:
    """Who has entered in this test."""
    return []


@pytest.fixture
def enter(new_visitor: Callable[..., Visitor], visitors: list[Visitor], people: None) -> Callable[..., Page]:
    """A page of somebody who signs in to see it."""

    def open_as(login: str, path: str, *more: Any) -> Page:
        visitors.append(new_visitor(*more))
        page = visitors[-1].open(path)
        page.fill("#login", login)
        page.fill("#password", PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url(f"**{path}")
        return page

    return open_as


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The network of the nuclei model without its package, and beside it a picture of nuclei."""
    folder = tmp_path_factory.mktemp("bare")
    with zipfile.ZipFile(SEED) as archive:
        archive.extract("sample_1.png", folder)
        yield Path(archive.extract("model.keras", folder))


def saved(page: Page) -> None:
    expect(page.locator("#save-state")).to_have_text("Saved")


def word(page: Page, field: str, text: str) -> None:
    page.fill(f"#field-{field}", text)
    page.press(f"#field-{field}", "Enter")


def describe(page: Page, name: str) -> None:
    """Fill in what a bare network cannot tell."""
    page.click("[data-step=what]")
    page.fill("#field-name", name)
    page.fill("#field-description", "Finds nuclei in fluorescence images, one by one.")
    page.select_option("#field-task", "instances")
    word(page, "structure", "nucleus")
    word(page, "modality", "fluorescence microscopy")
    page.click("[data-field=authors] [data-add-row]")
    page.keyboard.type("Grace Hopper")
    page.fill("#field-licence", "CC-BY-4.0")
    page.click("[data-step=how]")
    page.select_option("#field-head", "watershed-instances")
    page.select_option("#field-normalisation", "percentile")
    page.fill("#field-sample_licence", "CC0-1.0")
    saved(page)


def test_a_bare_network_is_published_and_tried(enter: Callable[..., Page], network: Path) -> None:
    page = enter("grace", "/publish")
    page.set_input_files("#file", network)
    page.wait_for_url(DRAFT)
    draft = page.url.split("#")[0]
    expect(page.locator("#file-says")).to_contain_text("takes 3 channels and makes 2 maps; it sees 96 px far")
    page.set_input_files("#file-test_image", network.with_name("sample_1.png"))
    expect(page.locator("#sent-test_image img")).to_be_visible()
    describe(page, "Nuclei by Grace")
    page.click("[data-step=check]")
    page.click("#check-start")
    expect(page.locator(".verdict")).to_have_text("The check passed.", timeout=CHECK_MS)
    expect(page.locator(".check-pictures img")).to_have_count(2)
    assert violations(page) == []
    page.click("#turn-next")
    page.click("#submit")
    expect(page.locator("#state-note")).to_contain_text("under review")

    reviewer = enter("rosalind", "/review")
    uuid = draft.rsplit("/", 1)[1]
    base = f"{reviewer.url.removesuffix('/review')}/api/v1/submissions/{uuid}"
    told = reviewer.request.post(f"{base}/return", data={"text": "Say what it is not for."})
    assert told.ok, told.text()
    page.reload()
    expect(page.locator("#state-note")).to_contain_text("returned it")
    expect(page.locator(".comment.return")).to_contain_text("Say what it is not for.")
    page.click("[data-step=what]")
    page.fill("#field-not_for", "diagnosis")
    saved(page)
    page.click("[data-step=check]")
    expect(page.locator(".verdict")).to_contain_text("changed since")
    page.click("#check-start")
    expect(page.locator(".verdict")).to_have_text("The check passed.", timeout=CHECK_MS)
    page.click("#turn-next")
    page.click("#submit")
    expect(page.locator("#state-note")).to_contain_text("under review")
    accepted = reviewer.request.post(f"{base}/accept", data={"text": ""})
    assert accepted.ok, accepted.text()

    page.reload()
    page.click("text=See its page")
    page.wait_for_url("**/models/nuclei-by-grace")
    expect(page.locator("h1").first).to_have_text("Nuclei by Grace")
    page.goto(f"{page.url.split('/models/')[0]}/try?model=nuclei-by-grace&sample=0")
    run(page)
    wait_done(page)


def test_nothing_typed_is_lost(enter: Callable[..., Page], visitors: list[Visitor]) -> None:
    page = enter("grace", "/publish")
    page.click("#begin")
    page.wait_for_url(DRAFT)
    page.click("[data-step=what]")
    page.fill("#field-description", "Typed before the network went.")
    saved(page)
    page.context.set_offline(True)
    page.fill("#field-name", "Typed offline")
    word(page, "structure", "axon")
    expect(page.locator("#save-state")).to_contain_text("kept in this browser")
    page.context.set_offline(False)
    page.reload()
    saved(page)
    expect(page.locator("#field-name")).to_have_value("Typed offline")
    expect(page.locator("[data-field=structure] .word")).to_have_text(re.compile("axon"))
    page.reload()
    expect(page.locator("#field-name")).to_have_value("Typed offline")
    expect(page.locator("#field-id")).to_have_value("typed-offline")

    page.context.clear_cookies()
    page.fill("#field-description", "Typed after the session ended.")
    expect(page.locator("#save-state")).to_contain_text("You are signed out")
    page.click("#save-state a")
    page.fill("#login", "grace")
    page.fill("#password", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(DRAFT)
    expect(page.locator("#field-description")).to_have_value("Typed after the session ended.")
    saved(page)
    visitors[0].complaints.clear()  # the browser notes what it could not send


def test_what_was_removed_comes_back(enter: Callable[..., Page]) -> None:
    page = enter("grace", "/publish")
    page.click("#begin")
    page.wait_for_url(DRAFT)
    page.click("[data-step=what]")
    for name in ("Grace Hopper", "Ada Lovelace"):
        page.click("[data-field=authors] [data-add-row]")
        page.keyboard.type(name)
    page.click("[aria-label='Remove Grace Hopper']")
    lines = page.locator("[data-field=authors] .row-line")
    expect(lines).to_have_count(1)
    page.click("#undo button")
    expect(lines).to_have_count(2)
    expect(lines.first.locator("input").first).to_have_value("Grace Hopper")
    lines.first.locator("input").nth(2).fill("0000-0002-1825-0098")
    expect(page.locator("#field-authors-note")).to_contain_text("The ORCID of Grace Hopper is not right")
    lines.first.locator("input").nth(2).fill("0000-0002-1825-0097")
    expect(page.locator("#field-authors-note")).to_be_hidden()
    page.fill("#field-structure", "mitoch")
    expect(page.locator("#field-structure-terms option[value=mitochondrion]")).to_have_count(1)


def test_by_keyboard_alone(enter: Callable[..., Page]) -> None:
    page = enter("grace", "/publish")
    tab_to(page, "#begin")
    page.keyboard.press("Enter")
    page.wait_for_url(DRAFT)
    tab_to(page, "[data-step=what]")
    page.keyboard.press("Enter")
    tab_to(page, "#field-name")
    page.keyboard.type("Typed by hand")
    tab_to(page, "#field-task")
    page.keyboard.press("I")
    tab_to(page, "#field-structure")
    page.keyboard.type("axon, dendrite")
    page.keyboard.press("Enter")
    chips = page.locator("[data-field=structure] .word")
    expect(chips).to_have_count(2)
    page.keyboard.press("Backspace")
    expect(chips).to_have_count(1)
    tab_to(page, "[data-field=authors] [data-add-row]")
    page.keyboard.press("Enter")
    page.keyboard.type("Grace Hopper")
    tab_to(page, "[aria-label^='Remove row'], [aria-label^='Remove Grace']")
    page.keyboard.press("Enter")
    expect(page.locator(".row-line")).to_have_count(0)
    tab_to(page, "#undo button")
    page.keyboard.press("Enter")
    expect(page.locator(".row-line input").first).to_have_value("Grace Hopper")
    saved(page)
    tab_to(page, "#turn-next")
    page.keyboard.press("Enter")
    expect(page.locator("#how-title")).to_be_visible()


def test_an_upload_can_be_cancelled_and_goes_on(
    enter: Callable[..., Page], visitors: list[Visitor], tmp_path: Path
) -> None:
    page = enter("grace", "/publish")
    page.click("#begin")
    page.wait_for_url(DRAFT)
    large = tmp_path / "large.onnx"
    large.write_bytes(bytes(20 * 2**20))
    asked: list[str] = []

    def slow(route: Route) -> None:
        asked.append(route.request.headers["content-range"])
        if len(asked) == 2:
            page.click("#sent-weights [data-cancel]")
            return route.abort()
        return route.continue_()

    page.route("**/files/weights*", slow)
    page.set_input_files("#file-weights", large)
    expect(page.locator("#sent-weights .drop-zone")).to_be_visible()
    page.set_input_files("#file-weights", large)
    expect(page.locator("#note-weights")).to_contain_text("no ONNX file")
    assert [text.split("-")[0] for text in asked] == ["bytes 0", "bytes 8388608", "bytes 8388608", "bytes 16777216"]
    visitors[0].complaints.clear()  # the browser notes what was stopped


def test_a_file_that_is_refused_says_why(enter: Callable[..., Page], visitors: list[Visitor], tmp_path: Path) -> None:
    page = enter("grace", "/publish")
    page.click("#begin")
    page.wait_for_url(DRAFT)
    bad = tmp_path / "net.h5"
    bad.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    page.set_input_files("#file-weights", bad)
    expect(page.locator("#note-weights")).to_contain_text("old HDF5 form")
    expect(page.locator("#note-weights")).to_contain_text("save it again as .keras")
    expect(page.locator("#sent-weights .drop-zone")).to_be_visible()
    visitors[0].complaints.clear()  # the browser notes the refusal


@pytest.mark.parametrize(("viewport", "theme"), [(None, "light"), (PHONE, "dark")], ids=["desktop", "phone-dark"])
def test_pages_of_publishing(enter: Callable[..., Page], viewport: Any, theme: str) -> None:
    page = enter("grace", "/publish", viewport, theme)
    check(page)
    page.click("#begin")
    page.wait_for_url(DRAFT)
    check(page)
    for step in ("what", "how", "check", "submit"):
        page.click(f"[data-step={step}]")
        assert violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "the page is wider than the window"
    assert 0 < script_bytes(page) < SCRIPT_BYTES
    page.click("[data-step=check]")
    page.click("#check-lacks a >> nth=1")
    expect(page.locator("#field-name")).to_be_focused()
