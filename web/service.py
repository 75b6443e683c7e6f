"""The parts a request works with, put together once by `create_app` and reached through `service()`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

from flask import current_app

from scheduler.service import Scheduler
from web.publishing import Publishing
from web.readiness import Readiness
from web.streams import Streams
from zoo.blobs import DiskBlobs
from zoo.catalogue import Catalogue
from zoo.documents import Documents
from zoo.pyramid import Pyramids
from zoo.settings import Settings
from zoo.submissions import Submissions
from zoo.usage import Usage

SOFTWARE_VERSION = version("zooscope")


def _never() -> bool:
    return False


@dataclass
class Service:
    """`stopping` tells long answers (event streams) that the server is shutting down; the server sets it."""

    settings: Settings
    documents: Documents
    blobs: DiskBlobs
    scheduler: Scheduler
    catalogue: Catalogue
    submissions: Submissions
    streams: Streams
    pyramids: Pyramids
    usage: Usage
    stopping: Callable[[], bool] = _never

    @cached_property
    def readiness(self) -> Readiness:
        return Readiness(
            self.documents, self.scheduler.overview.queue_state, self.uploads_folder, self.settings.free_disk_bytes,
            lambda: self.stopping(),
        )  # fmt: skip

    @cached_property
    def publishing(self) -> Publishing:
        return Publishing(self)

    def close(self) -> None:
        """Give back what was opened; no request is served afterwards."""
        self.scheduler.close()
        self.usage.close()
        self.documents.close()

    @property
    def uploads_folder(self) -> Path:
        return Path(self.settings.data) / "uploads"

    @property
    def renders_folder(self) -> Path:
        return Path(self.settings.data) / "renders"


def service() -> Service:
    found: Service = current_app.extensions["zooscope"]
    return found
