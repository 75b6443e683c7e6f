"""The page of a check in a browser: from the queue to the report, in both themes, on every width, by a real worker."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import requests
from browser_visitor import Visitor
from draft_fields import FIELDS
from PIL import Image
from playwright.sync_api import expect
from standard_package import write_onnx
from test_page_checks import PHONE, violations

from zoo.accounts import Accounts
from zoo.api_tokens import ApiTokens
from zoo.open_documents import open_documents
from zoo.settings import Settings

CHECK_MS = 120_000


@pytest.fixture(scope="module")
def author(zooscope_data: Path) -> dict[str, str]:
    """The headers of a program that publishes for Lise."""
    with closing(open_documents(Settings(data=zooscope_data))) as documents:
        owner = Accounts(documents).add("lise", "Lise Meitner", "four words in a row", ("author",))
        token, _ = ApiTokens(documents).make(owner["id"], "a test", ("publish", "read"))
    return {"Authorization": f"Bearer {token}"}


def picture() -> bytes:
    """A PNG of bright squares on noise."""
    pixels = np.random.default_rng(1).integers(10, 60, (300, 420), np.uint8)
    for place in range(20, 300, 60):
        pixels[place : place + 24, place + 30 : place + 60] = 230
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def draft(url: str, author: dict[str, str], weights: Path, **fields: str) -> str:
    """The address in the API of a draft with all that the form asks for."""
    with requests.Session() as session:
        session.headers.update(author)
        made = session.post(f"{url}/api/v1/submissions", json={"fields": FIELDS | fields}, timeout=30)
        base = f"{url}{made.json()['links']['self']}"
        for role, name, data in (("weights", weights.name, weights.read_bytes()), ("test_image", "c.png", picture())):
            sent = session.put(f"{base}/files/{role}", data=data, headers={"X-Filename": name}, timeout=30)
            assert sent.ok, sent.text
        # What the file tells has been filled in meanwhile; the author's words count.
        assert session.patch(base, json={"fields": FIELDS | fields}, timeout=30).ok
    return base


def started(base: str, author: dict[str, str]) -> str:
    answer = requests.post(f"{base}/check", json={}, headers=author, timeout=60)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["check"]["job"])


def test_a_check_is_followed_to_its_report(
    zooscope_url: str, author: dict[str, str], new_visitor: Callable[..., Visitor], tmp_path: Path
) -> None:
    base = draft(zooscope_url, author, write_onnx(tmp_path / "network.onnx"), id="checked-in-a-browser")
    page = new_visitor().open(f"/r/{started(base, author)}")
    expect(page.locator(".check-verdict")).to_contain_text("It passed.", timeout=CHECK_MS)
    expect(page.locator(".check-steps li")).to_have_count(4)
    expect(page.locator(".check-picture img")).to_be_visible()
    assert page.evaluate("document.querySelector('.check-picture img').naturalWidth") > 0
    assert violations(page) == []
    for theme in ("light", "dark"):
        other = new_visitor(PHONE, theme).open(page.url.removeprefix(zooscope_url))
        expect(other.locator(".check-verdict")).to_be_visible()
        assert violations(other) == []
        assert other.evaluate("document.documentElement.scrollWidth <= innerWidth")
