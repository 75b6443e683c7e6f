"""What every test may rely on: an environment without our settings, small property tests, and a running service."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Read by TensorFlow when it is imported, also in the processes that tests start.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
for variable in [name for name in os.environ if name.startswith("ZOOSCOPE_")]:
    del os.environ[variable]

STOP_SECONDS = 20.0

settings.register_profile(
    "zooscope",
    deadline=None,
    max_examples=25,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("zooscope")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests run last, so that a mistake shows early."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)


@pytest.fixture(scope="session")
def zooscope_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address that `zooscope up` prints, with the seed models and one worker on the CPU; shared by all tests."""
    yield from run_service(tmp_path_factory.mktemp("service") / "data", "--workers", "1")


def run_service(data: Path, *options: str) -> Iterator[str]:
    """Start `zooscope up` on a free port, yield its address, and stop it as Ctrl-C does."""
    command = [sys.executable, "-m", "zooscope", "up", "--port", "0", "--data", str(data), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if line.startswith("Zooscope is at "):
                break
        else:
            pytest.fail(f"zooscope up ended before it was ready: {''.join(said)}")
        # Nobody reads on, and a full pipe would stop it.
        reader = threading.Thread(target=process.stdout.read, daemon=True)
        reader.start()
        try:
            yield line.split()[3]
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(timeout=STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
            finally:
                reader.join(STOP_SECONDS)
