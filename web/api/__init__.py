"""The public JSON API under /api/v1: one module per subject; `openapi` describes every route."""

from __future__ import annotations

from flask import Blueprint, Flask

from web.api import accounts, estimates, events, images, jobs, models, openapi, results, status, submissions, tiles

PREFIX = "/api/v1"
SUBJECTS = (accounts, models, images, tiles, estimates, jobs, events, results, status, submissions, openapi)


def register(app: Flask) -> None:
    for subject in SUBJECTS:
        blueprint: Blueprint = subject.blueprint
        app.register_blueprint(blueprint, url_prefix=PREFIX)
