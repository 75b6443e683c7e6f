"""From an image to an overlay in a real browser, with real parts behind it."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from browser_visitor import Visitor
from PIL import Image
from playwright.sync_api import Page, expect
from result_page import (
    ROI,
    canvas_colours,
    choose_model,
    fetch,
    job_view,
    labels_of,
    picture,
    run,
    set_region,
    wait_done,
)

from scheduler.contract import RESULT_FILES

MOST_TABS = 80


def tab_to(page: Page, selector: str) -> None:
    """Press Tab until the element has the focus, as somebody without a mouse does."""
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        if page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
            return
    pytest.fail(f"{selector} cannot be reached with Tab")


def check_pixels(page: Page) -> None:
    """The overlay file differs from the original where the labels are, and the viewer shows the picture's pixels."""
    result = job_view(page)["result"]
    files = {file["name"]: file["url"] for file in result["files"]}
    overlay = picture(fetch(page, files["overlay.png"]))
    original = picture(fetch(page, result["layers"]["original"]))
    labels = labels_of(fetch(page, files["labels.ome.tif"]))
    assert overlay.shape == original.shape == (ROI[3], ROI[2], 3)
    assert labels.shape == (ROI[3], ROI[2])
    assert labels.max() == result["summary"]["objects"] > 3
    painted = np.any(overlay != original, axis=2)
    assert painted[labels > 0].mean() > 0.98
    assert not painted[labels == 0].any()

    page.click("#object-rows tr:first-child")
    chosen = labels == int(page.get_attribute("#object-rows tr:first-child", "data-id") or 0)
    rows, columns = np.nonzero(chosen)
    points = [(int(x), int(y)) for x, y in zip(columns, rows, strict=True)][:: max(1, len(rows) // 40)]
    page.wait_for_function("Number(document.querySelector('#zoom-value').value.split(' ')[0]) > 300")
    page.wait_for_timeout(600)  # the zoom's spring comes to rest
    assert int(page.get_attribute(".object-layer", "data-drawn") or 0) > 0, "the objects are drawn over it"
    scale, colours = canvas_colours(page, points)
    assert scale > 2
    expected = np.array([original[y, x] for x, y in points])
    assert np.abs(colours - expected).max() <= 2, "close up, a pixel of the picture is a square of one colour"


def test_from_an_image_to_a_shared_overlay(new_visitor: Callable[..., Visitor], cells: Path, tmp_path: Path) -> None:
    visitor = new_visitor()
    page = visitor.open("/")
    page.set_input_files("#gallery-file", cells)
    page.wait_for_url(re.compile("/try"))
    expect(page.locator("#image-summary")).to_contain_text("cells")
    set_region(page, *ROI)
    choose_model(page, "nuclei")
    expect(page.locator("#estimate")).to_contain_text("About")
    address = page.url
    page.reload()
    expect(page.locator("#run")).to_be_enabled()
    assert page.url == address
    link = run(page)
    page.evaluate("window.here = true")
    wait_done(page)
    assert page.evaluate("window.here"), "the result came without a reload"
    check_pixels(page)

    with page.expect_download() as download:
        page.click("text=Download all")
    download.value.save_as(tmp_path / "result.zip")
    with zipfile.ZipFile(tmp_path / "result.zip") as archive:
        assert {Path(name).name for name in archive.namelist()} >= RESULT_FILES.keys()

    stranger = new_visitor()
    same = stranger.open(link.removeprefix(stranger.url))
    wait_done(same)
    assert same.inner_text("#object-count") == page.inner_text("#object-count")
    overlay = job_view(page)["result"]["layers"]["overlay"]
    assert fetch(same, overlay) == fetch(page, overlay)
    assert same.locator("text=Re-run with changes").count() == 0

    assert link.rsplit("/", 1)[1] in visitor.open("/mine").content()
    assert link.rsplit("/", 1)[1] not in stranger.open("/mine").content()


def test_layers_table_and_histogram_point_to_each_other(visitor: Visitor) -> None:
    page = visitor.open("/try?model=nuclei&sample=0")
    run(page)
    wait_done(page)
    page.keyboard.press("1")
    expect(page.locator("[name=layer][value=original]")).to_be_checked()
    for key, layer in (("2", "probability"), ("3", "mask"), ("4", "overlay")):
        page.keyboard.press(key)
        expect(page.locator(f"[name=layer][value={layer}]")).to_be_checked()
    rows = page.locator("#object-rows tr")
    expect(rows).not_to_have_count(0)
    every = rows.count()
    page.hover("#object-rows tr:nth-child(2)")
    assert page.locator(".outline-layer path").count() == 2
    bar = page.locator("#histogram button:has(span)").nth(0)
    bar.click()
    expect(bar).to_have_attribute("aria-pressed", "true")
    assert 0 < rows.count() <= every
    page.click("#object-head th:nth-child(2) button")
    areas = [float(text.replace(",", "")) for text in page.locator("#object-rows td:nth-child(2)").all_inner_texts()]
    assert areas == sorted(areas, reverse=True)
    if page.locator("#object-clear").is_visible():
        page.click("#object-clear")
    assert rows.count() == every


def test_running_again_with_changes_starts_from_what_was_run(visitor: Visitor) -> None:
    page = visitor.open("/try?model=nuclei&sample=0&roi=8,8,96,96&set.threshold=0.6")
    expect(page.locator("#settings-summary")).to_have_text("1 change")
    set_region(page, 8, 8, 96, 96)
    run(page)
    wait_done(page)
    page.click("text=Re-run with changes")
    expect(page.locator("#run")).to_be_enabled()
    assert "roi=8,8,96,96" in page.url
    assert "set.threshold=0.6" in page.url
    expect(page.locator("#settings-summary")).to_have_text("1 change")


def test_without_an_event_stream_the_page_asks_again_and_again(visitor: Visitor) -> None:
    page = visitor.open("/try?model=nuclei&sample=0")
    page.route("**/events", lambda route: route.fulfill(status=503, body="{}"))
    run(page)
    wait_done(page)
    visitor.complaints.clear()  # the browser notes each refused stream


def test_by_keyboard_alone(visitor: Visitor) -> None:
    page = visitor.open("/")
    page.keyboard.press("/")
    page.keyboard.type("nuclei")
    page.wait_for_url(re.compile("q=nuclei"))
    # Other tests may have published models of nuclei as well.
    expect(page.locator("[aria-label='Try it: Blood cells']")).to_have_count(0)
    expect(page.locator("#search-results")).not_to_have_attribute("aria-busy", "true")
    tab_to(page, "[aria-label='Try it: Nuclei']")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/try"))
    tab_to(page, "[data-sample-model=nuclei]")
    page.keyboard.press("Enter")
    expect(page.locator("#run")).to_be_enabled()
    tab_to(page, "#step-region > summary")
    page.keyboard.press("Enter")
    for name, value in (("x", "0"), ("y", "0"), ("width", "160"), ("height", "160")):
        tab_to(page, f"#roi-{name}")
        page.keyboard.press("Control+a")
        page.keyboard.type(value)
    page.keyboard.press("Tab")
    page.locator(".roi").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Alt+ArrowDown")
    page.wait_for_url(re.compile("roi=1,0,160,161"))
    page.keyboard.press("Control+Enter")
    page.wait_for_url(re.compile("/r/"))
    wait_done(page)
    tab_to(page, "#object-rows tr")
    page.keyboard.press("Enter")
    expect(page.locator("#object-rows tr[aria-selected=true]")).to_have_count(1)


def test_a_file_that_is_no_image_says_so_and_what_was_made_stays(visitor: Visitor, cells: Path, tmp_path: Path) -> None:
    page = visitor.open("/try")
    page.set_input_files("#file", cells)
    expect(page.locator("#run")).to_be_enabled()
    address = page.url
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"not a picture at all")
    page.set_input_files("#file", broken)
    expect(page.locator("#image-error")).to_be_visible()
    assert len(page.inner_text("#image-error").split()) > 5
    assert page.url == address
    expect(page.locator("#run")).to_be_enabled()
    assert all("/api/v1/images" in complaint for complaint in visitor.complaints), "only the refused upload"
    visitor.complaints.clear()


def test_cancel_stops_a_preview(visitor: Visitor, tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (1024, 1024), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "large.png")
    page = visitor.open("/try?set.variations=8-flips")
    page.set_input_files("#file", tmp_path / "large.png")
    expect(page.locator("#image-summary")).to_contain_text("large")
    choose_model(page, "nuclei")
    run(page)
    page.click("#cancel")
    expect(page.locator("#result")).to_have_attribute("data-state", "cancelled", timeout=5000)
    expect(page.locator("text=Run again")).to_be_visible()
    assert job_view(page)["state"] == "cancelled"
    page.goto(visitor.url + "/mine")
    expect(page.locator(".job-card [data-state=cancelled]")).to_be_visible()
    page.check(".job-card input")
    page.click("#delete-selected")
    expect(page.locator("#undo")).to_be_visible()
    page.click("#undo button")
    expect(page.locator(".job-card")).to_be_visible()
