"""A plant (beanstalkd, the scheduler's API, workers) for each test, or one for a module that breaks nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from example_package import make_package
from plant import Plant, free_ports


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model package whose weights no test here loads."""
    return make_package(tmp_path_factory.mktemp("package") / "test-model.zip")


@pytest.fixture
def plant(tmp_path: Path, package: Path) -> Iterator[Plant]:
    plant = Plant(tmp_path, free_ports(), package)
    yield plant
    plant.close()


@pytest.fixture(scope="module")
def lasting_plant(tmp_path_factory: pytest.TempPathFactory, package: Path) -> Iterator[Plant]:
    plant = Plant(tmp_path_factory.mktemp("plant"), free_ports(), package, claim_seconds=30.0, reserve_seconds=1.0)
    yield plant
    plant.close()
