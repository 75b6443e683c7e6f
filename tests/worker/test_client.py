"""The client against the real scheduler: every answer as a value or a typed error."""

from __future__ import annotations

import hashlib
import http.client
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from plant import TOKEN, Plant, free_ports

from scheduler.contract import Claim, Progress, ReserveRequest
from worker.client import BadToken, JobOver, Refused, SchedulerClient, ServiceAway, StaleLease
from zoo.identifiers import new_uuid


@pytest.fixture
def client(lasting_plant: Plant) -> Iterator[SchedulerClient]:
    client = SchedulerClient(lasting_plant.server, TOKEN)
    yield client
    client.close()


@pytest.fixture
def claim(lasting_plant: Plant, client: SchedulerClient) -> Iterator[Claim]:
    uuid = lasting_plant.submit(steps=3)
    claim = client.reserve(ReserveRequest("tester", device="cpu"))
    assert claim is not None
    assert claim.uuid == uuid
    yield claim
    lasting_plant.scheduler.cancel(uuid)


def test_nothing_to_do_is_none(client: SchedulerClient) -> None:
    assert client.reserve(ReserveRequest("tester", timeout_seconds=0.1)) is None


def test_a_job_from_claim_to_result(
    lasting_plant: Plant, client: SchedulerClient, claim: Claim, tmp_path: Path
) -> None:
    lease = (claim.uuid, claim.lease)
    assert claim.settings == {"steps": 3}
    assert client.start(*lease).seconds == lasting_plant.settings.ert_floor_seconds
    client.progress(*lease, Progress("inferring", 0.5, "tile 1 of 2"))
    assert lasting_plant.job(claim.uuid)["progress"]["message"] == "tile 1 of 2"
    client.log(*lease, 0, "a line\n")
    client.log(*lease, 0, "a line\n")
    assert client.extend(*lease).until > claim.lease_until - 30
    file = tmp_path / "log.txt"
    file.write_text("three objects")
    sha256 = hashlib.sha256(b"three objects").hexdigest()
    client.put_file(*lease, "log.txt", file, sha256)
    files = [{"name": "log.txt", "sha256": sha256, "size": 13, "media_type": "text/plain"}]
    client.result(*lease, files, {"objects": 3}, {"inferring": 0.1})
    client.result(*lease, files, {"objects": 3}, {"inferring": 0.1})
    assert lasting_plant.job(claim.uuid)["state"] == "done"
    assert lasting_plant.scheduler.log_text(claim.uuid).count("a line") == 1


def test_a_wrong_sum_is_refused(client: SchedulerClient, claim: Claim, tmp_path: Path) -> None:
    file = tmp_path / "log.txt"
    file.write_text("something else")
    with pytest.raises(Refused) as refused:
        client.put_file(claim.uuid, claim.lease, "log.txt", file, "0" * 64)
    assert (refused.value.status, refused.value.code) == (422, "digest-mismatch")


def test_a_stale_lease_and_a_job_that_is_over(lasting_plant: Plant, client: SchedulerClient, claim: Claim) -> None:
    with pytest.raises(StaleLease):
        client.start(claim.uuid, new_uuid())
    lasting_plant.scheduler.cancel(claim.uuid)
    with pytest.raises(JobOver):
        client.progress(claim.uuid, claim.lease, Progress("loading"))


def test_a_failure_and_a_job_handed_back(lasting_plant: Plant, client: SchedulerClient, claim: Claim) -> None:
    client.release(claim.uuid, claim.lease)
    again = client.reserve(ReserveRequest("tester"))
    assert again is not None
    assert (again.uuid, again.attempt) == (claim.uuid, 1)
    client.fail(again.uuid, again.lease, "broken", "It broke.", "Mend it.", retry=False)
    error = lasting_plant.job(claim.uuid)["error"]
    assert error == {"code": "broken", "message": "It broke.", "hint": "Mend it."}


def test_a_wrong_token(lasting_plant: Plant) -> None:
    client = SchedulerClient(lasting_plant.server, "guessed")
    with pytest.raises(BadToken):
        client.reserve(ReserveRequest("tester"))
    client.close()


def test_a_token_is_not_replaced_by_a_netrc_file(
    lasting_plant: Plant, client: SchedulerClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    assert client.reserve(ReserveRequest("tester", timeout_seconds=0.1)) is None


class ForwardingProxy(BaseHTTPRequestHandler):
    """Sends on what it is asked for by its whole address, and keeps the addresses in `server.asked`."""

    def do_POST(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        where = urlsplit(self.path)
        far = http.client.HTTPConnection(str(where.hostname), where.port or 80)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name: self.headers[name] for name in ("Authorization", "Content-Type")}
        far.request("POST", where.path, body, headers)
        answer = far.getresponse()
        data = answer.read()
        far.close()
        self.send_response(answer.status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


def test_a_proxy_named_in_the_environment_is_asked(
    lasting_plant: Plant, claim: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    with HTTPServer(("127.0.0.1", 0), ForwardingProxy) as proxy:
        proxy.asked = []  # type: ignore[attr-defined]
        serving = threading.Thread(target=proxy.serve_forever)
        serving.start()
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.server_port}")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        client = SchedulerClient(lasting_plant.server, TOKEN)
        assert client.start(claim.uuid, claim.lease).seconds > 0
        client.close()
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        beside = SchedulerClient(lasting_plant.server, TOKEN)
        assert beside.extend(claim.uuid, claim.lease).seconds > 0
        beside.close()
        proxy.shutdown()
        serving.join()
    assert proxy.asked == [f"{lasting_plant.server}/scheduler/v1/jobs/{claim.uuid}/start"]  # type: ignore[attr-defined]


def test_nobody_there() -> None:
    client = SchedulerClient(f"http://127.0.0.1:{free_ports()[0]}", TOKEN)
    with pytest.raises(ServiceAway) as away:
        client.start("u", "l")
    assert not away.value.answered
    client.close()


def test_the_queue_being_down_is_the_service_being_away(tmp_path: Path, package: Path) -> None:
    plant = Plant(tmp_path, free_ports(), package)
    client = SchedulerClient(plant.server, TOKEN)
    plant.queue.kill()
    with pytest.raises(ServiceAway):
        client.reserve(ReserveRequest("tester"))
    client.close()
    plant.close()
