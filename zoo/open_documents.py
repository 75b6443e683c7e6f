"""Which engine keeps the documents: chosen by one setting, and by nothing else."""

from __future__ import annotations

from zoo.documents import Documents
from zoo.documents_sqlite import SqliteDocuments
from zoo.settings import Settings


def open_documents(settings: Settings) -> Documents:
    """Elasticsearch where `settings.elasticsearch` names one, else SQLite in the data folder. Close it afterwards."""
    if not settings.elasticsearch:
        return SqliteDocuments(settings.documents_file)
    # The client takes a while to import, and most installations have no use for it.
    from zoo.documents_elasticsearch import ElasticDocuments

    return ElasticDocuments(
        settings.elasticsearch, settings.elasticsearch_prefix, api_key=settings.elasticsearch_api_key
    )
