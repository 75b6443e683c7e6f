"""`create_app`: puts the parts together into one Flask application. No TensorFlow in this process."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from flask import Flask, Request
from werkzeug.middleware.proxy_fix import ProxyFix

from scheduler.api import create_blueprint
from scheduler.service import Scheduler
from scheduler.service_api import create_service_blueprint
from web import (
    account_pages,
    accounts,
    admin_pages,
    api,
    compression,
    errors,
    health,
    library_pages,
    openid_pages,
    operator_page,
    operator_session,
    pages,
    publish_pages,
    review_pages,
    security,
    site_header,
    vendor,
    visitors,
    zoo_pages,
)
from web.service import Service, service
from web.streams import Streams
from zoo.blobs import DiskBlobs
from zoo.catalogue import Catalogue
from zoo.documents import Documents
from zoo.open_documents import open_documents
from zoo.pyramid import Pyramids
from zoo.secrets import VISITOR_COOKIES, read_or_make_key
from zoo.settings import Settings
from zoo.submissions import Submissions
from zoo.usage import Usage


class UploadRequest(Request):
    """Files of a form are spooled into the data folder, whose free space is watched, rather than into /tmp."""

    spools: tuple[IO[bytes], ...] = ()

    def _get_file_stream(
        self,
        total_content_length: int | None,
        content_type: str | None,
        filename: str | None = None,
        content_length: int | None = None,
    ) -> IO[bytes]:
        spool = tempfile.TemporaryFile(dir=service().uploads_folder)  # noqa: SIM115
        self.spools = (*self.spools, spool)
        return spool

    def close(self) -> None:
        """Also closes what a form that was refused half-way left open."""
        for spool in self.spools:
            spool.close()
        super().close()


class Application(Flask):
    """Flask, without a look at every function of every request whether it is a coroutine: none is."""

    request_class = UploadRequest

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        return func


def create_app(
    settings: Settings,
    documents: Documents | None = None,
    blobs: DiskBlobs | None = None,
    scheduler: Scheduler | None = None,
) -> Flask:
    """The application on `settings.data`; parts that are not given are opened there."""
    Path(settings.data).mkdir(parents=True, exist_ok=True)
    documents = documents or open_documents(settings)
    blobs = blobs or DiskBlobs(settings.blobs_folder, settings.free_disk_bytes)
    scheduler = scheduler or Scheduler(documents, blobs, settings)
    parts = Service(
        settings=settings,
        documents=documents,
        blobs=blobs,
        scheduler=scheduler,
        catalogue=Catalogue(documents, blobs, settings),
        submissions=Submissions(documents),
        streams=Streams(settings.event_streams),
        pyramids=Pyramids(),
        usage=Usage(documents),
    )
    # Now, so that a registry of DOIs that lacks a setting is told of at the start.
    _ = parts.publishing
    parts.uploads_folder.mkdir(exist_ok=True)
    parts.renders_folder.mkdir(exist_ok=True)

    app = Application("web")
    app.extensions["zooscope"] = parts
    app.json.sort_keys = False  # type: ignore[attr-defined]
    errors.register(app)
    security.register(app, settings)
    compression.register(app)
    operator_session.register(app, settings)
    visitors.register(app, settings, read_or_make_key(settings, VISITOR_COOKIES))
    accounts.register(app, settings, documents)
    account_pages.register(app)
    openid_pages.register(app, settings)
    admin_pages.register(app)
    app.register_blueprint(create_blueprint(scheduler))
    app.register_blueprint(create_service_blueprint(scheduler))
    api.register(app)
    site_header.register(app)
    app.register_blueprint(pages.blueprint)
    app.register_blueprint(review_pages.blueprint)
    app.register_blueprint(zoo_pages.blueprint)
    app.register_blueprint(library_pages.blueprint)
    app.register_blueprint(publish_pages.blueprint)
    app.register_blueprint(operator_page.blueprint)
    app.register_blueprint(vendor.blueprint)
    app.register_blueprint(health.blueprint)
    scheduler.metrics.registry.register(health.WebFigures(parts))
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
    return app
