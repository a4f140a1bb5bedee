"""Who certifies the hub's name over ACME, and by which account."""

from lkhub.plan.model import AcmeAccount
from lkhub.plan.paths import StatePaths
from lkhub.spec.issuer import DIRECTORIES
from lkhub.spec.load import LoadedSpec
from lkhub.spec.model import Spec
from lkhub.spec.types import TlsMode

_ACCOUNT_FORM = "tls.account: {key_id: ID, mac_key: {file: PATH}}"


def check_issuer(loaded: LoadedSpec, mode: TlsMode, http: int | None) -> None:
    """Faults of `tls.issuer` and `tls.account`. `http` is the port of the HTTP challenge."""
    tls = loaded.spec.tls
    certifies_turn = mode == "external" and loaded.spec.turn.listen is not None
    if mode != "acme" and not certifies_turn:
        for key, default in (("issuer", "auto"), ("account", None)):
            if getattr(tls, key) != default:
                loaded.add(("tls", key), f"mode {mode} does not use it", "write tls.mode: acme")
        return
    _check_account(loaded)
    if mode == "acme" and tls.issuer == "zerossl" and not tls.email and tls.account is None:
        loaded.add(("tls", "issuer"), "zerossl gives no account without an address", "write tls.email")
    if mode == "acme" and tls.issuer == "zerossl" and http is None:
        hint = "write tls.http: 80, or issuer: letsencrypt"
        loaded.add(("tls", "issuer"), "ZeroSSL proves a name on port 80 only, and tls.http is off", hint)


def _check_account(loaded: LoadedSpec) -> None:
    tls = loaded.spec.tls
    if tls.issuer == "google" and tls.account is None:
        loaded.add(
            ("tls", "issuer"),
            "google certifies for accounts that it has given out before, and tls.account is missing",
            f"`gcloud publicca external-account-keys create` makes one; write {_ACCOUNT_FORM}",
        )
    if tls.account is not None and tls.issuer == "auto":
        hint = "write tls.issuer: google, zerossl, or the https:// URL of its ACME directory"
        loaded.add(("tls", "account"), "which issuer gave the account out is not said", hint)
    if tls.account is not None and tls.issuer == "letsencrypt":
        loaded.add(("tls", "account"), "letsencrypt gives no accounts out; the hub makes one", "leave it out")


def choose_issuers(spec: Spec, mode: TlsMode, http: int | None) -> tuple[tuple[str, ...], str]:
    """ACME directories, the first to be asked first, and what that means ("" where it is as the spec says).

    ZeroSSL where it can be had, since native applications refuse TURN/TLS with Let's Encrypt's certificates: libwebrtc
    verifies it against roots of its own, without ISRG's (measured). ZeroSSL proves names over HTTP only, and registers
    an account by an e-mail address.
    """
    issuer = spec.tls.issuer
    if issuer != "auto":
        return (DIRECTORIES.get(issuer, issuer),), ""
    lets_encrypt = DIRECTORIES["letsencrypt"]
    if not (spec.turn.enabled and spec.turn.tls):
        return (lets_encrypt,), ""
    # In mode external the proxy hands proofs on port 80 over (lkhub.render.proxy.all).
    if spec.tls.email and (http is not None or mode == "external"):
        why = "the certificate comes from ZeroSSL, whose chain native applications accept for TURN over TLS"
        return (DIRECTORIES["zerossl"], lets_encrypt), why
    missing = "needs tls.http: 80" if spec.tls.email else "needs tls.email"
    return (lets_encrypt,), (
        "the certificate comes from Let's Encrypt: browsers accept it everywhere, native applications not for TURN "
        f"over TLS; ZeroSSL's would do for both, and {missing}"
    )


def plan_account(spec: Spec, paths: StatePaths) -> AcmeAccount | None:
    """The account that the spec names, with its key in a file of ours."""
    account = spec.tls.account
    return AcmeAccount(account.key_id, paths.account_key) if account else None
