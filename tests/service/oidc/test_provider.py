from pathlib import Path
from typing import Any

import pytest
from starlette.responses import JSONResponse

from lkhub.service.oidc.fetch import Fetcher, ProviderError
from lkhub.service.oidc.kept import RENEW_SECONDS
from lkhub.service.oidc.provider import Provider, read_keys, read_metadata
from lkhub.service.oidc.state import ProviderState
from lkhub.state.openid import OpenIdRecord, read_openid
from tests.kit.issuer import ISSUER, Issuer, make_key
from tests.service.oidc.conftest import Clock

pytestmark = pytest.mark.anyio

DOCUMENT: dict[str, Any] = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/authorize",
    "token_endpoint": f"{ISSUER}/token",
    "jwks_uri": f"{ISSUER}/jwks",
}


async def test_discovery_is_read(provider: Provider, issuer: Issuer) -> None:
    metadata = await provider.metadata()
    assert metadata.issuer == ISSUER
    assert metadata.algorithms == {"RS256", "ES256", "ES384", "EdDSA"}, "and none that proves nothing"
    assert metadata.userinfo_endpoint == f"{ISSUER}/userinfo"
    assert issuer.asked == {"/.well-known/openid-configuration": 1}


async def test_what_discovery_leaves_out_has_the_default_of_its_standard() -> None:
    metadata = read_metadata(DOCUMENT, ISSUER)
    assert metadata.algorithms == {"RS256"}
    assert metadata.authentication == ("client_secret_basic",)
    assert (metadata.userinfo_endpoint, metadata.scopes, metadata.names_issuer) == ("", (), False)


