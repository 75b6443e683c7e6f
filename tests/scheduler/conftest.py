"""A scheduler on a folder of its own with a real beanstalkd on a random port."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import greenstalk
import pytest
from flask import Flask
from scheduler_parts import SHORT, Brokers, Parts, Worker, free_port

from scheduler.api import create_blueprint
from scheduler.service import Scheduler
from scheduler.service_api import create_service_blueprint
from zoo.blobs import DiskBlobs
from zoo.documents_sqlite import SqliteDocuments
from zoo.secrets import worker_token
from zoo.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path / "data", beanstalkd=f"127.0.0.1:{free_port()}", **SHORT)


@pytest.fixture
def brokers(settings: Settings) -> Iterator[Brokers]:
    if shutil.which(settings.beanstalkd_binary) is None:
        pytest.fail("beanstalkd is not installed: apt-get install beanstalkd, or brew install beanstalkd.")
    brokers = Brokers(settings)
    brokers.start()
    yield brokers
    brokers.kill()


@pytest.fixture
def bare(brokers: Brokers) -> Iterator[greenstalk.Client]:
    """beanstalkd as an operator sees it, beside the scheduler."""
    with brokers.client() as client:
        yield client


@pytest.fixture
def parts(settings: Settings, brokers: Brokers) -> Iterator[Parts]:
    documents = SqliteDocuments(settings.documents_file)
    blobs = DiskBlobs(settings.blobs_folder)
    parts = Parts(settings, documents, blobs, Scheduler(documents, blobs, settings))
    parts.input_sha256 = blobs.put_bytes(b"an input crop").sha256
    parts.package_sha256 = blobs.put_bytes(b"a model package").sha256
    yield parts
    parts.scheduler.close()
    documents.close()


@pytest.fixture
def new_worker(parts: Parts) -> Callable[[str], Worker]:
    """Makes workers of the current scheduler of `parts`."""

    def make(name: str = "w1") -> Worker:
        app = Flask("test")
        app.register_blueprint(create_blueprint(parts.scheduler))
        app.register_blueprint(create_service_blueprint(parts.scheduler))
        return Worker(app.test_client(), worker_token(parts.settings), name)

    return make


@pytest.fixture
def worker(new_worker: Callable[[str], Worker]) -> Worker:
    return new_worker("w1")
