from __future__ import annotations

import socket
from pathlib import Path

import pytest

from web import up


def test_a_second_up_on_the_same_data_is_told_where_the_first_is(tmp_path: Path) -> None:
    with up.lock_data(tmp_path) as lock:
        lock.write("process 17, http://127.0.0.1:8080")
        lock.flush()
        with pytest.raises(up.AlreadyUp, match=r"process 17, http://127\.0\.0\.1:8080"), up.lock_data(tmp_path):
            pass
    with up.lock_data(tmp_path):
        pass


def test_an_occupied_port_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(up.CannotListen, match="in use") as refused:
            up.listen("127.0.0.1", taken.getsockname()[1])
        assert "--port" in refused.value.hint


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 65536), ("127.0.0.1", -1), ("203.0.113.7", 0)])
def test_an_impossible_address_is_one_sentence(host: str, port: int) -> None:
    with pytest.raises(up.CannotListen):
        up.listen(host, port)


def test_workers_take_the_listed_gpus_in_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = tmp_path / "nvidia-smi"
    driver.write_text(
        "#!/bin/sh\necho 'GPU 0: NVIDIA A (UUID: x)'\necho '  MIG 1g'\necho 'GPU 1: NVIDIA B (UUID: y)'\n"
    )
    driver.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert up.devices(None) == ["gpu:0", "gpu:1"]
    assert up.devices(3) == ["gpu:0", "gpu:1", "gpu:0"]
    assert up.devices(0) == []
    driver.write_text("#!/bin/sh\necho 'no driver' >&2\nexit 9\n")
    assert up.devices(None) == ["cpu"]
