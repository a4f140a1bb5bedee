"""The hub's own certificate authority, for tls.mode internal.

Its root goes into people's trust stores, so a thief of its key must gain as little as possible: the root vouches for
web servers at this hub's own names and addresses, and for nothing else. Caddy makes an intermediate and the
certificates under it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lkhub.host.files import NotTextError, read_text
from lkhub.plan.paths import StatePaths

# A new root is work on every device, so it lasts as long as a hub may.
ROOT_LIFETIME = timedelta(days=3650)

# A start of the hub replaces the root more than a year before it expires, so that calls never fail on that day.
RENEW_BEFORE = timedelta(days=400)

# The root must be valid already on devices whose clocks are a little behind.
BACKDATED = timedelta(days=1)

# X.509 ends a common name at 64 characters (RFC 5280, ub-common-name); the date in the name must not be cut off.
_MAX_COMMON_NAME = 64

# All IP addresses, both families.
_EVERY_NETWORK = ("0.0.0.0/0", "::/0")


@dataclass(frozen=True)
class Ca:
    """The root to use, and the files that it needs: path → text.

    `fingerprint_sha256` is of the certificate's DER, 64 lower-case hex digits. `created`: no device can have trusted
    this root yet. `reason` says why the root was replaced, so that people must trust the new one; "" where it is the
    same as before, or the first.
    """

    cert_path: str
    key_path: str
    fingerprint_sha256: str
    created: bool
    reason: str
    files: Mapping[str, str] = field(repr=False)

    @property
    def authority(self) -> str:
        """The id for Caddy, different for each root.

        Caddy serves what it keeps under an id (an intermediate, certificates) again without checking which root signed
        it (caddypki/ca.go, loadOrGenIntermediate), and no device would accept what an earlier root signed.
        """
        return f"lkhub-{self.fingerprint_sha256[:12]}"


@dataclass(frozen=True)
class Root:
    """What a root certificate says. `subject` is its common name, by which a device lists it; `names` are the DNS
    names and addresses that it may vouch for."""

    pem: str
    fingerprint_sha256: str
    subject: str
    not_after: datetime
    names: tuple[str, ...]


@dataclass(frozen=True)
class _Pair:
    """A root and its key, as PEM."""

    certificate: str
    key: str


def choose_ca(paths: StatePaths, hub: str, names: tuple[str, ...], now: datetime | None = None) -> Ca:
    """A root that vouches for `names` (DNS names in ASCII, and addresses), for the hub named `hub`. Writes nothing: a
    root in use is replaced together with what it signs, when a change is applied.

    A root that covers them is kept. A root that is replaced is put aside, and comes back when it fits again: people
    need not trust a third root when a machine moves between two networks.
    """
    now = now or datetime.now(UTC)
    current, aside = _read(paths.ca_root, paths.ca_key), _read(*_aside(paths))
    reason = _judge(current, names, now)
    created = False
    pair = current
    if reason:
        created = bool(_judge(aside, names, now))
        pair = _generate(hub, names, now) if created else aside
    assert pair is not None
    # After a crash between two of these writes the files do not fit together. Then they are made anew.
    files: dict[str, str] = {}
    if current and pair is not current and _is_sound(current):
        files |= dict(zip(_aside(paths), (current.certificate, current.key), strict=True))
    files |= {paths.ca_key: pair.key, paths.ca_root: pair.certificate}
    fingerprint = parse_root(pair.certificate).fingerprint_sha256
    return Ca(paths.ca_root, paths.ca_key, fingerprint, created, reason if current else "", files)


def read_root(paths: StatePaths) -> Root | None:
    """The root on disk; None where there is none that can be read."""
    text = read_text(paths.ca_root)
    try:
        return parse_root(text) if text else None
    except ValueError:
        return None


def parse_root(text: str) -> Root:
    """A root certificate in PEM. Raises ValueError for anything that `choose_ca` did not make."""
    certificate = x509.load_pem_x509_certificate(text.encode())
    try:
        allowed = certificate.extensions.get_extension_for_class(x509.NameConstraints).value.permitted_subtrees
        subject = str(certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
    except (x509.ExtensionNotFound, IndexError):
        raise ValueError("this is not the root of a hub") from None
    return Root(
        pem=text,
        fingerprint_sha256=certificate.fingerprint(hashes.SHA256()).hex(),
        subject=subject,
        not_after=certificate.not_valid_after_utc,
        names=tuple(_show_name(name) for name in allowed or ()),
    )


def _show_name(name: x509.GeneralName) -> str:
    return str(name.value).partition("/")[0]


def _aside(paths: StatePaths) -> tuple[str, str]:
    return f"{paths.ca}/earlier-root.crt", f"{paths.ca}/earlier-root.key"


def _read(certificate_path: str, key_path: str) -> _Pair | None:
    """The pair on disk; None where both files are missing. A half that is missing or no text is an empty text."""
    certificate, key = _read_half(certificate_path), _read_half(key_path)
    return None if certificate is None and key is None else _Pair(certificate or "", key or "")


def _read_half(path: str) -> str | None:
    try:
        return read_text(path)
    except NotTextError:
        return ""


def _judge(pair: _Pair | None, names: tuple[str, ...], now: datetime) -> str:
    """Why this root can't be used, "" where it can."""
    if pair is None:
        return "there was none"
    if not _is_sound(pair):
        return "the files of the earlier one were damaged"
    root = parse_root(pair.certificate)
    if root.not_after - now < RENEW_BEFORE:
        return f"the earlier one ends on {root.not_after:%Y-%m-%d}"
    missing = [name for name in _normalize(names) if name not in root.names]
    return f"the earlier one is not good for {', '.join(missing)}" if missing else ""


