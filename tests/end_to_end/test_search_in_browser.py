"""Searching in a browser: the address is the state, back works, and so does the keyboard alone."""

from __future__ import annotations

import re
from collections.abc import Callable

from browser_visitor import Visitor
from playwright.sync_api import Page, expect
from test_page_checks import PHONE, check

CARDS = "#search-results li h2 a"


def searching(page: Page) -> None:
    """Wait until the results of what was asked last are there."""
    expect(page.locator("#search-results")).not_to_have_attribute("aria-busy", "true")


def test_what_is_asked_for_is_in_the_address_and_back_undoes_it(visitor: Visitor) -> None:
    page = visitor.open("/")
    every = page.locator(CARDS).count()
    assert every > 2
    page.fill("#q", "mitochondria")
    expect(page).to_have_url(re.compile(r"\?q=mitochondria$"))
    expect(page.locator(CARDS)).to_have_count(1)
    expect(page.locator("#result-count")).to_have_text("1 model")
    expect(page).to_have_title("mitochondria · Models · Zooscope")
    page.fill("#q", "")
    expect(page.locator(CARDS)).to_have_count(every)
    box = page.get_by_role("checkbox", name=re.compile("outline objects one by one"))
    box.check()
    expect(page).to_have_url(re.compile(r"\?about\.task=instances$"))
    expect(page.locator(CARDS)).not_to_have_count(every)
    few = page.locator(CARDS).count()
    page.select_option("#sort", "name")
    expect(page).to_have_url(re.compile(r"sort=name"))
    searching(page)

    page.go_back()
    expect(page.locator("#sort")).to_have_value("")
    expect(box).to_be_checked()
    expect(page.locator(CARDS)).to_have_count(few)
    page.go_back()
    expect(box).not_to_be_checked()
    expect(page.locator(CARDS)).to_have_count(every)
    page.go_forward()
    expect(box).to_be_checked()
    expect(page.locator(CARDS)).to_have_count(few)
    page.reload()
    expect(box).to_be_checked()
    expect(page.locator(CARDS)).to_have_count(few)
    page.get_by_role("link", name=re.compile("^Take away Task")).click()
    expect(box).not_to_be_checked()
    expect(page).to_have_url(f"{visitor.url}/?sort=name" if "sort" in page.url else f"{visitor.url}/")


def test_pixel_sizes_are_typed_or_slid(visitor: Visitor) -> None:
    page = visitor.open("/")
    every = page.locator(CARDS).count()
    page.fill("#pixel-to", "20 nm")
    expect(page.locator(CARDS)).not_to_have_count(every)
    assert {link.inner_text() for link in page.locator(CARDS).all()} >= {"EM mitochondria"}
    slider = page.get_by_label("Largest pixel size")
    expect(slider).to_have_attribute("aria-valuetext", re.compile("nm$"))
    slider.focus()
    slider.press("End")
    expect(page.locator("#pixel-to")).to_have_value("")
    expect(page.locator(CARDS)).to_have_count(every)
    smallest = page.get_by_label("Smallest pixel size")
    smallest.focus()
    for _ in range(40):
        smallest.press("ArrowRight")
    expect(page.locator("#pixel-from")).to_have_value("0.1 µm")
    expect(page.locator(CARDS)).not_to_have_count(every)
    expect(smallest).to_be_focused()
    page.fill("#pixel-from", "wide")
    expect(page.locator("#range-error")).to_contain_text("is not the size of a pixel")
    expect(page.locator("#pixel-from")).to_be_focused()


def test_the_keyboard_alone(visitor: Visitor) -> None:
    page = visitor.open("/")
    page.keyboard.press("/")
    expect(page.locator("#q")).to_be_focused()
    page.keyboard.type("cell")
    expect(page).to_have_url(re.compile("q=cell"))
    searching(page)
    expect(page.locator("#q")).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(page.locator(CARDS).first).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(page.locator(CARDS).nth(1)).to_be_focused()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    expect(page.locator("#q")).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("/models/"))
    page.go_back()
    expect(page.locator("#q")).to_have_value("cell")


def test_a_tick_keeps_the_focus_and_what_was_unfolded(visitor: Visitor) -> None:
    page = visitor.open("/")
    boxes = page.locator("#filters input[type=checkbox]")
    box = boxes.nth(1)
    name = box.get_attribute("value")
    box.focus()
    page.keyboard.press("Space")
    expect(page).to_have_url(re.compile(r"about\."))
    searching(page)
    assert page.evaluate("document.activeElement.value") == name


def test_an_empty_search_leads_to_something(visitor: Visitor) -> None:
    page = visitor.open("/?q=mitochondria&pixel_from=5+nm&pixel_to=5+nm")
    note = page.locator(".empty-note")
    expect(note).to_contain_text("No model at 5 nm for “mitochondria”.")
    expect(note).to_contain_text("EM mitochondria, made for pixels of 4.6 nm")
    check(page)
    page.get_by_role("link", name="any pixel size").click()
    expect(page.locator(CARDS)).to_have_count(1)
    expect(page.locator("#pixel-from")).to_have_value("")
    page.go_back()
    expect(page.locator("#pixel-from")).to_have_value("5 nm")


def test_a_phone_folds_the_filters(new_visitor: Callable[..., Visitor]) -> None:
    page = new_visitor(PHONE, "dark").open("/")
    expect(page.locator("#filters")).not_to_be_visible()
    page.locator(".show-filters").click()
    expect(page.locator("#filters")).to_be_visible()
    check(page)
    page.get_by_role("checkbox", name=re.compile("outline objects one by one")).check()
    expect(page.locator(".show-filters")).to_contain_text("(1)")
    expect(page.locator("#filters")).to_be_visible()


def test_without_script_the_form_searches(new_visitor: Callable[..., Visitor]) -> None:
    visitor = new_visitor()
    context = visitor.context.browser.new_context(java_script_enabled=False)  # type: ignore[union-attr]
    page = context.new_page()
    page.goto(f"{visitor.url}/")
    page.fill("#q", "mitochondria")
    page.get_by_role("button", name="Search").click()
    expect(page.locator(CARDS)).to_have_count(1)
    context.close()
