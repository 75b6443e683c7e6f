"""A real browser against the running service; every page is watched for console errors and layout shifts."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from browser_visitor import Visitor
from made_results import HandWorker
from playwright.sync_api import Browser, sync_playwright
from running_service import run_service

from zoo.packages import ModelPackage, read_package
from zoo.settings import Settings

ROOT = Path(__file__).parents[2]
SEED = ROOT / "zoo" / "seed" / "nuclei.zip"
DESKTOP = {"width": 1440, "height": 900}
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# No GPU, and nothing that a browser does in its own interest.
BROWSER_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=BROWSER_OPTIONS)
        yield browser
        browser.close()


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


@pytest.fixture
def new_visitor(browser: Browser, zooscope_url: str) -> Iterator[Callable[..., Visitor]]:
    """Makes visitors of the running service."""
    yield from visitors_of(browser, zooscope_url)


@pytest.fixture
def visitor(new_visitor: Callable[..., Visitor]) -> Visitor:
    return new_visitor()


@pytest.fixture(scope="session")
def nuclei() -> ModelPackage:
    return read_package(SEED, Settings())


@pytest.fixture(scope="session")
def cells(nuclei: ModelPackage, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real image that the nuclei model carries as its sample, as a file to upload."""
    sample = nuclei.samples[0]["file"]
    path = tmp_path_factory.mktemp("images") / f"cells{Path(sample).suffix}"
    path.write_bytes(nuclei.open(sample))
    return path


@pytest.fixture(scope="session")
def hand_worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HandWorker]:
    """A service of its own without workers, whose jobs the tests answer by hand."""
    data = tmp_path_factory.mktemp("by_hand")
    for url in run_service(data / "data", "--no-worker"):
        token = (data / "data" / "secrets" / "worker-token").read_text().strip()
        yield HandWorker(url, token, data)


@pytest.fixture
def hand_visitor(browser: Browser, hand_worker: HandWorker) -> Iterator[Visitor]:
    """A visitor of the service whose jobs are answered by hand."""
    for new_visitor in visitors_of(browser, hand_worker.url):
        yield new_visitor()
