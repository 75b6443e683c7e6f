"""Documents in Elasticsearch 8: the engine of larger installations.

Every collection is one index behind an alias, `<prefix>-<collection>`; `zoo/elasticsearch_reindex.py` moves a
collection to the next index without a pause. Mappings are strict: a body is kept as it is and not indexed; beside it
stand its words, and the values of its fields, as `zoo/document_fields.py` flattens them for every engine.

A revision names the index, the sequence number and the primary term of the write: compare-and-set is Elasticsearch's
own `if_seq_no`, and a revision of an index that was replaced fits no document of the next one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from elasticsearch import ApiError, BadRequestError, ConflictError, Elasticsearch, NotFoundError, TransportError

from zoo.document_fields import MAXIMUM_ID, encode, text_of
from zoo.documents import (
    DocumentExists,
    DocumentMissing,
    DocumentsUnavailable,
    Fields,
    Page,
    Query,
    RevisionConflict,
    Scalar,
    Stored,
    Write,
    check_collection,
    conflict,
    first_value,
    missing,
)
from zoo.elasticsearch_fields import LONGEST_VALUE, AnyFields, fields_of
from zoo.elasticsearch_search import occurrences_of, page_of, requests_of, words_nowhere
from zoo.errors import UserError

ANSWER_SECONDS = 5.0
# How long a write waits for a collection that is just being moved to another index.
BLOCKED_SECONDS = 15.0
BLOCKED_RETRY_SECONDS = 0.05
# Elasticsearch's longest `_id`.
LONGEST_KEY = 512
TEMPLATE_PRIORITY = 500
FIRST_GENERATION = 1

TEMPLATE: dict[str, Any] = {
    "settings": {"number_of_shards": 1, "auto_expand_replicas": "0-1", "refresh_interval": "1s"},
    "mappings": {
        "dynamic": "strict",
        "properties": {
            "id": {"type": "keyword"},
            "body": {"type": "object", "enabled": False},
            "title": {"type": "text", "analyzer": "whitespace"},
            "words": {"type": "text", "analyzer": "whitespace", "index_prefixes": {}},
            # "<path>\x1f<value>", for filters and facets; `fields` has the same apart, for ranges and sorting.
            "values": {"type": "keyword", "ignore_above": LONGEST_VALUE},
            "fields": {
                "type": "nested",
                "properties": {
                    "path": {"type": "keyword", "ignore_above": LONGEST_VALUE},
                    "word": {"type": "keyword", "ignore_above": LONGEST_VALUE},
                    "number": {"type": "double"},
                },
            },
        },
    },
}

ANY_FIELDS = AnyFields()

T = TypeVar("T")


class ElasticDocuments:
    """The documents of the server at `url`, under names that begin with `prefix`. Open it after a fork, not before.

    The server is first asked when it is first needed: while it is away every method raises DocumentsUnavailable.
    """

    def __init__(self, url: str, prefix: str = "zooscope", api_key: str = "") -> None:
        self.prefix = prefix
        self.client = Elasticsearch(
            url, api_key=api_key or None, request_timeout=ANSWER_SECONDS, max_retries=1, retry_on_timeout=False
        )
        self._lock = threading.Lock()
        self._template_put = False
        self._indices: set[str] = set()
        self._declared: dict[str, Fields] = {}
        self._fields: dict[str, AnyFields] = {}

    def declare(self, collection: str, fields: Fields) -> None:
        """Say what may be searched for. A collection that is searched by words or facets has fields of its own for it;
        what was written before is sorted and ranged by them after `zooscope reindex`."""
        check_collection(collection)
        with self._lock:
            if self._declared.get(collection) != fields:
                self._declared[collection] = fields
                self._fields[collection] = fields_of(fields)
                self._indices.discard(collection)

    def create(self, collection: str, id: str, body: Mapping[str, Any]) -> Stored:
        source, kept = document(id, body, self.fields(collection))
        self._check_declared(collection, kept)
        with self._errors():
            self._ensure(collection)
            try:
                written = self._unblocked(
                    lambda: self.client.index(
                        index=self.alias(collection), id=key(id), document=source, op_type="create", require_alias=True
                    )
                )
            except ConflictError as error:
                raise DocumentExists(
                    f"There is already a document {id!r} in {collection}.", "Choose another id."
                ) from error
        return Stored(id, kept, revision_of(written))

    def get(self, collection: str, id: str) -> Stored:
        check_collection(collection)
        if not _storable(id):
            raise missing(collection, id)
        with self._errors():
            try:
                found = self.client.get(index=self.alias(collection), id=key(id), source_includes=["body"])
            except NotFoundError:
                raise missing(collection, id) from None
        return Stored(id, found["_source"]["body"], revision_of(found))

    def replace(self, collection: str, id: str, body: Mapping[str, Any], revision: str, lasting: bool = True) -> Stored:
        """Every write lasts: how the server's translog is kept is a setting of the index."""
        source, kept = document(id, body, self.fields(collection))
        check_collection(collection)
        self._check_declared(collection, kept)
        with self._errors(), self._compared(collection, id):
            self._ensure(collection)
            index, if_seq_no, if_primary_term = self._parsed(collection, id, revision)
            written = self._unblocked(
                lambda: self.client.index(
                    index=index, id=key(id), document=source, if_seq_no=if_seq_no, if_primary_term=if_primary_term
                )
            )
        return Stored(id, kept, revision_of(written))

    def write(self, collection: str, writes: Sequence[Write], lasting: bool = True) -> list[Stored | UserError]:
        """One after another; the server's own connections are what makes it quick."""
        for one in writes:
            self._check_declared(collection, document(one.id, one.body, self.fields(collection))[1])
        outcomes: list[Stored | UserError] = []
        for one in writes:
            try:
                if one.revision is None:
                    outcomes.append(self.create(collection, one.id, one.body))
                else:
                    outcomes.append(self.replace(collection, one.id, one.body, one.revision, lasting))
            except (DocumentExists, DocumentMissing, RevisionConflict) as error:
                outcomes.append(error)
        return outcomes

    def delete(self, collection: str, id: str, revision: str | None = None) -> None:
        check_collection(collection)
        if not _storable(id):
            raise missing(collection, id)
        with self._errors(), self._compared(collection, id):
            if revision is None:
                self._unblocked(lambda: self.client.delete(index=self.alias(collection), id=key(id)))
                return
            index, if_seq_no, if_primary_term = self._parsed(collection, id, revision)
            self._unblocked(
                lambda: self.client.delete(
                    index=index, id=key(id), if_seq_no=if_seq_no, if_primary_term=if_primary_term
                )
            )

    def search(self, collection: str, query: Query) -> Page:
        check_collection(collection)
        query.check()
        if collection in self._declared:
            self._declared[collection].check_query(collection, query)
        fields = self.fields(collection)
        requests = requests_of(query, fields)
        empty = Page([], 0, {path: {} for path in query.facets})
        if not requests:
            return empty
        with self._errors():
            try:
                # Costs nothing when nothing was written since; else a search would be up to a second behind.
                self.client.indices.refresh(index=self.alias(collection))
                found = self._ask(collection, requests)
                if not found["hits"]["hits"] and (others := self._corrected(collection, query)):
                    found = self._ask(collection, others)
            except NotFoundError:
                return empty
            except BadRequestError as error:
                raise DocumentsUnavailable("The search could not be carried out.", "Use fewer words.") from error
        return page_of(query, fields, found)

    def _ask(self, collection: str, requests: list[dict[str, Any]]) -> dict[str, Any]:
        """The answer to the search for documents, with the aggregations of that for facets."""
        if len(requests) == 1:
            return dict(self.client.search(index=self.alias(collection), body=requests[0]).body)
        headers = ({"index": self.alias(collection), "request_cache": counted} for counted in (False, True))
        pairs = zip(headers, requests, strict=True)
        answers = self.client.msearch(searches=[part for pair in pairs for part in pair])
        for answer in answers["responses"]:
            if "error" in answer:
                status = int(answer.get("status", 500))
                refused = {400: BadRequestError, 404: NotFoundError}.get(status, ApiError)
                raise refused(str(answer["error"].get("type")), answers.meta, answer)
        documents, counts = answers["responses"]
        return {**documents, "aggregations": counts["aggregations"]}

    def _corrected(self, collection: str, query: Query) -> list[dict[str, Any]]:
        """The searches with words that occur nowhere taken for misspelt ones; none when there are no such words."""
        counting = occurrences_of(query)
        if counting is None:
            return []
        nowhere = words_nowhere(self._ask(collection, [counting]))
        return requests_of(query, self.fields(collection), nowhere) if nowhere else []

    def edge(
        self, collection: str, field: str, filters: Mapping[str, Sequence[Scalar]], last: bool = False
    ) -> Scalar | None:
        query = Query(filters=filters, sort=field, descending=last, size=1, count_limit=0)
        return first_value(self.search(collection, query), field)

    def close(self) -> None:
        self.client.close()

    def _check_declared(self, collection: str, body: Mapping[str, Any]) -> None:
        if collection in self._declared:
            self._declared[collection].check_body(body)

    def fields(self, collection: str) -> AnyFields:
        """How the collection's fields stand in its index."""
        return self._fields.get(collection) or ANY_FIELDS

    def alias(self, collection: str) -> str:
        return f"{self.prefix}-{collection}"

    def index_name(self, collection: str, generation: int) -> str:
        return f"{self.alias(collection)}-{generation:06d}"

    def put_template(self) -> None:
        """Tell the server what our indices look like, and never to make one by itself."""
        self.client.indices.put_index_template(
            name=self.prefix,
            index_patterns=[f"{self.prefix}-*"],
            priority=TEMPLATE_PRIORITY,
            template=TEMPLATE,
            allow_auto_create=False,
        )

    def _ensure(self, collection: str) -> None:
        """The collection's index; of several that make it at once one succeeds."""
        check_collection(collection)
        with self._lock:
            if collection in self._indices:
                return
            if not self._template_put:
                self.put_template()
                self._template_put = True
            if not self.client.indices.exists_alias(name=self.alias(collection)):
                self._make(collection)
            self.put_fields(collection, self.alias(collection))
            self._indices.add(collection)

    def put_fields(self, collection: str, index: str) -> None:
        """Tell the server of the collection's own fields; those it knows already stay."""
        if properties := self.fields(collection).properties:
            self.client.indices.put_mapping(index=index, properties=dict(properties))

    def _make(self, collection: str) -> None:
        """The first index; another process may be making it at the same time."""
        aliases: dict[str, Any] = {self.alias(collection): {}}
        try:
            self.client.indices.create(index=self.index_name(collection, FIRST_GENERATION), aliases=aliases)
        except BadRequestError as error:
            if error.error != "resource_already_exists_exception":
                raise

    def _parsed(self, collection: str, id: str, revision: str) -> tuple[str, int, int]:
        index, _, numbers = revision.rpartition("@")
        sequence, _, term = numbers.partition(".")
        if not index.startswith(f"{self.alias(collection)}-") or not sequence.isdigit() or not term.isdigit():
            self.get(collection, id)
            raise conflict(collection, id)
        return index, int(sequence), int(term)

    @contextlib.contextmanager
    def _compared(self, collection: str, id: str) -> Iterator[None]:
        """Tell a document that is gone from one that has changed."""
        try:
            yield
        except NotFoundError as error:
            if error.body and isinstance(error.body, dict) and error.body.get("result") == "not_found":
                raise missing(collection, id) from None
            self.get(collection, id)
            raise conflict(collection, id) from None
        except ConflictError:
            self.get(collection, id)
            raise conflict(collection, id) from None

    def _unblocked(self, write: Callable[[], T]) -> T:
        """`write`, waiting while the collection is moved to another index, which takes no writes for a moment."""
        deadline = time.monotonic() + BLOCKED_SECONDS
        while True:
            try:
                return write()
            except ApiError as error:
                if error.status_code != 403 or time.monotonic() > deadline:
                    raise
            threading.Event().wait(BLOCKED_RETRY_SECONDS)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (TransportError, ApiError) as error:
            raise DocumentsUnavailable(
                f"Elasticsearch does not do its work at the moment ({type(error).__name__}).", "Try again in a moment."
            ) from error


def document(id: str, body: Mapping[str, Any], fields: AnyFields) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is sent for a body, and the body as it is kept. Raises DocumentInvalid."""
    kept = json.loads(encode(id, body))
    title, words = text_of(id, kept)
    return {"id": id, "body": kept, "title": title, "words": words} | fields.parts(kept), kept


def key(id: str) -> str:
    """The `_id` of a document: its id, or a hash of one that Elasticsearch would find too long."""
    if len(id.encode()) < LONGEST_KEY and not id.startswith("sha256:"):
        return id
    return f"sha256:{hashlib.sha256(id.encode()).hexdigest()}"


def revision_of(answer: Any) -> str:
    return f"{answer['_index']}@{answer['_seq_no']}.{answer['_primary_term']}"


def _storable(id: str) -> bool:
    return bool(id) and len(id) <= MAXIMUM_ID and id.isprintable()
