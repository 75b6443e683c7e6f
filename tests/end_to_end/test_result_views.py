"""The page of a result shows regions, boxes, spots and cells each as its users expect, and everything switches."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
from browser_visitor import PATIENCE_MS, Visitor
from made_results import SHAPES, HandWorker, boxes, cells, png, points, regions
from playwright.sync_api import Page, expect
from result_page import canvas_colours
from test_page_checks import SCRIPT_BYTES, script_bytes, violations

pytestmark = pytest.mark.slow

# Pixels of the layer of objects that are painted, and how many objects are in view.
PAINTED = """() => {
  const layer = document.querySelector(".object-layer");
  const { width, height } = layer;
  const pen = Object.assign(document.createElement("canvas"), { width, height }).getContext("2d");
  pen.drawImage(layer, 0, 0);
  const { data } = pen.getImageData(0, 0, width, height);
  let painted = 0;
  for (let i = 3; i < data.length; i += 4) painted += data[i] > 0;
  return painted;
}"""


def painted(page: Page) -> int:
    return int(page.evaluate(PAINTED))


def drawn(page: Page) -> int:
    return int(page.get_attribute(".object-layer", "data-drawn") or 0)


def show(visitor: Visitor, path: str) -> Page:
    page = visitor.open(path)
    expect(page.locator("#object-rows tr").first).to_be_visible(timeout=PATIENCE_MS)
    page.wait_for_timeout(300)  # the viewer comes to rest
    return page


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_is_drawn_switched_and_accessible(
    hand_visitor: Visitor, hand_worker: HandWorker, shape: str
) -> None:
    made = SHAPES[shape]()
    page = show(hand_visitor, hand_worker.result(made))
    assert drawn(page) == len(made.rows)
    page.check("[name=style][value=outlines]")
    outlines = painted(page)
    page.check("[name=style][value=filled]")
    assert painted(page) > outlines > 100
    page.keyboard.press("o")
    expect(page.locator("[name=style][value=off]")).to_be_checked()
    assert painted(page) == 0
    page.keyboard.press("o")
    assert painted(page) == outlines
    page.keyboard.press("1")
    expect(page.locator("[name=layer][value=original]")).to_be_checked()
    assert painted(page) == 0
    page.keyboard.press("2")
    page.wait_for_function("() => document.querySelector('.object-layer').dataset.drawn > 0")
    page.select_option("#map", "1")
    page.keyboard.press("4")
    page.keyboard.press("Space")
    page.wait_for_function("() => document.querySelector('.object-layer').dataset.drawn == 0")
    page.keyboard.press("Space")
    page.wait_for_function("() => document.querySelector('.object-layer').dataset.drawn > 0")
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert violations(page) == []
    assert script_bytes(page) < SCRIPT_BYTES


def test_boxes_have_classes_scores_and_labels(hand_visitor: Visitor, hand_worker: HandWorker) -> None:
    made = boxes()
    page = show(hand_visitor, hand_worker.result(made))
    names = [row["class"] for row in made.rows]
    for name in set(names):
        expect(page.locator(f"label:has([name=class][value='{name}']) .count")).to_have_text(str(names.count(name)))
    expect(page.locator("#object-count")).to_have_text("64 objects")
    page.uncheck("[name=class][value='red cell']")
    assert drawn(page) == len(names) - names.count("red cell")
    expect(page.locator("#object-count")).to_contain_text(f"{len(names) - names.count('red cell')} of 64")
    expect(page.locator("#object-rows td", has_text="red cell")).to_have_count(0)
    page.check("[name=class][value='red cell']")
    before = painted(page)
    page.keyboard.press("l")
    assert painted(page) > before

    page.fill("#score", "0.7")
    sure = [row for row in made.rows if row["score"] >= 0.7]
    expect(page.locator("#object-count")).to_have_text(f"{len(sure)} of 64 objects")
    assert drawn(page) == len(sure) == page.locator("#object-rows tr").count()
    assert sum(
        int(re.findall(r": (\d+)", bar.get_attribute("title") or "")[0])
        for bar in page.locator("#histogram button").all()
    ) == len(sure)

    page.select_option("#table-of", "white cell")
    whites = [row for row in sure if row["class"] == "white cell"]
    expect(page.locator("#object-rows tr")).to_have_count(len(whites))
    expect(page.locator("#object-head th", has_text="class")).to_have_count(0)


def test_the_object_under_the_pointer_says_what_it_is(hand_visitor: Visitor, hand_worker: HandWorker) -> None:
    made = boxes()
    page = show(hand_visitor, hand_worker.result(made))
    row = made.rows[27]
    transform = page.get_attribute(".outline-layer g", "transform") or ""
    x, y, scale = (float(number) for number in re.findall(r"-?\d[\d.e-]*", transform))
    frame = page.locator("#viewer").bounding_box()
    assert frame
    at = [
        frame[axis] + start + scale * (row[f"{axis}_min"] + row[f"{axis}_max"]) / 2
        for axis, start in (("x", x), ("y", y))
    ]
    page.mouse.move(*at)
    expect(page.locator(".object-tip")).to_contain_text(f"{row['class']} {row['id']}")
    assert page.locator(".outline-layer path").count() == 2
    page.mouse.click(*at)
    expect(page.locator("#object-rows tr[aria-selected=true]")).to_have_attribute("data-id", str(row["id"]))


def test_spots_are_counted_in_their_cells(hand_visitor: Visitor, hand_worker: HandWorker) -> None:
    made = points()
    spots = [row for row in made.rows if row["class"] == "spot"]
    found = [row for row in made.rows if row["class"] == "cell"]
    page = show(hand_visitor, hand_worker.result(made))
    expect(page.locator("#object-count")).to_have_text(f"{len(spots)} spots in {len(found)} cells")
    expect(page.locator("#table-of")).to_have_value("cell")
    expect(page.locator("#measure")).to_have_value("spots")
    counts = [int(text) for text in page.locator("#object-rows td:nth-child(2)").all_inner_texts()]
    assert counts == [row["spots"] for row in found]
    page.fill("#score", "0.6")
    sure = [row for row in spots if row["score"] >= 0.6]
    expect(page.locator("#object-count")).to_have_text(f"{len(sure)} of {len(spots)} spots in {len(found)} cells")
    counts = [int(text) for text in page.locator("#object-rows td:nth-child(2)").all_inner_texts()]
    assert counts == [sum(spot["cell"] == row["id"] for spot in sure) for row in found]
    page.click("#histogram button:last-child")
    most = max(counts)
    expect(page.locator("#object-rows tr")).to_have_count(counts.count(most))
    inside = sum(counts[spot["cell"] - 1] == most for spot in sure if spot["cell"])
    assert drawn(page) == counts.count(most) + inside, "the spots of other cells are not drawn"
    page.uncheck("[name=class][value=cell]")
    page.select_option("#table-of", "spot")
    expect(page.locator("#object-head th", has_text="contrast")).to_have_count(1)


def test_membranes_lie_over_the_cells(hand_visitor: Visitor, hand_worker: HandWorker) -> None:
    page = show(hand_visitor, hand_worker.result(cells()))
    expect(page.locator("label:has([name=layer][value=probability])")).to_contain_text("Membrane")
    tinted = "performance.getEntriesByType('resource').some((one) => one.name.includes('tint.png'))"
    assert page.evaluate(tinted)
    expect(page.locator("#membrane")).to_be_checked()
    page.keyboard.press("m")
    expect(page.locator("#membrane")).not_to_be_checked()


def test_the_table_by_keyboard(hand_visitor: Visitor, hand_worker: HandWorker) -> None:
    page = show(hand_visitor, hand_worker.result(regions()))
    page.focus("#object-rows tr")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#object-rows tr[aria-selected=true]")).to_have_attribute("data-id", "3")
    assert page.evaluate("document.activeElement.dataset.id") == "3"
    page.keyboard.press("ArrowUp")
    assert page.evaluate("document.activeElement.dataset.id") == "2"
    page.fill("#object-filter", "area_px > 400")
    shown = page.locator("#object-rows tr").count()
    assert 0 < shown < 64
    assert drawn(page) <= shown
    page.click("#object-clear")
    expect(page.locator("#object-rows tr")).to_have_count(64)


def test_twenty_thousand_objects_stay_fast(
    hand_visitor: Visitor, hand_worker: HandWorker, record_property: Callable[[str, object], None]
) -> None:
    made = regions(512)
    many = 20_000
    places = np.random.default_rng(1).integers(0, 506, (many, 2))
    made.rows = [
        made.rows[0] | {"id": number, "x_min": int(x), "y_min": int(y), "x_max": int(x) + 6, "y_max": int(y) + 6}
        for number, (x, y) in enumerate(places, 1)
    ]
    made.summary["shape"] = "boxes"
    page = show(hand_visitor, hand_worker.result(made))
    page.wait_for_function(f"() => document.querySelector('.object-layer').dataset.drawn == {many}")
    expect(page.locator("#object-rows tr")).to_have_count(200)
    seconds = page.evaluate("""() => {
      const times = [0, 1, 2, 3].map(() => {
        const began = performance.now();
        for (const style of ["filled", "outlines"]) document.querySelector(`[name=style][value=${style}]`).click();
        return (performance.now() - began) / 2e3;
      });
      return Math.min(...times);
    }""")
    record_property("drawing 20,000 objects, s", seconds)
    assert seconds < 2, "about 0.03 s where nothing else runs"
    page.evaluate("document.querySelector('.object-table').scrollTo(0, 1e6)")
    expect(page.locator("#object-rows tr")).to_have_count(400)


def test_an_overlay_shown_early_goes_when_the_job_fails(hand_visitor: Visitor, hand_worker: HandWorker) -> None:
    made = regions()
    uuid = hand_worker.submit(made.picture)
    page = hand_visitor.open(f"/r/{uuid}")
    lease = hand_worker.claim(uuid)
    red = np.full((*made.picture.shape, 3), (255, 0, 0), np.uint8)
    hand_worker.put(uuid, lease, "overlay.png", png(red))
    until_red(page, True)
    hand_worker.client.fail(uuid, lease, "made-up", "It failed.", "Nothing to do.", retry=False)
    expect(page.locator("#result")).to_have_attribute("data-state", "failed")
    until_red(page, False)


def until_red(page: Page, wanted: bool) -> None:
    """Wait until the middle of the picture is red, or is not."""
    for _ in range(50):
        page.wait_for_timeout(100)
        if (canvas_colours(page, [(128, 128)])[1][0].tolist() == [255, 0, 0]) == wanted:
            return
    pytest.fail(f"the picture {'never became' if wanted else 'stayed'} red")
