"""Somebody with a browser of their own, watched for everything the console says went wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page

PATIENCE_MS = 30_000
DESKTOP = {"width": 1440, "height": 900}
# What moved of itself after it was drawn: not within half a second of what the user did.
WATCH_SHIFTS = """
window.shifts = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) {
    if (entry.hadRecentInput) continue;
    const moved = entry.sources.map(({ node, previousRect, currentRect }) =>
      `${(node?.outerHTML ?? node?.textContent ?? "gone").slice(0, 120)}: ` +
      `${JSON.stringify(previousRect)} to ${JSON.stringify(currentRect)}`);
    window.shifts.push({ value: entry.value, moved });
  }
}).observe({ type: "layout-shift", buffered: true });
"""
UNSEEN_SHIFT = 0.001  # of the window


@dataclass
class Visitor:
    """Somebody with a browser of their own; `complaints` is what the console and the scripts said went wrong."""

    context: BrowserContext
    url: str
    complaints: list[str] = field(default_factory=list)

    def open(self, path: str = "/") -> Page:
        """A new page at `path` of the service."""
        page = self.context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.add_init_script(WATCH_SHIFTS)
        page.on("console", self._listen)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.goto(self.url + path)
        return page

    def _listen(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.text} ({message.location.get('url', '')})")


def visitors_of(browser: Browser, url: str) -> Iterator[Callable[..., Visitor]]:
    """Makes visitors; at the end of the test none of them may have seen a complaint that the test did not clear."""
    visitors: list[Visitor] = []

    def make(viewport: dict[str, int] | None = None, theme: str = "light") -> Visitor:
        context = browser.new_context(viewport=viewport or DESKTOP, color_scheme=theme)  # type: ignore[arg-type]
        visitors.append(Visitor(context, url))
        return visitors[-1]

    yield make
    for visitor in visitors:
        visitor.context.close()
    assert [complaint for visitor in visitors for complaint in visitor.complaints] == []


def shifts(page: Page) -> list[dict[str, Any]]:
    """What jumped on this page after it was drawn, if all of it together is more than nobody sees."""
    found: list[dict[str, Any]] = page.evaluate("window.shifts")
    return found if sum(shift["value"] for shift in found) >= UNSEEN_SHIFT else []
