"""The bytes of a file, and what each format says about a hub."""

import pytest

from lkhub.env_files.edit_error import EditError
from lkhub.env_files.formats import DOTENV, FORMATS, SERVER_CONFIG
from lkhub.secret import Secret

SECRET = Secret("s" * 43)


def test_dotenv_has_what_livekit_programs_read() -> None:
    assert DOTENV.describe("ws://127.0.0.1:7880", "API", SECRET) == {
        "LIVEKIT_URL": "ws://127.0.0.1:7880",
        "LIVEKIT_API_KEY": "API",
        "LIVEKIT_API_SECRET": SECRET.reveal(),
    }


@pytest.mark.parametrize("scheme", ["", "s"])
def test_server_config_has_the_five_keys_of_echochat(scheme: str) -> None:
    assert list(SERVER_CONFIG.describe(f"ws{scheme}://rtc.example.com", "API", SECRET).items()) == [
        ("livekit_enabled", True),
        ("livekit_api_url", f"http{scheme}://rtc.example.com"),
        ("livekit_ws_url", f"ws{scheme}://rtc.example.com"),
        ("livekit_api_key", "API"),
        ("livekit_api_secret", SECRET.reveal()),
    ]


@pytest.mark.parametrize("name", FORMATS)
def test_what_changes_with_a_key_is_part_of_the_whole(name: str) -> None:
    format = next(each for each in FORMATS.values() if each.name == name)
    whole, part = format.describe("ws://a", "API", SECRET), format.describe_key("API", SECRET)
    assert part.items() <= whole.items()
    content = format.edit_bytes(b"", whole)
    assert {key: format.read_bytes(content, key) for key in whole} == {key: (value,) for key, value in whole.items()}


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=ascii)
def test_bytes_that_are_not_utf_8_stay(mark: bytes) -> None:
    content = mark + b"LIVEKIT_API_KEY=x\r\nNAME=J\xf6rg\r\n"
    assert DOTENV.read_bytes(content, "LIVEKIT_API_KEY") == ("x",)
    assert DOTENV.edit_bytes(content, {"LIVEKIT_API_KEY": "y"}) == content.replace(b"=x", b"=y")


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_file_that_no_program_can_read_is_refused(name: str, encoding: str) -> None:
    """As Windows PowerShell's `>` writes it."""
    format = next(each for each in FORMATS.values() if each.name == name)
    with pytest.raises(EditError, match="UTF-8"):
        format.edit_bytes("A=1\n".encode(encoding), {"A": "2"})
