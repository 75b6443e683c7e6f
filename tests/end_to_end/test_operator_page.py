"""The operator's page in a browser: by keyboard, live, without a script, and in every state it has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from browser_visitor import Visitor, visitors_of
from busy_service import CARD, BusyService, make_busy
from playwright.sync_api import Browser, Locator, Page, expect
from running_service import run_service
from test_page_checks import check, violations

from scheduler.contract import ReserveRequest

pytestmark = pytest.mark.slow

SIZES = {"desktop": (1440, 900), "tablet": (1024, 768), "phone": (390, 844)}
WORKER = ReserveRequest("a-worker", device="cpu")


@dataclass
class Office:
    """A service whose operator we are."""

    service: BusyService
    new_visitor: Callable[..., Visitor]

    @property
    def token(self) -> str:
        return (self.service.tokens / "operator-token").read_text().strip()

    def enter(self, visitor: Visitor) -> Page:
        """Sign in by keyboard alone."""
        page = visitor.open("/operator")
        expect(page.locator("#token")).to_be_focused()
        page.keyboard.type(self.token)
        page.keyboard.press("Enter")
        expect(page.locator("#operator")).to_be_visible()
        # Until then a form is sent as without a script.
        page.wait_for_load_state()
        return page


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BusyService]:
    """Without workers of its own; a job that fails is buried at once."""
    data = tmp_path_factory.mktemp("office") / "data"
    running = run_service(data, "--no-worker")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOOSCOPE_ATTEMPTS", "1")
        url = next(running)
    yield BusyService(url, data / "secrets")
    running.close()


@pytest.fixture
def office(browser: Browser, service: BusyService) -> Iterator[Office]:
    for new_visitor in visitors_of(browser, service.url):
        yield Office(service, new_visitor)


def row(page: Page, kind: str) -> Locator:
    return page.locator(f"#kind-{kind}")


def note(page: Page) -> Locator:
    return page.locator("#note")


def test_an_idle_service_is_a_page_too(office: Office) -> None:
    page = office.enter(office.new_visitor())
    check(page)
    for section, said in (
        ("#running", "Nothing runs."),
        ("#buried", "Nothing is buried"),
        ("#recent", "No job has ended yet."),
        ("#workers", "No worker is connected."),
        ("#failures", "No job failed."),
    ):
        expect(page.locator(section)).to_contain_text(said)


def test_a_wrong_token_is_said_where_it_was_typed(office: Office) -> None:
    visitor = office.new_visitor()
    page = visitor.open("/operator")
    check(page)
    page.keyboard.type("not the token")
    page.keyboard.press("Enter")
    expect(page.locator("[role=alert]")).to_contain_text("That is not the operator's token.")
    visitor.complaints.clear()  # the browser notes the 403 of the page itself
    check(page)


def test_a_kind_is_paused_and_resumed_by_keyboard(office: Office) -> None:
    page = office.enter(office.new_visitor())
    page.focus("#seconds-train")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(note(page)).to_have_text("Trainings are paused for 1 h.")
    expect(row(page, "train")).to_contain_text("Paused, 60 min left")
    expect(page.locator("#resume-train")).to_be_focused()
    expect(page.locator("#state-sentence")).to_contain_text("trainings are paused")
    page.keyboard.press("Enter")
    expect(note(page)).to_have_text("Trainings are handed out again.")
    expect(page.locator("#pause-button-train")).to_be_focused()


def test_what_happens_is_seen_at_once_and_nothing_is_disturbed(office: Office) -> None:
    page = office.enter(office.new_visitor())
    first = office.service.bury(WORKER, "nuclei")
    box = page.locator(f"#select-{first}")
    box.check()
    page.select_option("#seconds-run", "28800")
    page.focus("#seconds-run")
    second = office.service.bury(WORKER, "spots")
    expect(page.locator(f"#buried-{second}")).to_contain_text("Spots per cell")
    expect(page.locator("#failures")).to_contain_text("out-of-memory")
    assert box.is_checked()
    assert page.input_value("#seconds-run") == "28800"
    expect(page.locator("#seconds-run")).to_be_focused()


def test_dead_letters_are_tried_again_and_deleted(office: Office) -> None:
    again, gone = office.service.bury(WORKER, "nuclei"), office.service.bury(WORKER, "spots")
    page = office.enter(office.new_visitor())
    page.click("#kick")
    expect(note(page)).to_contain_text("No job is selected.")
    page.check(f"#select-{again}")
    page.click("#kick")
    expect(note(page)).to_have_text("1 job is tried again.")
    expect(page.locator(f"#buried-{again}")).to_have_count(0)
    page.check(f"#select-{gone}")
    page.once("dialog", lambda dialog: dialog.dismiss())
    page.click("#delete")
    expect(page.locator(f"#buried-{gone}")).to_be_visible()
    page.once("dialog", lambda dialog: dialog.accept())
    page.click("#delete")
    expect(note(page)).to_have_text("1 job is deleted.")
    expect(page.locator(f"#buried-{gone}")).to_have_count(0)
    claim = office.service.begin(WORKER)
    assert claim.uuid == again
    expect(page.locator(f"#running-{again}")).to_contain_text("a-worker")
    page.once("dialog", lambda dialog: dialog.accept())
    page.click(f"#cancel-{again}")
    expect(page.locator("#running")).to_contain_text("Nothing runs.")


def test_a_worker_is_drained_and_resumed(office: Office) -> None:
    office.service.show(WORKER)
    page = office.enter(office.new_visitor())
    page.get_by_role("button", name="Drain a-worker").click()
    expect(page.locator("#workers")).to_contain_text("Drained: takes no job")
    resume = page.get_by_role("button", name="Resume a-worker")
    expect(resume).to_be_focused()
    resume.press("Enter")
    expect(note(page)).to_have_text("a-worker takes jobs again.")


def test_it_works_without_a_script(browser: Browser, office: Office) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{office.service.url}/operator")
    page.fill("#token", office.token)
    page.press("#token", "Enter")
    page.click("#pause-button-run")
    expect(note(page)).to_have_text("Data sets are paused for 10 min.")
    page.click("#resume-run")
    expect(note(page)).to_have_text("Data sets are handed out again.")
    page.get_by_role("button", name="Sign out").click()
    expect(page.locator("#token")).to_be_visible()
    context.close()


def test_a_session_that_ended_leads_to_the_door(office: Office) -> None:
    visitor = office.new_visitor()
    page = office.enter(visitor)
    visitor.context.clear_cookies()
    expect(page.locator("#token")).to_be_visible()


def test_a_service_that_is_away_is_said_so(office: Office) -> None:
    visitor = office.new_visitor()
    page = office.enter(visitor)
    visitor.context.set_offline(True)
    expect(page.locator("#state-sentence")).to_contain_text("Zooscope does not answer")
    visitor.context.set_offline(False)
    expect(page.locator("#state-sentence")).not_to_contain_text("does not answer")
    visitor.complaints.clear()  # the browser notes what it could not fetch


def test_a_busy_service_at_every_size_in_both_themes(office: Office) -> None:
    make_busy(office.service)
    for width, height in SIZES.values():
        for theme in ("light", "dark"):
            office.service.starts(ReserveRequest("a-new-one", device="gpu:0", facts=CARD))
            page = office.enter(office.new_visitor({"width": width, "height": height}, theme))
            expect(page.locator("#workers")).to_contain_text("NVIDIA L40S")
            assert violations(page) == []
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), (width, theme)
            page.close()
