from lkhub.checks.openid import check_openid


def test_provider_that_answers_is_no_finding() -> None:
    assert list(check_openid(None, "")) == []


def test_provider_that_fails_is_named_with_its_reason() -> None:
    [found] = check_openid(1_795_903_392.0, "the OpenID provider answers with status 503")
    assert (found.code, found.subject, found.severity) == ("openid-provider-fails", "access.oidc", "warning")
    assert found.detail == ("since 2026-11-28 22:03:12 UTC: the OpenID provider answers with status 503")
