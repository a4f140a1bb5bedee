"""Who certifies the hub's name over ACME, and by which account."""

from lkhub.findings.catalogue.choices import issuer_chosen
from lkhub.findings.catalogue.spec import key_missing, key_unused, keys_conflict
from lkhub.findings.declare import Statement
from lkhub.findings.finding import Edit
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
                unused = key_unused(f"mode {mode} does not use it")
                loaded.add(("tls", key), unused, "write tls.mode: acme", Edit("tls.mode", "acme"))
        return
    _check_account(loaded)
    if mode == "acme" and tls.issuer == "zerossl" and not tls.email and tls.account is None:
        loaded.add(("tls", "issuer"), key_missing("ZeroSSL needs an e-mail address for an account"), "write tls.email")
    if mode == "acme" and tls.issuer == "zerossl" and http is None:
        hint = "write tls.http: 80, or issuer: letsencrypt"
        conflict = keys_conflict("ZeroSSL proves a name on port 80 only, and tls.http is off")
        loaded.add(("tls", "issuer"), conflict, hint, Edit("tls.http", 80))


def _check_account(loaded: LoadedSpec) -> None:
    tls = loaded.spec.tls
    if tls.issuer == "google" and tls.account is None:
        loaded.add(
            ("tls", "issuer"),
            key_missing("google issues only to accounts that it has given out before, and tls.account is missing"),
            f"`gcloud publicca external-account-keys create` makes one; write {_ACCOUNT_FORM}",
        )
    if tls.account is not None and tls.issuer == "auto":
        hint = "write tls.issuer: google, zerossl, or the https:// URL of its ACME directory"
        loaded.add(("tls", "account"), key_missing("the issuer that gave the account out is missing"), hint)
    if tls.account is not None and tls.issuer == "letsencrypt":
        unused = key_unused("letsencrypt gives no accounts out; the hub makes one")
        loaded.add(("tls", "account"), unused, "leave it out", Edit("tls.account", None))


def choose_issuers(spec: Spec, mode: TlsMode, http: int | None) -> tuple[tuple[str, ...], Statement | None]:
    """The ACME directories in the order in which they are asked, and a note about the choice (None where the spec names
    the issuer).

    ZeroSSL where it can be had, since native applications refuse TURN/TLS with Let's Encrypt's certificates: libwebrtc
    verifies it against roots of its own, without ISRG's (measured). ZeroSSL proves names over HTTP only, and registers
    an account by an e-mail address.
    """
    issuer = spec.tls.issuer
    if issuer != "auto":
        return (DIRECTORIES.get(issuer, issuer),), None
    lets_encrypt = DIRECTORIES["letsencrypt"]
    if not (spec.turn.enabled and spec.turn.tls):
        return (lets_encrypt,), None
    # In mode external the proxy hands proofs on port 80 over (lkhub.render.proxy.all).
    if spec.tls.email and (http is not None or mode == "external"):
        return (DIRECTORIES["zerossl"], lets_encrypt), issuer_chosen(native=True)
    missing = "needs tls.http: 80" if spec.tls.email else "needs tls.email"
    return (lets_encrypt,), issuer_chosen(native=False, missing=missing)


def plan_account(spec: Spec, paths: StatePaths) -> AcmeAccount | None:
    """The account that the spec names; its key is in a file of the state directory."""
    account = spec.tls.account
    return AcmeAccount(account.key_id, paths.account_key) if account else None
