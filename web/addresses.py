"""Whole addresses of this service, for what is copied elsewhere: citations, snippets, metadata."""

from __future__ import annotations

from flask import request

from web.service import service
from zoo.citation import landing_url


def root() -> str:
    """The address people reach this service at, without a slash at its end: the one set, or that of this request."""
    return (service().settings.public_url or request.url_root).rstrip("/")


def of_model(id: str, version: str | None = None) -> str:
    """The page of a model, or of one of its versions."""
    return landing_url(root(), id, version)
