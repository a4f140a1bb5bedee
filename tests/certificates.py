"""Certificates for tests: roots, intermediates and leaves, with any fault."""

import ssl
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from lkhub.host.ca import Ca, choose_ca
from lkhub.host.files import ensure_private_dir, write_private
from lkhub.plan.paths import StatePaths

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Made:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        return dump_key(self.key)


def dump_key(key: ec.EllipticCurvePrivateKey, password: bytes = b"") -> str:
    """A key as PKCS #8, encrypted if there is a password."""
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password:
        encryption = serialization.BestAvailableEncryption(password)
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption).decode()


def load(certificate: str, key: str) -> Made:
    """Read an authority from its files, to issue certificates under it."""
    loaded = serialization.load_pem_private_key(key.encode(), None)
    assert isinstance(loaded, ec.EllipticCurvePrivateKey)
    return Made(x509.load_pem_x509_certificate(certificate.encode()), loaded)


def make(
    name: str,
    issuer: Made | None = None,
    *,
    names: Iterable[str] = (),
    ca: bool = False,
    path_length: int | None = None,
    usages: Sequence[ObjectIdentifier] = (ExtendedKeyUsageOID.SERVER_AUTH,),
    issuer_url: str = "",
    valid: tuple[datetime, datetime] = (NOW - timedelta(days=1), NOW + timedelta(days=89)),
    organization: str = "",
) -> Made:
    """A certificate for `name`, with `names` as alternative names; self-signed if no issuer is given."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(name, organization)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(valid[0])
        .not_valid_after(valid[1])
        .add_extension(x509.BasicConstraints(ca, path_length), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(_usage(ca), critical=True)
    )
    signer = issuer.key if issuer else key
    if issuer:
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
        builder = builder.add_extension(authority, critical=False)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([alternative(n) for n in names]), critical=not name)
    if usages and not ca:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    if issuer_url:
        where = x509.UniformResourceIdentifier(issuer_url)
        access = x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, where)
        builder = builder.add_extension(x509.AuthorityInformationAccess([access]), critical=False)
    return Made(builder.sign(signer, hashes.SHA256()), key)


def _name(common: str, organization: str) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization)] if organization else []
    return x509.Name([*parts, *([x509.NameAttribute(NameOID.COMMON_NAME, common)] if common else [])])


def alternative(name: str) -> x509.DNSName | x509.IPAddress:
    """A DNS name or an address, in the form that certificates use."""
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _usage(ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def shake_hands(root: str, chain: Sequence[Made], name: str, folder: Path) -> str:
    """Connect to a server with this chain, trusting only `root`, as OpenSSL does; returns "" or why it was refused."""
    file = folder / "server.pem"
    file.write_text("".join([chain[0].key_pem, *(made.pem for made in chain)]))
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(file)
    client_context = ssl.create_default_context(cadata=root)
    client_context.verify_flags |= ssl.VERIFY_X509_STRICT
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname=name)
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(4):
        for end in (client, server):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError as error:
                return error.verify_message
    assert client.version() is not None
    return ""


def ensure_ca(paths: StatePaths, hub: str, names: tuple[str, ...], now: datetime | None = None) -> Ca:
    """The root of a hub, with its files written as the supervisor writes them."""
    ca = choose_ca(paths, hub, names, now)
    ensure_private_dir(paths.ca)
    for path, text in ca.files.items():
        write_private(path, text)
    return ca
