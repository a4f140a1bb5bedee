"""Codes of the OpenID provider, by which people sign in."""

from lkhub.findings.declare import Says, declare


@declare("openid-provider-fails", "warning")
def openid_provider_fails() -> Says:
    """The provider of `access.oidc` could not be used when the hub last needed it: people can't sign in. The subject is
    `access.oidc`.

    **Why.** The detail has what came back. *Can't be reached* is a name, a network or a firewall; *its certificate is
    not trusted* a provider whose authority this machine does not know; *another issuer* a wrong `access.oidc.issuer`;
    *refuses the hub itself* a wrong client ID or secret, or a secret that was replaced at the provider.

    **What to do.** See whether this machine reaches it, and compare `issuer` with the spec, byte for byte:

    ```sh
    curl -sS ISSUER/.well-known/openid-configuration
    ```

    Who is signed in stays so, and tokens with a known key are taken for a day. The hub asks the provider again as soon
    as somebody needs it; the finding ends when it answers. [Let people sign in](guides/sign-in.md#what-goes-wrong) has
    more.
    """
    return Says("the OpenID provider can't be used", "people can't sign in until it answers as it should")
