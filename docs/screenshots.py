"""Makes the pictures of the documentation: starts the service, walks the whole path in a browser, looks at each page.

`make screenshots` runs it. `--url` looks at a service that runs already; `--all FOLDER` takes every page in every
window and theme, for whoever changes the pages and wants to see what came of it.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from busy_service import BusyService, make_busy
from checked_draft import make_draft
from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright

FOLDER = Path(__file__).resolve().parent / "screenshots"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WINDOWS = {"": (1440, 900), "-tablet": (1024, 768), "-phone": (390, 844)}
# What the documentation shows: page, window, theme.
SHOWN = [
    ("gallery", "", "light"),
    ("search", "", "light"),
    ("model", "", "light"),
    ("try", "", "light"),
    ("result", "", "light"),
    ("result", "", "dark"),
    ("result", "-phone", "light"),
    ("result-boxes", "", "light"),
    ("result-spots", "", "light"),
    ("result-cells", "", "light"),
    ("publish", "", "light"),
    ("check", "", "light"),
]
# The operator's page is taken of a service of its own, which has more to do.
OPERATOR_SHOWN = [("", "light")]
# The names of results in the documentation, by the model that made them.
RESULTS = {"nuclei": "result", "blood-cells": "result-boxes", "spots": "result-spots", "em-membranes": "result-cells"}
BROWSER_OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
PATIENCE_MS = 120_000
SEARCH = "/?q=mitochondria&pixel_from=5+nm&pixel_to=5+nm"


@contextmanager
def running_service(*options: str, **environment: str) -> Iterator[tuple[str, Path]]:
    """The address of a service, and the temporary folder with its data."""
    with tempfile.TemporaryDirectory() as data:
        command = [sys.executable, "-m", "zooscope", "up", "--port", "0", "--data", data, *options]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | environment) as process:
            assert process.stdout is not None
            address = next(line for line in process.stdout if line.startswith("Zooscope is at ")).split()[3]
            try:
                yield address, Path(data)
            finally:
                process.send_signal(signal.SIGINT)


def make_results(page: Page, url: str) -> dict[str, str]:
    """One preview of every model's first sample; returns the addresses of the pages to look at, by name."""
    page.goto(f"{url}/try")
    models = [button.get_attribute("data-sample-model") or "" for button in page.locator("[data-sample='0']").all()]
    pages = {
        "gallery": "/",
        "search": SEARCH,
        "mine": "/mine",
        "status": "/status",
        "docs": "/docs",
        "api": "/api/v1/docs",
    }
    for model in sorted(models):
        page.goto(f"{url}/try?model={model}&sample=0")
        expect(page.locator("#run")).to_be_enabled(timeout=PATIENCE_MS)
        if model == "nuclei":
            pages["try"] = page.url.removeprefix(url)
        page.click("#run")
        page.wait_for_url(re.compile("/r/"))
        expect(page.locator("#result")).to_have_attribute("data-state", "done", timeout=PATIENCE_MS)
        pages[RESULTS.get(model, f"result-{model}")] = page.url.removeprefix(url)
    pages["model"] = "/models/nuclei"
    draft = make_draft(page, url)
    return pages | {"publish": f"{draft}#what", "check": f"{draft}#check"}


def take(browser: Browser, url: str, everything: Path | None) -> None:
    with browser.new_context() as maker:
        pages = make_results(maker.new_page(), url)
        visitor = maker.storage_state()
    every = [(name, window, theme) for window in WINDOWS for theme in ("light", "dark") for name in pages]
    for name, window, theme in every if everything else [one for one in SHOWN if one[0] in pages]:
        width, height = WINDOWS[window]
        with browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if theme == "dark" else "light",
            storage_state=visitor,
        ) as context:
            page = context.new_page()
            page.goto(url + pages[name])
            page.wait_for_load_state("networkidle")
            page.wait_for_timeout(800)  # the viewer's spring comes to rest
            shade = "-dark" if theme == "dark" else ""
            page.screenshot(path=(everything or FOLDER) / f"{name}{window}{shade}.png")


def take_operator(browser: Browser, everything: Path | None) -> None:
    """The operator's page of a busy service, in every window and theme with `everything`."""
    shown = [(window, theme) for window in WINDOWS for theme in ("light", "dark")] if everything else OPERATOR_SHOWN
    with running_service("--no-worker", ZOOSCOPE_ATTEMPTS="1") as (url, data):
        make_busy(BusyService(url, data / "secrets"))
        for window, theme in shown:
            width, height = WINDOWS[window]
            size: ViewportSize = {"width": width, "height": height}
            with browser.new_context(viewport=size, color_scheme="dark" if theme == "dark" else "light") as context:
                page = context.new_page()
                page.goto(f"{url}/operator")
                page.fill("#token", (data / "secrets" / "operator-token").read_text().strip())
                page.press("#token", "Enter")
                expect(page.locator("#workers")).to_contain_text("gpu-1")
                shade = "-dark" if theme == "dark" else ""
                page.screenshot(path=(everything or FOLDER) / f"operator{window}{shade}.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="a running service")
    parser.add_argument("--all", type=Path, metavar="FOLDER", help="every page in every window and theme, into FOLDER")
    arguments = parser.parse_args()
    folder: Path = arguments.all or FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    found = next(path for name in BROWSERS if (path := shutil.which(name)))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=BROWSER_OPTIONS)
        if arguments.url:
            take(browser, arguments.url, arguments.all)
        else:
            with running_service() as (url, _):
                take(browser, url, arguments.all)
            take_operator(browser, arguments.all)
        browser.close()


if __name__ == "__main__":
    main()
