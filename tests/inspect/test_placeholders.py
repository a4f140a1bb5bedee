"""What is no value yet."""

import pytest

from lkhub.inspect.placeholders import is_placeholder, is_template


@pytest.mark.parametrize(
    "text",
    [
        "{{ .Values.port }}",
        "{{port}}",
        "${TURN_HOST}",
        "${PORT:-7880}",
        "$LIVEKIT_KEY",
        "<%= port %>",
        "__DOMAIN__",
        "@DOMAIN@",
    ],
)
def test_what_a_program_fills_in(text: str) -> None:
    assert is_template(f"node_ip: {text}")
    assert is_placeholder(f"node_ip: {text}")


@pytest.mark.parametrize(
    "text",
    [
        "CHANGE_ME",
        "changeme",
        "replace-me",
        "YOUR_PUBLIC_IP",
        "your-domain.com",
        "<domain>",
        "<your secret>",
        "xxxxxxxx",
        "TODO",
    ],
)
def test_what_a_person_fills_in(text: str) -> None:
    assert not is_template(f"node_ip: {text}")
    assert is_placeholder(f"node_ip: {text}")


@pytest.mark.parametrize(
    "text",
    [
        "203.0.113.7",
        "secret",
        "rtc.example.com",
        "7882-7892",
        "{port: 1}",
        "a@b.example",
        "-----BEGIN",
        "$5",
        "my.example.com",
    ],
)
def test_what_is_a_value(text: str) -> None:
    assert not is_placeholder(f"node_ip: {text}")
