"""The public JSON API under /api/v1: one module per subject; `openapi` describes every route."""

from __future__ import annotations

from flask import Blueprint, Flask

from web.api import (
    accounts,
    checks,
    estimates,
    events,
    images,
    jobs,
    library,
    models,
    openapi,
    results,
    status,
    submission_files,
    submissions,
    terms,
    tiles,
    versions,
)

PREFIX = "/api/v1"
SUBJECTS = (
    accounts,
    checks,
    models,
    images,
    tiles,
    estimates,
    jobs,
    library,
    events,
    results,
    status,
    submission_files,
    submissions,
    terms,
    versions,
    openapi,
)


def register(app: Flask) -> None:
    for subject in SUBJECTS:
        blueprint: Blueprint = subject.blueprint
        app.register_blueprint(blueprint, url_prefix=PREFIX)
