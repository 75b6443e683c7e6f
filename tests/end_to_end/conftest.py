"""A real browser against the running service; every page is watched for console errors and layout shifts."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from browser_visitor import Visitor, visitors_of
from example_network import keras_file
from example_package import make_package
from made_results import HandWorker
from playwright.sync_api import Browser, expect, sync_playwright
from running_service import run_service

from zoo.packages import ModelPackage, read_package
from zoo.settings import Settings

ROOT = Path(__file__).parents[2]
SEED = ROOT / "zoo" / "seed" / "nuclei.zip"
# A machine that computes beside the tests is slow to answer.
expect.set_options(timeout=20_000)
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
    """A service of its own without workers, whose jobs the tests answer by hand.

    Its models: nuclei, spots, and `planes`, which has networks for 1, 3 and 5 planes.
    """
    folder = tmp_path_factory.mktemp("by_hand")
    seeds = folder / "seeds"
    seeds.mkdir()
    for name in ("nuclei.zip", "spots.zip"):
        shutil.copy(SEED.with_name(name), seeds)
    variants = {frames: folder / f"network{frames}.keras" for frames in (3, 5)}
    for frames, path in variants.items():
        path.write_bytes(keras_file(frames))
    make_package(seeds / "planes.zip", name="Planes", variants=variants)
    service = run_service(folder / "data", "--no-worker")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOOSCOPE_SEED_FOLDER", str(seeds))
        url = next(service)
    token = (folder / "data" / "secrets" / "worker-token").read_text().strip()
    yield HandWorker(url, token, folder)
    service.close()


@pytest.fixture
def hand_visitor(browser: Browser, hand_worker: HandWorker) -> Iterator[Visitor]:
    """A visitor of the service whose jobs are answered by hand."""
    for new_visitor in visitors_of(browser, hand_worker.url):
        yield new_visitor()
