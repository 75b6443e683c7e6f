"""A `Query` as Elasticsearch's own, and its answer as a `Page`. What a user typed is only ever a value in it.

Nothing here needs more than a bare server offers: no scripts, no query strings, no analysis beyond splitting at spaces,
because words are folded by `zoo/document_fields.py` before they are indexed and before they are looked for.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from zoo.document_fields import LONG_WORD, SHORTEST_MISSPELT, differences_allowed, words_of_text
from zoo.documents import SCORE, Page, Query, Stored
from zoo.elasticsearch_fields import AnyFields, Clause

# A word in what names a document counts this many times as much as one in the rest.
TITLE_WEIGHT = 5
# The name of what counts several facets at once; no field is called so.
TOGETHER = "="
# Elasticsearch's words for the law of misspelt words in `zoo/documents.py`.
MISSPELT = {"fuzziness": f"AUTO:{SHORTEST_MISSPELT},{LONG_WORD}", "prefix_length": 1, "max_expansions": 50}


def requests_of(query: Query, fields: AnyFields, nowhere: Collection[int] = ()) -> list[dict[str, Any]]:
    """The bodies of the searches to make: one for the documents, and one for the facets, if any; none when nothing can
    be found: a text without any word. Apart, the server makes them at once, and remembers the counts until something
    is written.

    `fields` is how the collection's fields stand. `nowhere` are the numbers of the text's words that are known to occur
    in no document, and taken for misspelt ones.
    """
    words = words_of_text(query.text)
    if query.text.strip() and not words:
        return []
    ranges = {path: limits for path, limits in query.ranges.items() if limits != (None, None)}
    always = [fields.within(path, *limits) for path, limits in ranges.items()]
    filters = {path: fields.any_of(path, chosen) for path, chosen in query.filters.items() if chosen}
    said = _text(words, nowhere)
    documents: dict[str, Any] = {
        "query": {"bool": {"must": said, "filter": [*always, *filters.values()]}},
        "sort": _sort(query, words, fields),
        "from": (query.page - 1) * query.size,
        "size": query.size,
        "_source": ["id", "body"],
        "seq_no_primary_term": True,
        "track_total_hits": True if query.count_limit is None else query.count_limit or False,
    }
    if not query.facets:
        return [documents]
    counts: dict[str, Any] = {
        "query": {"bool": {"filter": [*said, *always]}},
        "size": 0,
        "track_total_hits": False,
        "aggs": _facets(query.facets, filters, fields),
    }
    return [documents, counts]


def page_of(query: Query, fields: AnyFields, answer: dict[str, Any]) -> Page:
    hits = answer["hits"]
    items = [
        Stored(hit["_source"]["id"], hit["_source"]["body"], f"{hit['_index']}@{hit['_seq_no']}.{hit['_primary_term']}")
        for hit in hits["hits"]
    ]
    counted = answer.get("aggregations", {})
    buckets = {path: counted.get(path) or counted[TOGETHER] for path in query.facets}
    facets = {
        path: {fields.value_of(bucket["key"]): bucket["doc_count"] for bucket in found[f"={path}"]["buckets"]}
        for path, found in buckets.items()
    }
    total = hits["total"]["value"] if "total" in hits else 0
    return Page(items, total if query.count_limit is None else min(total, query.count_limit), facets)


def occurrences_of(query: Query) -> dict[str, Any] | None:
    """A search that counts the documents with each word that may be misspelt; None when there is no such word."""
    words = words_of_text(query.text)
    counted = {
        str(number): _exact(word, last=number == len(words) - 1)
        for number, word in enumerate(words)
        if differences_allowed(word)
    }
    if not counted:
        return None
    return {"size": 0, "track_total_hits": False, "aggs": {"words": {"filters": {"filters": counted}}}}


def words_nowhere(answer: dict[str, Any]) -> list[int]:
    """The numbers of the words without any document."""
    buckets = answer["aggregations"]["words"]["buckets"]
    return [int(number) for number, bucket in buckets.items() if not bucket["doc_count"]]


def _exact(word: str, last: bool) -> Clause:
    return {"prefix": {"words": {"value": word}}} if last else {"term": {"words": word}}


def _text(words: list[str], nowhere: Collection[int]) -> list[Clause]:
    """Every word must be there, the last one as the beginning of one; in a name it counts more."""
    clauses: list[Clause] = []
    for number, word in enumerate(words):
        last = number == len(words) - 1
        in_title: Clause = {"term": {"title": {"value": word, "boost": TITLE_WEIGHT}}}
        if number in nowhere:
            near = {"match": {"title": {"query": word, "boost": TITLE_WEIGHT} | MISSPELT}}
            clauses.append({"bool": {"must": {"match": {"words": {"query": word} | MISSPELT}}, "should": near}})
        elif last:
            begun = [
                {"term": {"words": word}},
                {"prefix": {"title": {"value": word, "boost": TITLE_WEIGHT}}},
                in_title,
            ]
            clauses.append({"bool": {"must": _exact(word, last), "should": begun}})
        else:
            clauses.append({"bool": {"must": _exact(word, last), "should": in_title}})
    return clauses


def _facets(paths: Sequence[str], filters: dict[str, Clause], fields: AnyFields) -> dict[str, Clause]:
    """Counted under every filter but the field's own; most frequent first, then in the order of the values.

    The facets that are not filtered by are counted together, so that what passes the filters is found once for them.
    """
    counted = {path: {f"={path}": {"terms": fields.counted(path)}} for path in paths}
    alone: dict[str, Clause] = {
        path: {
            "filter": {"bool": {"filter": [clause for other, clause in filters.items() if other != path]}},
            "aggs": counted[path],
        }
        for path in paths
        if path in filters
    }
    together = {name: terms for path in paths if path not in filters for name, terms in counted[path].items()}
    if together:
        alone[TOGETHER] = {"filter": {"bool": {"filter": list(filters.values())}}, "aggs": together}
    return alone


def _sort(query: Query, words: list[str], fields: AnyFields) -> list[Clause]:
    """What lacks the field comes last, ties by id."""
    if query.sort == SCORE:
        return [*([{"_score": "desc" if query.descending else "asc"}] if words else []), {"id": "asc"}]
    return [*fields.sorted_by(query.sort, query.descending), {"id": "asc"}]
