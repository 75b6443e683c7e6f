"""For the pictures: somebody who publishes, and a draft of theirs that has passed its check."""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path

from playwright.sync_api import Page, expect

SEED = Path(__file__).resolve().parents[1] / "zoo" / "seed" / "em-membranes.zip"
PATIENCE_MS = 120_000
TYPED = {
    "name": "Neuron membranes",
    "description": "Membranes of neurons in ssTEM of Drosophila, as lines of 3 px.",
    "licence": "CC-BY-4.0",
}
TERMS = {"structure": "membrane", "modality": "transmission electron microscopy", "organism": "Drosophila melanogaster"}


def make_draft(page: Page, url: str) -> str:
    """Sign up, drop a bare network with a test image, fill in the form, have it checked; the address of the draft."""
    page.goto(f"{url}/sign-up?next=/publish")
    for name, text in (("name", "Ada Example"), ("login", "ada"), ("password", "correct horse battery")):
        page.fill(f"[name={name}]", text)
    page.press("[name=password]", "Enter")
    page.wait_for_url("**/publish")
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(SEED) as seed:
        sample = next(name for name in seed.namelist() if name.startswith("sample"))
        network, image = (Path(seed.extract(name, folder)) for name in ("model.keras", sample))
        page.set_input_files("input[type=file]", network)
        page.wait_for_url("**/publish/*")
        page.set_input_files("#file-test_image", image)
        expect(page.locator("#step-files")).to_contain_text("test image,", timeout=PATIENCE_MS)
    page.click("[data-step=what]")
    for field, text in TYPED.items():
        page.fill(f"#field-{field}", text)
    page.select_option("#field-task", "segment")
    for field, term in TERMS.items():
        page.fill(f"#field-{field}", term)
        page.press(f"#field-{field}", "Enter")
    page.click("text=Add an author")
    page.keyboard.type("Ada Example")
    page.click("[data-step=how]")
    page.select_option("#field-normalisation", index=1)
    page.fill("#field-sample_licence", "CC0-1.0")
    page.click("[data-step=check]")
    expect(page.locator("#check-start")).to_be_enabled(timeout=PATIENCE_MS)
    page.click("#check-start")
    expect(page.locator("#check-report")).to_contain_text("The check passed", timeout=PATIENCE_MS)
    return page.url.removeprefix(url).partition("#")[0]