def _is_sound(pair: _Pair) -> bool:
    """Whether certificate and key can be read and belong together."""
    try:
        parse_root(pair.certificate)
        certified = x509.load_pem_x509_certificate(pair.certificate.encode()).public_key()
        return serialization.load_pem_private_key(pair.key.encode(), None).public_key() == certified
    except (ValueError, TypeError):  # TypeError: a key with a password
        return False


def _normalize(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_show_name(_general_name(name)) for name in names))


def _general_name(name: str) -> x509.DNSName | x509.IPAddress:
    """A name as a subtree that contains it. An address is a network of one address."""
    try:
        return x509.IPAddress(ip_network(ip_address(name)))
    except ValueError:
        return x509.DNSName(name.lower())


def _constrain(names: tuple[str, ...]) -> x509.NameConstraints:
    """Exactly these names.

    A constraint limits only the kinds of names that it mentions (RFC 5280, section 4.2.1.10): with addresses alone the
    root could vouch for every DNS name. So a kind that the hub does not use is excluded whole, as the CA/Browser Forum
    asks of limited authorities (Baseline Requirements, section 7.1.2.5.2).
    """
    permitted = [_general_name(name) for name in _normalize(names)]
    kinds = {type(name) for name in permitted}
    excluded: list[x509.GeneralName] = []
    if x509.DNSName not in kinds:
        excluded.append(x509.DNSName(""))
    if x509.IPAddress not in kinds:
        excluded += [x509.IPAddress(ip_network(network)) for network in _EVERY_NETWORK]
    return x509.NameConstraints(permitted, excluded or None)


def _generate(hub: str, names: tuple[str, ...], now: datetime) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    date = f" {now:%Y-%m-%d}"
    # People find the root by this name in a list of a hundred authorities.
    common_name = f"lkhub {hub}"[: _MAX_COMMON_NAME - len(date)] + date
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now - BACKDATED + ROOT_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(_constrain(names), critical=True)
        # Constraints on names do not keep Windows from accepting a root for programs and mail, too.
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    encoded = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return _Pair(certificate.public_bytes(serialization.Encoding.PEM).decode(), encoded.decode())
