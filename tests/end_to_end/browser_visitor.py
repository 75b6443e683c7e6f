"""Somebody with a browser of their own, watched for everything the console says went wrong."""

from __future__ import annotations

from dataclasses import dataclass, field

from playwright.sync_api import BrowserContext, ConsoleMessage, Page

PATIENCE_MS = 30_000
# Sums the shifts of what stands on the page, except those within half a second of what the user did.
WATCH_SHIFTS = """
window.layoutShift = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.layoutShift += entry.value;
}).observe({ type: "layout-shift", buffered: true });
"""


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
