"""Step 4 of the Try page: every setting a model has, none that it lacks, and what cannot be is said before submit."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from browser_visitor import Visitor
from playwright.sync_api import Page, Request, expect
from test_page_checks import SCRIPT_BYTES, script_bytes, violations

from zoo.packages import read_package
from zoo.preview_settings import settings_for_model
from zoo.settings import Settings

pytestmark = pytest.mark.slow


def stack(planes: int, axes: str = "ZYX") -> dict[str, Any]:
    """An upload of `planes` planes, or channels, of noise."""
    pixels = np.random.default_rng(2).integers(0, 255, (planes, 160, 160), dtype=np.uint8)
    out = io.BytesIO()
    tifffile.imwrite(
        out, pixels[0] if planes == 1 else pixels, imagej=True, metadata={"axes": axes[-2:] if planes == 1 else axes}
    )
    return {"name": f"{axes}{planes}.tif", "mimeType": "image/tiff", "buffer": out.getvalue()}


def try_on(visitor: Visitor, image: dict[str, Any], model: str, address: str = "") -> Page:
    """The Try page with an uploaded image and one model, its settings open."""
    page = visitor.open(f"/try?{address}")
    page.set_input_files("#file", image)  # type: ignore[arg-type]
    expect(page.locator("#image-summary")).to_contain_text(image["name"])
    expect(page.locator("[name=model]:checked")).to_have_count(1)
    for name in ("nuclei", "planes", "spots"):
        page.set_checked(f"[name=model][value={name}]", name == model)
    page.evaluate("document.querySelectorAll('#step-settings, #more-settings').forEach((one) => { one.open = true; })")
    return page


@pytest.mark.parametrize("model", ["nuclei", "spots", "planes"])
def test_all_settings_of_a_model_are_there_with_their_help(hand_visitor: Visitor, model: str, hand_worker: Any) -> None:
    package = read_package(next(Path(hand_worker.folder).glob(f"**/{model}.zip")), Settings())
    expected = [one for one in settings_for_model(package) if len(one.choices) != 1]
    page = try_on(hand_visitor, stack(5), model)
    assert page.locator(".setting").count() == len(expected)
    assert page.locator("#open-settings .setting").count() == 3
    for setting in expected:
        field = page.locator(f".setting:has(#setting-{setting.name})")
        expect(field.locator("label")).to_contain_text(setting.label)
        expect(field.locator(".hint")).to_contain_text(setting.help)
        value = "" if setting.default is None else str(setting.default)
        given = page.input_value(f"#setting-{setting.name}")
        assert given == value or float(given) == float(value)
    assert violations(page) == []
    assert script_bytes(page) < SCRIPT_BYTES


def test_changed_settings_are_marked_kept_and_reset(hand_visitor: Visitor) -> None:
    page = try_on(hand_visitor, stack(1), "nuclei")
    page.fill("#setting-threshold", "0.7")
    page.press("#setting-threshold", "Tab")
    page.select_option("#setting-variations", "8-flips")
    expect(page.locator("#settings-summary")).to_have_text("2 changes")
    expect(page.locator(".setting.changed .changed-mark").first).to_have_text("changed, default 0.5")
    assert "set.threshold=0.7" in page.url
    page.reload()
    expect(page.locator("#settings-summary")).to_have_text("2 changes")
    page.evaluate("document.querySelectorAll('#step-settings, #more-settings').forEach((one) => { one.open = true; })")
    page.click("[aria-label='Reset Threshold']")
    expect(page.locator("#settings-summary")).to_have_text("1 change")
    page.click("#settings-reset")
    expect(page.locator("#settings-summary")).to_have_text("defaults")
    assert "set." not in page.url


def test_a_wrong_value_is_said_beside_its_setting(hand_visitor: Visitor) -> None:
    page = try_on(hand_visitor, stack(1), "nuclei")
    page.fill("#setting-threshold", "7")
    page.press("#setting-threshold", "Tab")
    note = page.locator(".setting:has(#setting-threshold) .error-note")
    expect(note).to_contain_text("Give a number from 0.01 to 0.99.")
    expect(page.locator("#setting-threshold")).to_have_value("7")
    expect(page.locator("#run")).to_be_disabled()
    page.fill("#setting-threshold", "0.6")
    page.press("#setting-threshold", "Tab")
    expect(note).to_be_hidden()
    expect(page.locator("#run")).to_be_enabled()


def test_five_frames_of_a_single_plane_are_refused_before_submit(hand_visitor: Visitor) -> None:
    page = try_on(hand_visitor, stack(1), "planes")
    frames = page.locator(".setting:has(#setting-frames)")
    assert page.locator("#setting-frames option").all_inner_texts() == ["1 plane"]
    expect(frames.locator(".hint")).to_contain_text(
        "3 and 5 planes need a stack of at least 3; this image has 1 plane."
    )
    image = page.url.split("image=")[1].split("&")[0]
    page.goto(f"{hand_visitor.url}/try?model=planes&image={image}&set.frames=5")
    expect(frames.locator(".error-note")).to_contain_text("take 5 planes at once; the image has a single plane")
    expect(frames.locator(".error-note")).to_contain_text("Choose frames 1")
    expect(page.locator("#run")).to_be_disabled()
    page.select_option("#setting-frames", "1")
    expect(page.locator("#run")).to_be_enabled()


def test_a_setting_from_the_address_that_the_model_lacks_is_refused(hand_visitor: Visitor) -> None:
    page = try_on(hand_visitor, stack(1), "nuclei")
    image = page.url.split("image=")[1].split("&")[0]
    page.goto(f"{hand_visitor.url}/try?model=nuclei&image={image}&set.frames=5")
    expect(page.locator("#settings-error")).to_contain_text("Only 1 works with this model")
    expect(page.locator("#run")).to_be_disabled()
    expect(page.locator("#settings-summary")).to_have_text("1 change")
    page.click("#settings-reset")
    expect(page.locator("#run")).to_be_enabled()
    assert "set." not in page.url


def test_a_stack_offers_all_frames_it_has_planes_for(hand_visitor: Visitor) -> None:
    page = try_on(hand_visitor, stack(4), "planes")
    offered = [option.get_attribute("value") for option in page.locator("#setting-frames option").all()]
    assert offered == ["1", "3", "1+3"]


def test_settings_of_several_models_are_common_or_grouped(hand_visitor: Visitor) -> None:
    page = try_on(hand_visitor, stack(1), "nuclei")
    page.check("[name=model][value=spots]")
    expect(page.locator("fieldset.more-settings legend")).to_have_text(["Only Nuclei", "Only Spots per cell"])
    sent: list[dict[str, Any]] = []
    page.on("request", lambda one: _keep(one, sent))
    page.fill("#setting-threshold", "0.4")
    page.fill("#setting-spot_sigma_min_px-spots", "1.5")
    page.press("#setting-spot_sigma_min_px-spots", "Tab")
    expect(page.locator("#settings-summary")).to_have_text("2 changes")
    page.wait_for_timeout(1500)
    by_model = {model["id"]: body["settings"] for body in sent for model in body["models"]}
    assert by_model["spots"] == {"threshold": 0.4, "spot_sigma_min_px": 1.5}
    assert by_model["nuclei"] == {"threshold": 0.4}
    assert by_model["planes"] == {}


def _keep(request: Request, sent: list[dict[str, Any]]) -> None:
    if request.url.endswith("/estimates"):
        sent.append(json.loads(request.post_data or "{}"))


def test_channels_are_given_the_role_that_the_model_has_for_them(hand_visitor: Visitor) -> None:
    page = try_on(hand_visitor, stack(3, "CYX"), "spots")
    page.evaluate("document.querySelectorAll('#step-image').forEach((one) => { one.open = true; })")
    roles = page.locator("#channel-chips label")
    expect(roles).to_have_count(2)
    expect(roles.first).to_contain_text("Spots")
    roles.nth(0).locator("select").select_option("2")
    roles.nth(1).locator("select").select_option("0")
    expect(page.locator("#run")).to_be_enabled()
    assert "channels=2,0" in page.url
    page.uncheck("[name=model][value=spots]")
    page.check("[name=model][value=planes]")
    expect(page.locator("#channel-chips input")).to_have_count(3)
