"""`zooscope search`, `fetch` and `publish --server` against the real application on a real socket."""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from account_helpers import signed_in, token_for
from check_helpers import FIELDS, files_of_check, finish_check
from example_package import make_package
from flask import Flask
from flask.testing import FlaskClient
from served_application import served
from standard_package import write_onnx
from web_helpers import WorkerHand, png

import zooscope
from scheduler.broker import Broker
from web.app import create_app
from zoo import zoo_client
from zoo.publish_remote import Submitting
from zoo.settings import Settings
from zoo.zoo_client import BadServer, Refused, ServiceAway, ZooClient

Answer = tuple[int, dict[str, str], bytes]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory, beanstalkd: Broker) -> Settings:
    data = tmp_path_factory.mktemp("commands")
    return Settings(data=data, beanstalkd=beanstalkd.address, free_disk_bytes=0, upload_bytes=400_000)


@pytest.fixture(scope="module")
def app(settings: Settings, packages: Path) -> Iterator[Flask]:
    """One application for all: the tests leave each other's models and drafts alone."""
    app = create_app(settings)
    parts = app.extensions["zooscope"]
    parts.catalogue.fill_seeds(packages)
    yield app
    parts.close()


@pytest.fixture(scope="module")
def server(app: Flask) -> Iterator[str]:
    with served(app) as url:
        yield url


@pytest.fixture
def here(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, and the service in the environment."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("ZOOSCOPE_SERVER", server)
    return folder


@contextlib.contextmanager
def narrow(server: str, most: int) -> Iterator[tuple[str, list[bytes]]]:
    """The service behind a line that breaks after `most` bytes of every answer; its URL, and what was asked."""
    target, asked = int(server.rsplit(":", 1)[1]), []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ended = threading.Event()

        def serve() -> None:
            while not ended.is_set():
                with contextlib.suppress(OSError):
                    link, _ = listener.accept()
                    with link, socket.create_connection(("127.0.0.1", target)) as there:
                        asked.append(request := link.recv(65536))
                        there.sendall(request.replace(b"keep-alive", b"close"))
                        left = most
                        while left > 0 and (data := there.recv(min(left, 65536))):
                            link.sendall(data)
                            left -= len(data)
                        link.close()
                        while there.recv(65536):
                            pass

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", asked
        ended.set()
        socket.create_connection(listener.getsockname()).close()
        thread.join()


@contextlib.contextmanager
def scripted(*answers: Answer) -> Iterator[tuple[str, list[str]]]:
    """A server that gives these answers, the last one for ever; its URL, and the paths that were asked for."""
    left, asked = list(answers), []

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            asked.append(f"{self.command} {self.path}")
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, headers, body = left.pop(0) if len(left) > 1 else left[0]
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = answer

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    with HTTPServer(("127.0.0.1", 0), Handler) as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{made.server_port}", asked
        made.shutdown()
        thread.join()


def test_search_prints_a_line_for_each_model(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert zooscope.main(["search", "grey"]) == 0
    line = capsys.readouterr().out
    assert line.split() == ["grey", "1.0.0", "test", "objects"]
    assert zooscope.main(["search", "--where", "licence=CC0-1.0", "--limit", "1"]) == 0
    assert capsys.readouterr().out.splitlines()[1] == "and 1 more: give more words, or a higher --limit"
    assert zooscope.main(["search", "--json", "cells"]) == 0
    assert json.loads(capsys.readouterr().out)["items"][0]["id"] == "cells"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--where", "colour=red"], "There is no parameter 'colour' here."),
        (["--where", "colour"], "--where 'colour' is not FIELD=VALUE."),
        (["--limit", "0"], "--limit is 0."),
        (["--server", "file:///etc"], "'file:///etc' is no address of a Zooscope."),
    ],
)
def test_search_says_what_it_does_not_understand(
    here: Path, capsys: pytest.CaptureFixture[str], given: list[str], told: str
) -> None:
    assert zooscope.main(["search", *given]) == 2
    assert told in capsys.readouterr().err


def package_of(app: Flask, id: str = "cells") -> bytes:
    return app.extensions["zooscope"].catalogue.package_path(id).read_bytes()


