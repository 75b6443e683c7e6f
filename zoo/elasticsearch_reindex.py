"""Moving a collection of Elasticsearch to a fresh index, with today's mapping, while it is being used.

The server's own `_reindex` is part of no bare server, so documents are copied through the client: all of them first,
then, as often as needed, those written meanwhile (they have larger sequence numbers). Only for the last round, and for
the atomic swap of the alias, writes are blocked; engines wait for that. A failure leaves everything as it was.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterable, Iterator
from typing import Any

from elasticsearch import BadRequestError
from elasticsearch.helpers import scan, streaming_bulk

from zoo.documents_elasticsearch import ElasticDocuments, document, key
from zoo.elasticsearch_fields import AnyFields
from zoo.errors import UserError

log = logging.getLogger(__name__)

# A round that copied fewer documents than this is small enough for the last one to be made under the block.
SMALL_ROUND = 200
MAXIMUM_ROUNDS = 20
BATCH = 500
COPY_SECONDS = 60.0


class ReindexRunning(UserError):
    code = "reindex-running"
    status = 409


def collections(documents: ElasticDocuments) -> list[str]:
    """The collections that the server has under this prefix."""
    aliases = documents.client.indices.get_alias(index=f"{documents.prefix}-*", allow_no_indices=True)
    names = {alias for index in aliases.body.values() for alias in index["aliases"]}
    return sorted(name.removeprefix(f"{documents.prefix}-") for name in names)


def reindex(documents: ElasticDocuments, collection: str, take_over: bool = False) -> int:
    """Move `collection` to its next index; returns how many documents it has. Raises ReindexRunning.

    `take_over` says that no other reindex runs: what one left that was killed is removed first.
    """
    client = documents.client.options(request_timeout=COPY_SECONDS)
    documents.put_template()
    alias = documents.alias(collection)
    old = next(iter(client.indices.get_alias(name=alias).body))
    generation = int(re.sub(r".*-", "", old)) + 1
    new = documents.index_name(collection, generation)
    if take_over:
        client.options(ignore_status=404).indices.delete(index=new)
        _unblock(client, old)
    try:
        client.indices.create(index=new, settings={"refresh_interval": "-1"})
    except BadRequestError:
        raise ReindexRunning(
            f"The index {new} is there already.", "Another reindex runs; if none does, add --take-over."
        ) from None
    try:
        documents.put_fields(collection, new)
        _copy_all(client, old, new, documents.fields(collection))
        client.indices.put_settings(index=new, settings={"index": {"refresh_interval": None}})
        client.indices.refresh(index=new)
        swap = [{"remove": {"index": old, "alias": alias}}, {"add": {"index": new, "alias": alias}}]
        client.indices.update_aliases(actions=swap)
    except BaseException:
        with contextlib.suppress(Exception):
            client.indices.delete(index=new)
            _unblock(client, old)
        raise
    client.indices.delete(index=old)
    return int(client.count(index=new)["count"])


def _copy_all(client: Any, old: str, new: str, fields: AnyFields) -> None:
    """Everything, rounds of what changed meanwhile, and a last one while nothing can change."""
    done = -1
    for _ in range(MAXIMUM_ROUNDS):
        until = _last_sequence_number(client, old)
        copied = _copy(client, old, new, fields, after=done)
        done = until
        if copied < SMALL_ROUND:
            break
    client.indices.add_block(index=old, block="write")
    _copy(client, old, new, fields, after=done)
    for id in _keys(client, new) - _keys(client, old):
        client.delete(index=new, id=id)


def _copy(client: Any, old: str, new: str, fields: AnyFields, after: int) -> int:
    """Copy the documents whose latest write has a larger sequence number than `after`; returns how many."""
    client.indices.refresh(index=old)
    query = {"query": {"range": {"_seq_no": {"gt": after}}}, "_source": ["id", "body"]}
    copied = 0
    for _ in streaming_bulk(client, _copies(scan(client, index=old, query=query), new, fields), chunk_size=BATCH):
        copied += 1
    return copied


def _copies(hits: Iterable[dict[str, Any]], new: str, fields: AnyFields) -> Iterator[dict[str, Any]]:
    for hit in hits:
        source, _ = document(hit["_source"]["id"], hit["_source"]["body"], fields)
        yield {"_op_type": "index", "_index": new, "_id": key(hit["_source"]["id"]), "_source": source}


def _keys(client: Any, index: str) -> set[str]:
    client.indices.refresh(index=index)
    return {hit["_id"] for hit in scan(client, index=index, source=False)}


def _last_sequence_number(client: Any, index: str) -> int:
    shards = client.indices.stats(index=index, level="shards")["indices"][index]["shards"]
    return max(int(copy["seq_no"]["max_seq_no"]) for copies in shards.values() for copy in copies)


def _unblock(client: Any, index: str) -> None:
    client.indices.put_settings(index=index, settings={"index.blocks.write": None})
