"""What a visitor is told while a preview waits and runs, before it is submitted, and how re-runs are found again."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from browser_visitor import Visitor, shifts
from made_results import HandWorker, files_of, regions, summary_of
from playwright.sync_api import Page, expect
from result_page import run, wait_done
from test_page_checks import SCRIPT_BYTES, script_bytes, violations

from benchmarks.eta import report, run_burst
from benchmarks.service import Client

MADE = regions()


def finish(hand_worker: HandWorker, uuid: str, lease: str) -> None:
    hand_worker.finish(uuid, lease, files_of(MADE), summary_of(MADE))


def told(page: Page, pattern: str) -> None:
    expect(page.locator("#waiting-time")).to_have_text(re.compile(pattern))


def test_a_page_tells_when_its_job_starts_and_ends(hand_visitor: Visitor, hand_worker: HandWorker) -> None:
    first = hand_worker.submit(MADE.picture)
    lease = hand_worker.claim(first)
    second = hand_worker.submit(MADE.picture)
    third = hand_worker.submit(MADE.picture)
    page = hand_visitor.open(f"/r/{third}")
    expect(page.locator("#waiting-sentence")).to_have_text("Waiting for a worker: 1 job before it")
    told(page, r"^Waiting for \d+ s; starts in about \d+ s, done in about \d+ s$")
    page.wait_for_load_state("networkidle")
    assert shifts(page) == []
    assert violations(page) == []
    assert script_bytes(page) < SCRIPT_BYTES
    finish(hand_worker, first, lease)
    lease = hand_worker.claim(second)
    expect(page.locator("#waiting-sentence")).to_have_text("Waiting for a worker")
    finish(hand_worker, second, lease)
    lease = hand_worker.claim(third)
    told(page, r"^Running for \d+ s; done in about \d+ s$")
    finish(hand_worker, third, lease)
    wait_done(page)


def test_before_running_a_visitor_is_told_of_the_queue(hand_visitor: Visitor, hand_worker: HandWorker) -> None:
    first = hand_worker.submit(MADE.picture)
    lease = hand_worker.claim(first)
    # Of a model that no other test runs: jobs that were answered by hand teach that theirs takes no time.
    waiting = [hand_worker.submit(MADE.picture, "planes", settings={"variations": "8-flips"}) for _ in range(4)]
    page = hand_visitor.open("/try?model=nuclei&sample=0")
    expect(page.locator("#estimate")).to_contain_text(
        re.compile(r"\d+ s until a worker is free \(4 jobs before yours\)")
    )
    finish(hand_worker, first, lease)
    for uuid in waiting:
        finish(hand_worker, uuid, hand_worker.claim(uuid))


def test_a_rerun_with_changes_and_its_original_lead_to_each_other(
    hand_visitor: Visitor, hand_worker: HandWorker
) -> None:
    page = hand_visitor.open("/try?model=nuclei&sample=0&roi=0,0,64,64")
    original = run(page)
    uuid = original.rsplit("/", 1)[1]
    finish(hand_worker, uuid, hand_worker.claim(uuid))
    wait_done(page)
    page.click("text=Re-run with changes")
    page.wait_for_url(f"**rerun={uuid}**")
    expect(page.locator("#run")).to_be_enabled()
    page.evaluate("document.querySelector('#step-settings').open = true")
    page.fill("#setting-threshold", "0.7")
    page.press("#setting-threshold", "Tab")
    page.wait_for_url("**set.threshold=0.7**")
    assert f"rerun={uuid}" in page.url
    again = run(page)
    expect(page.locator(".result-head")).to_contain_text("threshold 0.7 instead of 0.5")
    page.click("text=an earlier preview")
    page.wait_for_url(original)
    expect(page.locator(".result-head")).to_contain_text("Run again since: threshold 0.7 instead of 0.5 (queued)")
    page.click("text=threshold 0.7 instead of 0.5")
    page.wait_for_url(again)
    page.click("#cancel")
    expect(page.locator("#result")).to_have_attribute("data-state", "cancelled")


def test_the_benchmark_of_what_is_told_runs(zooscope_url: str, cells: Path, capsys: pytest.CaptureFixture[str]) -> None:
    client = Client(zooscope_url)
    image = client.upload(cells.name, cells.read_bytes())["id"]
    client.finish(client.submit(image, [0, 0, 128, 128], "nuclei"))
    found = run_burst(client, image, [128, 192])
    report(found)
    assert "ETA told at submit" in capsys.readouterr().out
    assert all(one["took"] > 0 for one in found)