def test_fetch_writes_a_verified_package(app: Flask, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for model in ("cells", "cells@1.0.0"):
        assert zooscope.main(["fetch", model]) == 0
        assert capsys.readouterr().out.startswith("cells-1.0.0.zip cells 1.0.0, sha256 ")
        assert [path.name for path in here.iterdir()] == ["cells-1.0.0.zip"]
        assert (here / "cells-1.0.0.zip").read_bytes() == package_of(app)


def test_fetch_replaces_nothing_unasked(app: Flask, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "mine.zip").write_bytes(b"my own")
    assert zooscope.main(["fetch", "cells", "-o", "mine.zip"]) == 2
    assert "is there already, with other contents" in capsys.readouterr().err
    assert (here / "mine.zip").read_bytes() == b"my own"
    assert zooscope.main(["fetch", "cells", "-o", "mine.zip", "--force"]) == 0
    assert (here / "mine.zip").read_bytes() == package_of(app)
    assert zooscope.main(["fetch", "cells", "-o", "nowhere/mine.zip"]) == 2
    assert "There is no folder nowhere" in capsys.readouterr().err


@pytest.mark.parametrize(("model", "told"), [("none", "There is no model 'none'"), ("cells@9", "has no version '9'"),
                                             ("cells@", "names no model"), ("../x", "")])  # fmt: skip
def test_fetch_of_what_is_not_there(here: Path, capsys: pytest.CaptureFixture[str], model: str, told: str) -> None:
    assert zooscope.main(["fetch", model]) == 2
    assert told in capsys.readouterr().err
    assert list(here.iterdir()) == []


def test_fetch_goes_on_where_the_line_broke(
    app: Flask, here: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = package_of(app)
    with narrow(server, len(whole) // 4) as (url, asked):
        assert zooscope.main(["fetch", "cells", "--server", url]) == 0
    assert (here / "cells-1.0.0.zip").read_bytes() == whole
    ranges = [int(request.split(b"Range: bytes=", 1)[1].split(b"-")[0]) for request in asked if b"Range: " in request]
    assert len(ranges) >= 3
    assert ranges == sorted(ranges)
    assert all(
        b'If-Range: "' + hashlib.sha256(whole).hexdigest().encode() in one for one in asked if b"Range: b" in one
    )


@pytest.mark.parametrize(
    "damage", [lambda whole: b"x" * 1000, lambda whole: whole + b"more", lambda whole: b"x" * len(whole)]
)
def test_fetch_begins_anew_when_what_is_there_is_damaged(
    app: Flask, here: Path, damage: Callable[[bytes], bytes]
) -> None:
    whole = package_of(app)
    part = here / f".cells-1.0.0.zip.{hashlib.sha256(whole).hexdigest()[:16]}.part"
    part.write_bytes(damage(whole))
    assert zooscope.main(["fetch", "cells"]) == 0
    assert [path.name for path in here.iterdir()] == ["cells-1.0.0.zip"]
    assert (here / "cells-1.0.0.zip").read_bytes() == whole


def test_fetch_takes_nothing_that_is_not_what_was_told(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = {"id": "cells", "version": "1", "package_sha256": "0" * 64, "package_bytes": 4}
    with scripted((200, {}, json.dumps(model).encode()), (200, {}, b"evil")) as (url, _):
        assert zooscope.main(["fetch", "cells", "--server", url]) == 2
    assert "is not the package whose sha256 it told" in capsys.readouterr().err
    assert not (here / "cells-1.zip").exists()


@pytest.mark.parametrize(
    "wrong",
    [{"id": "../../evil"}, {"id": "other"}, {"version": "../2"}, {"package_sha256": "../x"}, {"package_bytes": "many"}],
    ids=str,
)
def test_fetch_writes_nowhere_that_a_service_says(
    here: Path, capsys: pytest.CaptureFixture[str], wrong: dict[str, Any]
) -> None:
    model = {"id": "cells", "version": "1", "package_sha256": "0" * 64, "package_bytes": 4} | wrong
    with scripted((200, {}, json.dumps(model).encode()), (200, {}, b"evil")) as (url, asked):
        assert zooscope.main(["fetch", "cells", "--server", url]) == 2
    assert "answers with another model than was asked for" in capsys.readouterr().err
    assert len(asked) == 1
    assert list(here.iterdir()) == []


def test_fetch_tells_why_a_model_is_gone(app: Flask, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parts = app.extensions["zooscope"]
    parts.catalogue.publish(make_package(here / "gone.zip"))
    parts.publishing.changes.withdraw("gone", "1.0.0", "It was trained on the test set.", "")
    assert zooscope.main(["fetch", "gone", "-o", "taken.zip"]) == 2
    assert "It was trained on the test set." in capsys.readouterr().err
    assert not (here / "taken.zip").exists()


def test_what_a_service_says_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    model = {"id": "cells", "version": "1", "finds": "\x1b]0;owned\x07\x1b[2Jcells\r\nmore"}
    error = {"error": {"code": "x", "message": "Gone\x1b[2J.", "hint": "\x9b2J"}}
    with scripted((200, {}, json.dumps({"items": [model], "total": 1}).encode())) as (url, _):
        assert zooscope.main(["search", "--server", url]) == 0
    with scripted((404, {}, json.dumps(error).encode())) as (url, _):
        assert zooscope.main(["fetch", "cells", "--server", url]) == 2
    told = capsys.readouterr()
    assert told.out.count("\n") == 1
    assert not {"\x1b", "\x07", "\r", "\x9b"} & set(told.out + told.err)


def test_a_busy_service_is_asked_again_when_it_says() -> None:
    waited: list[float] = []
    busy = (503, {"Retry-After": "7"}, b"{}"), (429, {"Retry-After": "100000"}, b"{}"), (502, {}, b"<html>")
    with (
        scripted(*busy, (200, {}, b'{"ok": true}')) as (url, asked),
        contextlib.closing(ZooClient(url, wait=waited.append)) as zoo,
    ):
        assert zoo.get("/api/v1/status") == {"ok": True}
    assert waited == [7.0, zoo_client.LONGEST_WAIT_SECONDS, 4.0]
    assert len(asked) == 4


@pytest.mark.parametrize(
    ("answer", "error", "told"),
    [
        ((503, {}, b"away"), ServiceAway, "is not available now"),
        ((503, {}, b'{"error": {"code": "busy", "message": "Busy.", "hint": "Later."}}'), Refused, "Busy."),
        ((302, {"Location": "https://other.example/"}, b""), BadServer, "has moved to 'https://other.example/'"),
        ((200, {}, b"<html>"), BadServer, "does not answer as Zooscope does"),
        ((200, {}, b"[1]"), BadServer, "does not answer as Zooscope does"),
        ((418, {}, b"[1]"), Refused, "The service answered 418."),
    ],
)
def test_strange_answers_are_told_in_a_sentence(answer: Answer, error: type[Exception], told: str) -> None:
    with scripted(answer) as (url, _), contextlib.closing(ZooClient(url, wait=lambda seconds: None)) as zoo:
        with pytest.raises(error) as refused:
            zoo.get("/api/v1/status")
        assert told in str(refused.value)


def test_what_was_posted_is_not_posted_twice_when_no_answer_comes() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        came: list[bytes] = []

        def hang_up() -> None:
            for _ in range(2):
                link, _ = listener.accept()
                came.append(link.recv(65536))
                link.close()

        thread = threading.Thread(target=hang_up, daemon=True)
        thread.start()
        with contextlib.closing(
            ZooClient(f"http://127.0.0.1:{listener.getsockname()[1]}", wait=lambda seconds: None)
        ) as zoo:
            with pytest.raises(ServiceAway):
                zoo.post("/api/v1/submissions", {})
            assert len(came) == 1
        socket.create_connection(listener.getsockname()).close()
        thread.join(5)


def test_without_a_service_the_command_fails_with_a_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoo.zoo_client.TRIES", 1)
    assert zooscope.main(["search", "--server", "http://127.0.0.1:9"]) == 1
    assert "http://127.0.0.1:9 does not answer: no connection." in capsys.readouterr().err


@pytest.fixture
def model(tmp_path: Path) -> list[str]:
    """What to give the command for a bare network with everything that is asked for."""
    network = write_onnx(tmp_path / "network.onnx")
    (tmp_path / "cells.png").write_bytes(png(96, 80, 1))
    (tmp_path / "form.yaml").write_text(yaml.safe_dump(FIELDS | {"id": tmp_path.name}))
    return [str(network), "--fields", str(tmp_path / "form.yaml"), "--test-image", str(tmp_path / "cells.png")]


def start_worker(worker: WorkerHand, files: dict[str, bytes] | None = None) -> threading.Thread:
    thread = threading.Thread(target=finish_check, args=(worker, files))
    thread.start()
    return thread


def test_publish_submits_what_passed_its_check(
    client: FlaskClient, worker: WorkerHand, server: str, model: list[str], tmp_path: Path,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("zoo.publish_remote.POLL_SECONDS", 0.05)
    token = token_for(client)[1]["Authorization"].removeprefix("Bearer ")
    (tmp_path / "token").write_text(f"{token}\n")
    hand = start_worker(worker)
    assert zooscope.main(["publish", *model, "--server", server, "--token-file", str(tmp_path / "token")]) == 0
    hand.join()
    told = capsys.readouterr()
    state, id, page = told.out.split()
    assert (state, page) == ("submitted", f"{server}/publish/{id}")
    assert "Sent network.onnx" in told.err
    assert "  passed  load done." in told.err
    signed_in(client, "Grace", ("author", "reviewer"))
    accepted = client.post(f"/api/v1/submissions/{id}/accept", json={"text": "Good."})
    assert accepted.get_json()["state"] == "published", accepted.text
    monkeypatch.chdir(tmp_path)
    assert zooscope.main(["fetch", tmp_path.name, "--server", server]) == 0


def test_publish_says_what_is_missing_and_goes_on_with_its_draft(
    client: FlaskClient, worker: WorkerHand, server: str, model: list[str],
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("zoo.publish_remote.POLL_SECONDS", 0.05)
    monkeypatch.setenv("ZOOSCOPE_TOKEN", token_for(client)[1]["Authorization"].removeprefix("Bearer "))
    assert zooscope.main(["publish", model[0], "--server", server]) == 2
    told = capsys.readouterr().err
    assert "Test image" in told or "test image" in told
    draft = told.split("Draft ", 1)[1].split(":", 1)[0]
    hand = start_worker(worker, files_of_check(passed=False))
    assert zooscope.main(["publish", *model, "--server", server, "--draft", draft]) == 2
    hand.join()
    told = capsys.readouterr().err
    assert "network.onnx is there already." in told
    assert "  FAILED  load done." in told
    assert "The check of the model did not pass." in told
    hand = start_worker(worker)
    assert zooscope.main(["publish", *model, "--server", server, "--draft", draft, "--no-submit"]) == 0
    hand.join()
    assert capsys.readouterr().out.startswith(f"draft {draft}")
    assert zooscope.main(["publish", *model, "--server", server, "--draft", draft]) == 0
    assert capsys.readouterr().out.startswith(f"submitted {draft}")


def test_an_upload_that_broke_off_goes_on(
    client: FlaskClient, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoo.zoo_client.PART_BYTES", 500)
    network = write_onnx(tmp_path / "network.onnx", maps=9)
    size, begun = network.stat().st_size, []
    token = token_for(client)[1]["Authorization"].removeprefix("Bearer ")
    with contextlib.closing(ZooClient(server, token)) as zoo:
        submitting = Submitting(zoo, lambda line: None)
        submitting.begin(None, {})

        def interrupt(done: int, total: int) -> None:
            if done >= 1000:
                raise KeyboardInterrupt

        path, key = f"{submitting.address}/files/weights", "one key"
        with pytest.raises(KeyboardInterrupt):
            zoo.put_file(path, network, key, interrupt)
        answer = zoo.put_file(path, network, key, lambda done, total: begun.append(done))
    assert begun[0] == 1000
    assert begun[-1] == size
    file = answer["submission"]["files"]["weights"]
    assert (file["sha256"], file["name"]) == (hashlib.sha256(network.read_bytes()).hexdigest(), "network.onnx")


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ([], "Publishing needs an API token."),
        (["--token-file", "nowhere"], "The token file nowhere cannot be read."),
        (["--fields", "nowhere"], "nowhere cannot be read"),
        (["--cover", "nowhere"], "There is no file nowhere."),
    ],
)
def test_publish_needs_a_token_and_files(
    here: Path, server: str, model: list[str], capsys: pytest.CaptureFixture[str], more: list[str], told: str
) -> None:
    assert zooscope.main(["publish", model[0], "--server", server, *more]) == 2
    assert told in capsys.readouterr().err


def test_publish_tells_of_a_token_that_is_none(
    here: Path, server: str, model: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOOSCOPE_TOKEN", "zst_wrong")
    assert zooscope.main(["publish", *model, "--server", server]) == 2
    assert "This API token is not valid." in capsys.readouterr().err
    assert zooscope.main(["publish", str(here), "--server", server]) == 2
    assert "is no model that Zooscope takes" in capsys.readouterr().err
