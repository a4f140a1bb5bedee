"""The operator's own certificate (tls.mode files), judged before anything starts."""

import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from lkhub.findings.catalogue.files import (
    certificate_expired,
    certificate_expires_soon,
    certificate_incomplete,
    certificate_no_san,
    certificate_not_for_servers,
    certificate_not_yet_valid,
    certificate_order,
    certificate_self_signed,
    certificate_wrong_name,
    key_of_another_certificate,
)
from lkhub.findings.declare import Statement
from lkhub.findings.finding import Finding, Fix
from lkhub.host.pem import PublicKey, UnusableFileError, dump_public, load_certificates, load_key

# By then a certificate should have been renewed: certbot, lego and acme.sh renew it with a third of the lifetime left.
# Half of that is late, and never more than two weeks, for those that last a year.
SOON = timedelta(days=14)
SOON_PART = 6

# The name that tools give the file with the whole chain, beside the file with the leaf alone.
_FULL_CHAINS = ("fullchain.pem", "fullchain.cer", "fullchain.crt")

Chain = Sequence[x509.Certificate]


def judge_certificate(
    cert_path: str, key_path: str, names: tuple[str, ...], now: datetime | None = None
) -> tuple[Finding, ...]:
    """Everything that is wrong with a chain and its key for a server of these names; () where nothing is.

    Reads both files and nothing else; asks no server. `names` are DNS names and addresses.
    """
    problems: list[Finding] = []
    chain: Chain = ()
    key: PublicKey | None = None
    try:
        chain = load_certificates(cert_path)
    except UnusableFileError as error:
        problems.append(error.finding)
    try:
        key = load_key(key_path)
    except UnusableFileError as error:
        problems.append(error.finding)
    if chain:
        path = _sort(chain, key)
        problems += _judge_leaf(cert_path, path[0], names)
        problems += _judge_dates(cert_path, path, now or datetime.now(UTC))
        problems += _judge_chain(cert_path, chain, path)
        if key is not None and dump_public(path[0].public_key()) != key:
            message = f"{key_path} is the key of another certificate"
            hint = "take both from one folder, where they were issued together"
            problems.append(key_of_another_certificate(message).about("tls.key", fix=(Fix(hint),)))
    return tuple(problems)


def _sort(chain: Chain, key: PublicKey | None) -> list[x509.Certificate]:
    """The leaf, then each certificate's issuer in turn, as far as the file has them."""
    path = [_find_leaf(chain, key)]
    rest = [certificate for certificate in chain if certificate is not path[0]]
    while issuer := next((other for other in rest if _has_issued(other, path[-1])), None):
        path.append(issuer)
        rest.remove(issuer)
    return path


