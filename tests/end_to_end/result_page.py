"""What the browser tests do and read on the pages of a preview."""

from __future__ import annotations

import io
import json
import re
from typing import Any

import numpy as np
import tifffile
from PIL import Image
from playwright.sync_api import Page, expect

ROI = (16, 24, 200, 160)  # x, y, width, height; px
RUN_MS = 90_000

# Where the picture is on the viewer's canvas, and the canvas's pixels at given points of the picture.
READ_CANVAS = """(points) => {
  const placed = document.querySelector(".outline-layer g").getAttribute("transform");
  const [x, y, scale] = placed.match(/-?\\d[\\d.e-]*/g).map(Number);
  const canvas = document.querySelector(".openseadragon-canvas canvas");
  const ratio = canvas.width / canvas.clientWidth;
  const { width, height } = canvas;
  const pen = Object.assign(document.createElement("canvas"), { width, height }).getContext("2d");
  pen.drawImage(canvas, 0, 0);
  const { data } = pen.getImageData(0, 0, width, height);
  const at = (start, pixel) => Math.floor((start + (pixel + 0.5) * scale) * ratio);
  return { scale, colours: points.map(([px, py]) => {
    const first = 4 * (at(y, py) * canvas.width + at(x, px));
    return [...data.slice(first, first + 3)];
  }) };
}"""


def set_region(page: Page, x: int, y: int, width: int, height: int) -> None:
    """Type the region into step 2."""
    if page.get_attribute("#step-region", "open") is None:
        page.click("#step-region > summary")
    for name, value in (("width", width), ("height", height), ("x", x), ("y", y)):
        page.fill(f"#roi-{name}", str(value))
        page.press(f"#roi-{name}", "Tab")
    assert f"roi={x},{y},{width},{height}" in page.url


def choose_model(page: Page, model: str) -> None:
    # The page marks the best fitting model itself once it has estimates; only then does a choice stay.
    expect(page.locator("[name=model]:checked")).to_have_count(1)
    for box in page.locator("[name=model]").all():
        box.set_checked(box.get_attribute("value") == model)
    expect(page.locator("[name=model]:checked")).to_have_count(1)
    expect(page.locator("#run")).to_be_enabled()


def run(page: Page) -> str:
    """Press Run; returns the address of the job's page."""
    expect(page.locator("#run")).to_be_enabled()
    page.click("#run")
    page.wait_for_url(re.compile("/r/[0-9a-f]{32}"))
    return page.url


def wait_done(page: Page) -> None:
    expect(page.locator("#result")).to_have_attribute("data-state", "done", timeout=RUN_MS)
    expect(page.locator("#object-count")).to_contain_text(re.compile(r"\d"))


def job_view(page: Page) -> dict[str, Any]:
    """The job as the API shows it to this browser."""
    view: dict[str, Any] = json.loads(fetch(page, f"/api/v1/jobs/{page.url.rsplit('/', 1)[1]}"))
    return view


def fetch(page: Page, path: str) -> bytes:
    answer = page.request.get(page.url.split("/r/")[0] + path)
    assert answer.ok, f"{path}: {answer.status}"
    return answer.body()


def picture(data: bytes) -> np.ndarray:
    """uint8 (y, x, 3) of a PNG."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def labels_of(data: bytes) -> np.ndarray:
    """Labels (y, x) of labels.ome.tif."""
    return np.asarray(tifffile.imread(io.BytesIO(data))).squeeze()


def canvas_colours(page: Page, points: list[tuple[int, int]]) -> tuple[float, np.ndarray]:
    """Screen pixels to a pixel of the picture, and the colours (n, 3) that the viewer shows at points (x, y) of it."""
    read = page.evaluate(READ_CANVAS, points)
    return read["scale"], np.array(read["colours"])
