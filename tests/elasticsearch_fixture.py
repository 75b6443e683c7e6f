"""What tests of several rooms share: a real Elasticsearch, where one can be had."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

# Fetched once for a checkout, not once for a run.
CACHE = Path(__file__).parents[1] / ".venv" / "elasticsearch"


@pytest.fixture(scope="session")
def elasticsearch_url() -> Iterator[str]:
    """A server's URL: ZOOSCOPE_TEST_ELASTICSEARCH, or a real one of our own; skips where neither can be had."""
    if given := os.environ.get("ZOOSCOPE_TEST_ELASTICSEARCH"):
        yield given
        return
    # The client takes a while to import, and few tests need it.
    from zoo.elasticsearch_server import ElasticsearchMissing, running

    try:
        server = running(CACHE)
        url = server.__enter__()
    except ElasticsearchMissing as error:
        pytest.skip(f"no Elasticsearch: {error.message} {error.hint}")
    yield url
    server.__exit__(None, None, None)
