"""What every test may rely on: a quiet TensorFlow, an environment without our settings, and small property tests."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

# Read by TensorFlow when it is imported, also in the processes that tests start.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
for variable in [name for name in os.environ if name.startswith("ZOOSCOPE_")]:
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
