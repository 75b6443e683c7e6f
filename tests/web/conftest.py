"""A zoo of two small models, an application on a fresh data folder with a real queue, and a worker's part by hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from example_package import INSTANCES_HEAD, make_package
from flask import Flask
from flask.testing import FlaskClient
from served_application import served
from web_helpers import WorkerHand

from scheduler.broker import Broker, start_beanstalkd
from web.app import create_app
from web.up import free_port
from zoo.secrets import worker_token
from zoo.settings import Settings


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages: `cells` takes RGB at 0.5 µm, `grey` takes one channel of any size up to 10 000 px."""
    folder = tmp_path_factory.mktemp("packages")
    make_package(
        folder / "cells.zip", channels=3, head=INSTANCES_HEAD | {"object": "cell"}, name="Cells", pixel_size_um=0.5
    )
    make_package(folder / "grey.zip", name="Grey things", preview={"maximum_pixels": 10_000})
    return folder


@pytest.fixture(scope="session")
def beanstalkd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    broker = start_beanstalkd(Settings(data=tmp_path_factory.mktemp("queue")), free_port(), binlog=False)
    yield broker
    broker.stop()


@pytest.fixture
def settings(tmp_path: Path, beanstalkd: Broker) -> Settings:
    return Settings(data=tmp_path / "data", beanstalkd=beanstalkd.address, free_disk_bytes=0, upload_bytes=400_000)


@pytest.fixture
def app(settings: Settings, packages: Path) -> Iterator[Flask]:
    app = create_app(settings)
    parts = app.extensions["zooscope"]
    parts.catalogue.fill_seeds(packages)
    yield app
    parts.close()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def stranger(app: Flask) -> FlaskClient:
    """Another visitor."""
    return app.test_client()


@pytest.fixture
def server(app: Flask) -> Iterator[str]:
    """The application on a real socket; its URL."""
    with served(app) as url:
        yield url


@pytest.fixture
def worker(app: Flask, settings: Settings) -> WorkerHand:
    return WorkerHand(app.test_client(), worker_token(settings))
