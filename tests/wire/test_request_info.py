import json
from dataclasses import asdict

import pytest

from lkhub.wire.request_info import RequestInfo, find_request_info

INFO = RequestInfo("5f2d", "198.51.100.7", None)


def test_what_a_newer_hub_adds_is_ignored() -> None:
    assert find_request_info(json.dumps({**asdict(INFO), "more": [1]})) == INFO


@pytest.mark.parametrize("body", ["", "<html>", "[]", "null", "{}", '{"instance": "x"}', "[" * 100_000], ids=len)
def test_what_another_server_answers_is_none(body: str) -> None:
    assert find_request_info(body) is None
    assert find_request_info(json.dumps({**asdict(INFO), "client": 7})) is None
