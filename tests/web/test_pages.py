from __future__ import annotations

from pathlib import Path

from flask.testing import FlaskClient
from web_helpers import WorkerHand, submit

from web import documentation


def test_the_gallery_shows_and_filters_models(client: FlaskClient) -> None:
    assert {name in client.get("/").text for name in ("Cells", "Grey things")} == {True}
    filtered = client.get("/?head.kind=watershed-instances").text
    assert "/models/cells" in filtered
    assert "/models/grey" not in filtered
    assert "/models/grey" in client.get("/?q=grey").text


def test_a_model_page_renders_its_card(client: FlaskClient) -> None:
    text = client.get("/models/cells").text
    assert '<h1 id="validation">Validation</h1>' in text
    assert "Ada Tester" in text


def test_try_and_status_and_api_are_there(client: FlaskClient) -> None:
    for path in ("/try?model=cells", "/status", "/api/v1/docs"):
        answer = client.get(path)
        assert (answer.status_code, answer.mimetype) == (200, "text/html")


def test_a_result_page_is_there_for_everybody_at_once_and_forever(
    client: FlaskClient, stranger: FlaskClient, worker: WorkerHand
) -> None:
    job = submit(client)
    assert job["uuid"] in stranger.get(f"/r/{job['uuid']}").text
    worker.finish(worker.start())
    page = stranger.get(f"/r/{job['uuid']}")
    assert page.status_code == 200
    assert "result.zip" in page.text
    assert job["source"]["image_id"] not in page.text
    assert job["source"]["image_id"] in client.get(f"/r/{job['uuid']}").text
    assert stranger.get(f"/r/{'0' * 32}").status_code == 404


def test_my_previews_are_mine(client: FlaskClient, stranger: FlaskClient) -> None:
    job = submit(client)
    assert job["uuid"] in client.get("/mine").text
    assert job["uuid"] not in stranger.get("/mine").text


def test_a_file_name_cannot_break_out_of_the_page(client: FlaskClient) -> None:
    from web_helpers import png, upload

    image = upload(client, png(), "</script><script>alert(1)<b>.png")
    job = client.post("/api/v1/jobs", json={"image": image["id"], "models": ["cells"]}).get_json()["jobs"][0]
    for path in (f"/r/{job['uuid']}", "/mine"):
        assert "<script>alert" not in client.get(path).text


def test_markdown_renders_without_raw_html_or_script_links(tmp_path: Path) -> None:
    text = (
        "# Title\n<script>x</script> [a](javascript:x) [b](other.md#part) [c](https://a.example) ![d](shots/d.png)\n\n"
        "| a | b |\n|---|---|\n| 1 | 2 |\n"
    )
    (tmp_path / "index.md").write_text(text)
    (tmp_path / "zebra.md").write_text("no heading")
    (tmp_path / "a-page.md").write_text("# A page")
    html = documentation.document("index", tmp_path).html
    assert "<script>" not in html
    assert 'href="javascript' not in html
    assert 'href="/docs/other#part"' in html
    assert 'src="/docs/shots/d.png"' in html
    assert 'rel="noopener noreferrer"' in html
    assert "<table>" in html
    assert [one.title for one in documentation.documents(tmp_path)] == ["Title", "A page", "zebra"]


def test_docs_are_pages(client: FlaskClient) -> None:
    for document in documentation.documents():
        answer = client.get(f"/docs/{document.name}")
        assert answer.status_code == 200
        assert document.title in answer.text
    assert client.get("/docs").status_code in (200, 302)
    for name in ("nothing", "..%2fREADME", "INDEX", "screenshots/x.svg", "screenshots/..%2f..%2fREADME.md"):
        assert client.get(f"/docs/{name}").status_code == 404