@pytest.mark.parametrize(("published", "written"), [("", "/"), ("/", ""), ("/", "/"), ("", "")])
async def test_slash_at_the_end_of_the_issuer_may_differ(published: str, written: str) -> None:
    metadata = read_metadata({**DOCUMENT, "issuer": ISSUER + published}, ISSUER + written)
    assert metadata.issuer == ISSUER + published, "tokens are compared with what the provider calls itself"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"issuer": "https://evil.example"}, "another issuer"),
        ({"issuer": f"{ISSUER}/other"}, "another issuer"),
        ({"issuer": None}, "no issuer"),
        ({"issuer": [ISSUER]}, "no issuer"),
        ({"token_endpoint": None}, "no token_endpoint"),
        ({"jwks_uri": 7}, "no jwks_uri"),
        ({"jwks_uri": "http://id.example/jwks"}, "jwks_uri is neither https"),
        ({"token_endpoint": "http://id.example/token"}, "token_endpoint is neither https"),
        ({"authorization_endpoint": "javascript:alert(1)"}, "authorization_endpoint is neither https"),
        ({"id_token_signing_alg_values_supported": ["none", "HS256"]}, "no algorithm"),
        ({"userinfo_endpoint": {}}, "no userinfo_endpoint"),
        ({"userinfo_endpoint": "http://id.example/userinfo"}, "userinfo_endpoint is neither https"),
        ({"jwks_uri": "http://127.0.0.1:2019/config/"}, "jwks_uri is on this machine"),
        ({"token_endpoint": "http://localhost:2019/stop"}, "token_endpoint is on this machine"),
        ({"userinfo_endpoint": "https://[::1]:8443/"}, "userinfo_endpoint is on this machine"),
    ],
)
async def test_discovery_document_that_is_wrong_is_refused(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(ProviderError, match=reason):
        read_metadata({**DOCUMENT, **change}, ISSUER)


async def test_provider_on_this_machine_has_its_addresses_here() -> None:
    issuer = "http://127.0.0.1:9000"
    here = {name: url.replace(ISSUER, issuer) for name, url in DOCUMENT.items()}
    assert read_metadata({**here, "jwks_uri": "http://localhost:9000/jwks"}, issuer).issuer == issuer


async def test_key_is_found_by_its_name_and_kind(provider: Provider, issuer: Issuer) -> None:
    issuer.keys = [make_key("a"), make_key("b"), make_key("c", "EdDSA")]
    assert [key.name for key in await provider.find_keys("b", "ES256")] == ["b"]
    assert [key.name for key in await provider.find_keys("", "EdDSA")] == ["c"]
    assert [key.name for key in await provider.find_keys("", "ES256")] == ["a", "b"]
    assert issuer.asked["/jwks"] == 1


async def test_rotated_keys_are_found_at_once_and_withdrawn_ones_go(provider: Provider, issuer: Issuer) -> None:
    assert await provider.find_keys("first", "ES256")
    issuer.keys = [make_key("second")]
    assert await provider.find_keys("second", "ES256")
    assert issuer.asked["/jwks"] == 2
    assert not await provider.find_keys("first", "ES256")
    assert issuer.asked["/jwks"] == 2


async def test_unknown_keys_are_asked_for_rarely(provider: Provider, issuer: Issuer, clock: Clock) -> None:
    for number in range(50):
        assert not await provider.find_keys(f"made-up-{number}", "ES256")
    assert issuer.asked["/jwks"] == 2
    clock.now += RENEW_SECONDS
    assert not await provider.find_keys("made-up", "ES256")
    assert issuer.asked["/jwks"] == 3


async def test_provider_that_comes_back_is_used_again(provider: Provider, issuer: Issuer, clock: Clock) -> None:
    issuer.replies["/.well-known/openid-configuration"] = JSONResponse({}, 503)
    with pytest.raises(ProviderError, match="status 503"):
        await provider.find_keys("first", "ES256")
    issuer.replies.clear()
    clock.now += 5
    assert await provider.find_keys("first", "ES256")


async def test_failure_is_in_the_log(provider: Provider, issuer: Issuer, caplog: pytest.LogCaptureFixture) -> None:
    issuer.replies["/.well-known/openid-configuration"] = JSONResponse({}, 503)
    for _ in range(10):
        with pytest.raises(ProviderError):
            await provider.metadata()
    assert [record.getMessage() for record in caplog.records] == [
        "OpenID: the OpenID provider answers with status 503"
    ], "once for each attempt, not for each request"


GOOD = make_key("good").jwk()


@pytest.mark.parametrize(
    "change",
    [
        {"use": "enc"},
        {"key_ops": ["encrypt"]},
        {"key_ops": "verify!"},
        {"kty": "oct", "k": "c2VjcmV0"},
        {"kty": None},
        {"crv": "secp256k1"},
        {"crv": ["P-256"]},
        {"kid": 7},
        {"alg": ["ES256"]},
    ],
    ids=str,
)
async def test_key_that_can_not_verify_is_left_out(change: dict[str, Any]) -> None:
    assert [key.document for key in read_keys({"keys": [{**GOOD, **change}, GOOD, "x", None]})] == [GOOD]


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_private_half_of_a_key_is_not_read(algorithm: str) -> None:
    """Of an RSA key with `d`, PyJWT searches for the primes: in each request, and for a long number for ever."""
    made = make_key("made", algorithm).jwk()
    (key,) = read_keys({"keys": [{**made, "d": "AQAB"}]})
    assert key.document == made
    assert key.for_algorithm(algorithm)


@pytest.mark.parametrize("document", [{}, {"keys": {}}, {"keys": None}])
async def test_set_of_keys_that_is_none_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(ProviderError, match="no set of keys"):
        read_keys(document)


async def test_key_for_one_algorithm_fits_no_other() -> None:
    (key,) = read_keys({"keys": [make_key("r", "RS256").jwk()]})
    assert key.fits("RS256")
    assert not key.fits("PS256")
    assert not key.fits("ES256")
    (any_rsa,) = read_keys({"keys": [{**key.document, "alg": ""}]})
    assert any_rsa.fits("PS256")


async def test_damaged_key_is_an_error_of_the_provider() -> None:
    (key,) = read_keys({"keys": [{**GOOD, "x": "AAAA"}]})
    with pytest.raises(ProviderError, match="damaged key"):
        key.for_algorithm("ES256")


async def test_status_is_told_when_the_provider_fails_and_when_it_is_back(
    fetcher: Fetcher, issuer: Issuer, clock: Clock, tmp_path: Path
) -> None:
    path = str(tmp_path / "openid.json")
    provider = Provider(ISSUER, fetcher, clock, ProviderState(path, ISSUER))
    assert read_openid(path) is None
    issuer.replies["/.well-known/openid-configuration"] = JSONResponse({}, 503)
    for _ in range(2):
        with pytest.raises(ProviderError):
            await provider.metadata()
        clock.now += 5
    record = read_openid(path)
    assert record is not None
    assert record.failing
    assert record.problem == "the OpenID provider answers with status 503"
    issuer.replies.clear()
    await provider.metadata()
    assert read_openid(path) == OpenIdRecord(None, "", ISSUER)


async def test_status_that_can_not_be_told_stops_no_sign_in(fetcher: Fetcher, clock: Clock) -> None:
    provider = Provider(ISSUER, fetcher, clock, ProviderState("/nowhere/openid.json", ISSUER))
    assert await provider.metadata()


def test_status_is_told_later_what_could_not_be_written_before(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    told = ProviderState(str(folder / "openid.json"), ISSUER)
    told("metadata", "it does not answer")
    told("metadata", "")
    told("metadata", "it does not answer")
    folder.mkdir()
    told("metadata", "it does not answer")
    record = read_openid(str(folder / "openid.json"))
    assert record is not None
    assert record.problem == "it does not answer"
