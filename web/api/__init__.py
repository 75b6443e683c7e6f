"""The public JSON API under /api/v1: one module per subject; `openapi` describes every route."""

from __future__ import annotations

from flask import Blueprint, Flask

from web.api import (
    accounts,
    estimates,
    events,
    images,
    jobs,
    library,
    models,
    openapi,
    results,
    status,
    submissions,
    terms,
    tiles,
    versions,
)

PREFIX = "/api/v1"
SUBJECTS = (
    accounts,
    models,
    images,
    tiles,
    estimates,
    jobs,
    library,
    events,
    results,
    status,
    submissions,
    terms,
    versions,
    openapi,
)


def register(app: Flask) -> None:
    for subject in SUBJECTS:
        blueprint: Blueprint = subject.blueprint
        app.register_blueprint(blueprint, url_prefix=PREFIX)
