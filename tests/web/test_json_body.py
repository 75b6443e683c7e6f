from __future__ import annotations

import pytest

from web import json_body


def test_an_object_is_read() -> None:
    assert json_body.parse('{"a": [1, 2.5, null, "µ"]}'.encode()) == {"a": [1, 2.5, None, "µ"]}


@pytest.mark.parametrize(
    "data",
    [
        b"", b"[1]", b"3", b"{", b'{"a": NaN}', b'{"a": -Infinity}', b'{"a": 1e999}', b'{"a": 1, "a": 2}',
        b'{"a": {"b": 1, "b": 1}}', rb'{"a": "\ud800"}', rb'{"\udc00": 1}', b'{"a": "\xff"}',
        b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a": ' + b"9" * 5000 + b"}",
    ],
)  # fmt: skip
def test_what_parsers_disagree_on_is_refused(data: bytes) -> None:
    with pytest.raises(json_body.BadJson):
        json_body.parse(data)