def _find_leaf(chain: Chain, key: PublicKey | None) -> x509.Certificate:
    """The certificate that the key belongs to, else the first that is not an authority's, else the first."""
    for certificate in chain:
        if key is not None and dump_public(certificate.public_key()) == key:
            return certificate
    return next((certificate for certificate in chain if not _is_authority(certificate)), chain[0])


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _has_issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _judge_leaf(path: str, leaf: x509.Certificate, names: tuple[str, ...]) -> Iterator[Finding]:
    own = _list_names(leaf)
    missing = [name for name in names if not any(_covers(pattern, name) for pattern in own)]
    if not own:
        common = ", ".join(str(part.value) for part in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME))
        message = f"{path} has no subject alternative name"
        message += f", only the common name {common}, which clients no longer read" if common else ""
        hint = f"get a certificate with {', '.join(names)} as subject alternative name"
        yield _error(certificate_no_san(message), hint)
    elif missing:
        message = f"{path} is for {', '.join(own)}, not for {', '.join(missing)}"
        plain = next((name for name in own if "*" not in name and not _is_address(name)), None)
        other = f", or write domain: {plain}" if plain else ""
        yield _error(certificate_wrong_name(message), f"get a certificate for {', '.join(names)}{other}")
    try:
        usages = list(leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        message = f"{path} does not say that it is for servers, which Apple's devices require"
        hint = "get a certificate with the extended key usage serverAuth"
        yield _warning(certificate_not_for_servers(message), hint)
    else:
        if not {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE} & set(usages):
            message = f"{path} is not for servers: serverAuth is not among its extended key usages"
            yield _error(certificate_not_for_servers(message), "get a certificate for a TLS server")


def _list_names(leaf: x509.Certificate) -> list[str]:
    try:
        alternatives = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    addresses = [str(address) for address in alternatives.get_values_for_type(x509.IPAddress)]
    return [*alternatives.get_values_for_type(x509.DNSName), *addresses]


def _covers(pattern: str, name: str) -> bool:
    """Whether a client that wants `name` takes `pattern`; `*` stands for exactly one label (RFC 9525, section 6.3)."""
    if _is_address(pattern) or _is_address(name):
        return _is_address(pattern) and _is_address(name) and ip_address(pattern) == ip_address(name)
    pattern, name = pattern.lower().rstrip("."), name.lower().rstrip(".")
    if pattern.startswith("*."):
        return name.partition(".")[2] == pattern[2:]
    return pattern == name


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _judge_dates(path: str, chain: Chain, now: datetime) -> Iterator[Finding]:
    for certificate in chain:
        begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        which = path if certificate is chain[0] else f"{_show(certificate)} in {path}"
        if now > end:
            yield _error(certificate_expired(f"{which} expired on {_date(end)}"), _renewal(path))
        elif now < begin:
            message = f"{which} is valid from {_date(begin)}, and the clock of this machine says {_date(now)}"
            yield _error(certificate_not_yet_valid(message), "see whether the clock is right: timedatectl")
        elif certificate is chain[0] and end - now < min(SOON, (end - begin) / SOON_PART):
            message = f"{path} expires on {_date(end)} and should have been renewed by now"
            yield _warning(certificate_expires_soon(message), _renewal(path))


def _judge_chain(path: str, given: Chain, chain: Chain) -> Iterator[Finding]:
    leaf = chain[0]
    if _has_issued(leaf, leaf):
        message = f"{path} is self-signed: clients refuse it until each device is told to trust it"
        hint = "tls.mode internal makes certificates under a root that devices can trust once: lkhub trust"
        yield _warning(certificate_self_signed(message), hint)
    elif len(chain) == 1:
        yield _explain_incomplete(path, leaf)
    if given[0] is not leaf:
        message = f"the certificate of the hub is not the first one in {path}"
        yield _error(
            certificate_order(message),
            "put it first, then the certificate of its issuer, then that issuer's own issuer",
        )
    elif list(given[: len(chain)]) != chain:
        message = f"the chain in {path} is not in order, which some clients refuse"
        hint = "put each certificate after the one that it issued"
        yield _warning(certificate_order(message), hint)


def _explain_incomplete(path: str, leaf: x509.Certificate) -> Finding:
    """The finding for a leaf alone. Public authorities issue through an intermediate, which the server must send to
    clients."""
    issuer = leaf.issuer.rfc4514_string()
    folder, name = os.path.split(path)
    siblings = [file for file in _FULL_CHAINS if file != name and os.path.isfile(os.path.join(folder, file))]
    hint = "write the file with the whole chain, or make one: cat cert.pem chain.pem > fullchain.pem"
    if siblings:
        hint = f"write tls.cert: {os.path.join(folder, siblings[0])}"
    if siblings or _names_its_issuers_file(leaf):
        message = f"{path} has no chain: the certificate of its issuer, {issuer}, is missing"
        return _error(certificate_incomplete(f"{message}; applications refuse that even if browsers don't"), hint)
    message = f"{path} has no chain: only clients that know {issuer} as a root accept it"
    return _warning(certificate_incomplete(message), hint)


def _names_its_issuers_file(leaf: x509.Certificate) -> bool:
    """Whether it says where its issuer's certificate can be fetched, as certificates of issuers do that clients do not
    have."""
    try:
        access = leaf.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except x509.ExtensionNotFound:
        return False
    return any(description.access_method == AuthorityInformationAccessOID.CA_ISSUERS for description in access)


def _renewal(path: str) -> str:
    if "/letsencrypt/" in os.path.abspath(path):
        return "certbot renew"
    return "get a new certificate and write it to the same files; the hub loads it by itself"


def _show(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string()


def _date(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"


def _error(statement: Statement, hint: str) -> Finding:
    """An error: clients refuse the certificate, or the edge can't load it."""
    return statement.about("tls.cert", severity="error", fix=(Fix(hint),))


def _warning(statement: Statement, hint: str) -> Finding:
    """A warning: some clients refuse the certificate, or soon will."""
    return statement.about("tls.cert", severity="warning", fix=(Fix(hint),))
