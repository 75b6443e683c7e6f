"""What every test may rely on: an environment without our settings, small property tests, and a running service."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from elasticsearch_fixture import elasticsearch_url as elasticsearch_url
from hypothesis import HealthCheck, settings
from running_service import run_service

# Read by TensorFlow when it is imported, also in the processes that tests start.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
for variable in [name for name in os.environ if name.startswith("ZOOSCOPE_") and not name.startswith("ZOOSCOPE_TEST_")]:
    del os.environ[variable]

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
def zooscope_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of the service at `zooscope_url`."""
    return tmp_path_factory.mktemp("service") / "data"


@pytest.fixture(scope="session")
def zooscope_url(zooscope_data: Path) -> Iterator[str]:
    """The address that `zooscope up` prints, with the seed models and one worker on the CPU; shared by all tests."""
    yield from run_service(zooscope_data, "--workers", "1")
