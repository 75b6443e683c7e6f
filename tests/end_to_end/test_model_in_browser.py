"""A model's page in a browser: what is copied, what is shown elsewhere, and lines that do what they say."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from browser_visitor import Visitor
from playwright.sync_api import Page, expect
from test_page_checks import PHONE, check

SECONDS = 180


def unfold(page: Page) -> None:
    """Open everything that is folded, the exclusive parts too."""
    page.evaluate(
        "for (const one of document.querySelectorAll('details')) { one.removeAttribute('name'); one.open = true; }"
    )


@pytest.mark.parametrize(("viewport", "theme"), [(None, "dark"), (PHONE, "light")], ids=["desktop-dark", "phone"])
def test_every_part_is_accessible_and_fits(
    new_visitor: Callable[..., Visitor], viewport: dict[str, int] | None, theme: str
) -> None:
    page = new_visitor(viewport, theme).open("/models/nuclei")
    page.wait_for_load_state("networkidle")
    unfold(page)
    check(page)


def test_lines_are_copied_as_they_stand(visitor: Visitor) -> None:
    visitor.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = visitor.open("/models/nuclei")
    page.get_by_text("A shell", exact=True).click()
    page.get_by_role("button", name="Copy: A shell").click()
    expect(page.get_by_role("button", name="Copy: A shell")).to_contain_text("Copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert f"{visitor.url}/api/v1/models/nuclei/versions/" in copied
    assert copied.endswith("| sha256sum --check")


@pytest.fixture
def other_site(visitor: Visitor, tmp_path: Path) -> Iterator[str]:
    """A page of another site that shows the model in a frame, by the lines of the model's own page."""
    page = visitor.open("/models/nuclei")
    snippet = page.locator("#embed").text_content()
    page.close()
    (tmp_path / "index.html").write_text(f"<!doctype html><title>A lab</title><h1>Our models</h1>{snippet}")
    (tmp_path / "favicon.ico").touch()
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://localhost:{server.server_port}"
        server.shutdown()
        thread.join()


def test_another_site_shows_the_model(visitor: Visitor, other_site: str) -> None:
    page = visitor.context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.goto(other_site)
    frame = page.frame_locator("iframe")
    expect(frame.get_by_role("heading", name="Nuclei")).to_be_visible()
    expect(frame.locator("img")).to_be_visible()
    assert frame.locator("img").evaluate("(image) => image.decode().then(() => image.naturalWidth)") > 0
    with page.expect_popup() as opened:
        frame.get_by_role("link", name="Try it").click()
    opened.value.wait_for_url(re.compile(r"/try\?model=nuclei"))
    assert complaints == []


def run_example(visitor: Visitor, number: int, command: list[str], folder: Path, image: Path, more: str = "") -> str:
    """Run the lines of an example of the page on a real image, as they stand; returns what they print."""
    page = visitor.open("/models/nuclei")
    lines = page.locator("#api ~ details pre").nth(number).text_content() or ""
    page.close()
    shutil.copy(image, folder / "your-image.png")
    ran = subprocess.run(
        [*command, lines + more], cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr}"
    return ran.stdout


@pytest.mark.skipif(shutil.which("curl") is None, reason="the example uses curl, which is not here")
def test_the_curl_example_makes_a_preview(visitor: Visitor, cells: Path, tmp_path: Path) -> None:
    said = run_example(visitor, 0, ["bash", "-euo", "pipefail", "-c"], tmp_path, cells)
    assert f"{visitor.url}/r/" in said
    assert (tmp_path / "result.zip").read_bytes().startswith(b"PK")


def test_the_python_example_makes_a_preview(visitor: Visitor, cells: Path, tmp_path: Path) -> None:
    said = run_example(visitor, 1, [sys.executable, "-c"], tmp_path, cells, "\nprint(table)")
    assert said.startswith(f"done {visitor.url}/r/")
    assert "\nid,class,score" in said
