"""What every page must pass: accessible, quiet console, nothing jumps, ready at once, little script."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from browser_visitor import Visitor, shifts
from playwright.sync_api import Page, expect
from result_page import run, wait_done

ROOT = Path(__file__).parents[2]
AXE = ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js"
SCRIPTS = ROOT / "web" / "static" / "js"
SCRIPT_BYTES = 40_000
INTERACTIVE_MS = 1000
PAGES = (
    "/",
    "/?q=nothing-like-that",
    "/?about.task=segment&pixel_from=1nm&sort=published_at",
    "/models/nuclei",
    "/embed/models/nuclei",
    "/library",
    "/library?q=nothing-like-that",
    "/try",
    "/mine",
    "/status",
    "/docs",
    "/api/v1/docs",
)
PHONE = {"width": 390, "height": 844}


def violations(page: Page) -> list[str]:
    """What axe-core finds wrong, one line each."""
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run()")["violations"]
    return [f"{one['id']}: {[node['target'] for node in one['nodes']]}" for one in found]


def check(page: Page) -> None:
    page.wait_for_load_state("networkidle")
    assert violations(page) == [], page.url
    assert shifts(page) == [], page.url
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), f"{page.url} is wider than the window"


@pytest.mark.slow
@pytest.mark.parametrize(("viewport", "theme"), [(None, "light"), (PHONE, "dark")], ids=["desktop", "phone-dark"])
def test_every_page(new_visitor: Callable[..., Visitor], viewport: dict[str, int] | None, theme: str) -> None:
    visitor = new_visitor(viewport, theme)
    for path in PAGES:
        page = visitor.open(path)
        check(page)
        page.close()


def test_a_missing_page_is_a_page(visitor: Visitor) -> None:
    page = visitor.open("/r/" + "0" * 32)
    check(page)
    expect(page.locator("h1")).to_be_visible()
    visitor.complaints.clear()  # the browser notes the 404 of the page itself


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_trying_and_its_result(new_visitor: Callable[..., Visitor], theme: str) -> None:
    page = new_visitor(None, theme).open("/try?model=nuclei&sample=0&roi=0,0,128,128")
    expect(page.locator("#run")).to_be_enabled()
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert violations(page) == []
    run(page)
    page.wait_for_load_state("networkidle")
    wait_done(page)
    assert script_bytes(page) < SCRIPT_BYTES
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert violations(page) == []


def test_pages_are_ready_within_a_second(
    visitor: Visitor, record_property: Callable[[str, object], None], capsys: pytest.CaptureFixture[str]
) -> None:
    for path in ("/", "/try"):
        times = []
        for _ in range(3):
            page = visitor.open(path)
            times.append(page.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"))
            page.close()
        record_property(f"interactive {path}", min(times))
        with capsys.disabled():
            print(f"\n{path} is interactive after {min(times):.0f} ms")
        assert min(times) < INTERACTIVE_MS


def script_bytes(page: Page) -> int:
    """Bytes, uncompressed, of our own script files that a page has loaded."""
    loaded: list[str] = page.evaluate("performance.getEntriesByType('resource').map((one) => one.name)")
    names = {Path(name).name for name in loaded if "/static/js/" in name}
    return sum((SCRIPTS / name).stat().st_size for name in names)


def test_no_page_needs_more_than_40_kb_of_our_own_script(visitor: Visitor) -> None:
    for path in ("/", "/try", "/models/nuclei", "/library", "/status"):
        page = visitor.open(path)
        page.wait_for_load_state("networkidle")
        assert 0 < script_bytes(page) < SCRIPT_BYTES, path


def test_all_our_scripts_together_are_sent_in_less_than_40_kb(visitor: Visitor) -> None:
    """All but the form of authors, which has as much as a page may have for itself."""
    sent = 0
    for script in set(SCRIPTS.glob("*.js")) - set(SCRIPTS.glob("wizard*.js")):
        answer = visitor.context.request.get(f"{visitor.url}/static/js/{script.name}")
        assert answer.headers["content-encoding"] == "gzip"
        sent += int(answer.headers["content-length"])
    assert 0 < sent < SCRIPT_BYTES
